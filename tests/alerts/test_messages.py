"""What people read."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from alerts import messages
from alerts.channels import mail, signed
from alerts.messages import Figure, Message, Place
from alerts.models import AlertKind, Channel, ChannelKind, QuotaAlert, Severity
from tests.alerts.telling import AT, NUMBERS

PLACE = Place(
    whose="Acme", ati_id="ACME", zone=ZoneInfo("Asia/Kolkata"), link="https://metering.example.com/t/ACME/",
    link_words="Look at the usage of Acme", settings="https://metering.example.com/t/ACME/alerts/settings/",
    names={"PATENT_DRAFTING": "Patent drafting", "u-17": "Ada Lovelace"},
)  # fmt: skip
STORED = NUMBERS | {"starts_at": "2026-11-01T00:00:00+00:00", "resets_at": "2026-12-01T00:00:00+00:00"}
SPEND = STORED | {
    "feature": None, "measure": "COST", "unit": "USD", "used": 50_120_000_000, "held": 0, "limit": 50_000_000_000,
    "left": 0,
}  # fmt: skip


def told(kind: AlertKind = AlertKind.THRESHOLD, threshold: int = 80, **more: object) -> Message:
    about = {
        "kind": kind, "severity": Severity.WARNING, "subject": "what it is about", "threshold": threshold,
        "episode": "2026-11-01;5000000", "numbers": STORED, "created_at": AT, "user_key": None,
    } | more  # fmt: skip
    return messages.of_alert(QuotaAlert(**about), PLACE, "msg_1")


def test_a_share_of_a_quota_is_told_with_its_numbers_in_the_zone_of_the_tenant() -> None:
    message = told()
    assert message.title == "Acme: 80 % of the limit of Patent drafting is used this period"
    assert message.happened == (
        "Acme has used 4,012,300 of 5,000,000 tokens of Patent drafting this period, which is 80.2 %."
        " You are told at 80 %."
    )
    assert "until 1 Dec 2026, 05:30 (Asia/Kolkata)" in message.advice
    assert message.figures == (
        Figure("Used", "4,012,300 tokens"),
        Figure("Held by open calls", "12,000 tokens"),
        Figure("Limit", "5,000,000 tokens"),
        Figure("Left", "975,700 tokens"),
        Figure("Resets", "1 Dec 2026, 05:30 (Asia/Kolkata)"),
    )


def test_money_is_dollars_to_people_and_a_decimal_string_to_programs() -> None:
    message = told(threshold=100, numbers=SPEND)
    assert message.title == "Acme: the budget is used up this period"
    assert message.happened == "Acme has spent USD 50.12 of USD 50.00 this period, which is 100.2 %."
    assert message.data["numbers"]["used"] == "50.12"
    assert message.data["numbers"]["limit"] == "50.00"


def test_a_quota_of_ones_own_names_the_person() -> None:
    message = told(user_key="u-17")
    assert message.title.endswith("is used this period by Ada Lovelace")
    assert message.happened.startswith("Ada Lovelace has used 4,012,300")


def test_calls_at_once_are_told_as_that() -> None:
    numbers = STORED | {
        "feature": None, "measure": "SLOTS", "period": "OPEN", "unit": "SLOTS", "used": 3, "held": 0, "limit": 3,
        "left": 0, "resets_at": None,
    }  # fmt: skip
    message = told(threshold=100, numbers=numbers)
    assert message.title == "Acme: as many calls are open as may be"
    assert message.happened == "3 of 3 calls are open right now."


def test_an_amount_is_told_without_a_limit() -> None:
    message = told(AlertKind.AMOUNT, 40_000_000_000, numbers=SPEND | {"limit": None, "left": None})
    assert message.title == "Acme: USD 40.00 spent this period"
    assert Figure("Limit", "unlimited") in message.figures


@pytest.mark.parametrize("kind", AlertKind)
@pytest.mark.parametrize("numbers", [STORED, SPEND, {}])
def test_every_kind_has_words_and_none_says_what_is_not_known(kind: AlertKind, numbers: dict[str, object]) -> None:
    message = told(kind, numbers=numbers)
    for text in (message.title, message.happened, message.advice):
        assert text
        assert "None" not in text
        assert "{" not in text
    assert len(message.title) <= 200
    assert len(signed.envelope(message)) < signed.MOST_BYTES


def test_names_are_text_and_never_markup() -> None:
    message = told(user_key="<script>alert(1)</script>\r\nBcc: all@example.com")
    letter = mail.letter(Channel(kind=ChannelKind.EMAIL, address="owner@acme.example"), message)
    html = str(letter.alternatives[0][0])
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<script>" in letter.body
    assert "\n" not in letter.subject


def test_the_key_of_a_user_cannot_put_its_own_words_in_the_place_of_ours() -> None:
    message = told(user_key="u-9\n\nYour account is locked: go to evil.example\n\nNow")
    assert message.happened.endswith("of Patent drafting this period, which is 80.2 %. You are told at 80 %.")
    assert message.advice.startswith("Nothing is refused yet.")


def event(name: str, payload: dict[str, Any]) -> Message:
    return messages.of_event(
        name, payload, PLACE, id_=messages.message_id(UUID(int=1)), at=datetime(2026, 11, 20, tzinfo=UTC)
    )


def test_an_event_of_the_product_is_told_by_its_own_words() -> None:
    pro = {
        "tenant": "ACME",
        "plan": "PRO",
        "revision": 3,
        "name": "Pro",
        "previous_plan": None,
        "previous_revision": None,
    }
    message = event("plan.changed", pro)
    assert message.title == "Acme: the plan is Pro now"
    assert message.happened == "PRO, revision 3, is in force. Before it was none."
    assert (message.type, message.data) == ("plan.changed", pro)


def test_times_in_events_are_those_of_the_place_and_names_have_one_line() -> None:
    key = {
        "tenant": "ACME", "kind": "SERVICE_KEY", "id": str(UUID(int=2)), "name": "drafting\n\nGo to evil.example",
        "public": "mk_7f3a91", "user": None, "revoked_at": "2026-11-20T23:30:00+00:00",
    }  # fmt: skip
    message = event("token.revoked", key)
    assert message.happened == (
        "mk_7f3a91 (drafting Go to evil.example) authenticates nothing since "
        f"{datetime(2026, 11, 20, 23, 30, tzinfo=UTC).astimezone(PLACE.zone):%-d %b %Y, %H:%M}."
    )
    assert message.advice.startswith("Whoever still calls with it")
