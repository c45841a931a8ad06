"""Events of the product reach those who asked for them, once each, and nobody else."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook

from alerts import deliveries, noticing, tasks
from alerts.events import (
    EVENTS,
    PERIOD_RESET,
    PLAN_CHANGED,
    RESERVATION_DENIED,
    TOKEN_REVOKED,
    denials,
    periods,
    plans,
    reading,
)
from alerts.events import tokens as revoked
from alerts.events.telling import Happened, tell
from alerts.models import Channel, Delivery, QuotaAlert
from tenants import tokens
from tenants.models import ATIToken, Scope, TokenStatus
from tests import cast
from tests.alerts.telling import SECRET, alert, channel, requests
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.described import description, wrong_with
from tests.enforcement.rules import limit
from tests.parallel import at_once
from usage import ledger
from usage.models import Denial

NOW = datetime.now(UTC)
MINUTE = NOW.replace(second=0, microsecond=0) - timedelta(minutes=5)


def asking(company: Company, *events: str, since: datetime = NOW - timedelta(days=40), url: str = "x") -> Channel:
    """A channel that has asked for these events for long, and is told no alert."""
    made = channel(company.tenant, url, events=list(events), severities=[])
    Channel.objects.filter(pk=made.pk).update(listens_since=since)
    return made


def deny(company: Company, at: datetime = MINUTE, count: int = 1, user: str | None = None, **more: Any) -> None:
    """A refusal as the gatekeeper records it."""
    about: dict[str, Any] = {
        "code": "BUDGET_EXCEEDED", "message": "USD 50.00 of USD 50.00 are used.", "user_key": user,
        "feature": "PATENT_DRAFTING", "task": "LLM2_DRAFT", "meter": None, "decision": {},
        "binding": {"limit": "50", "remaining": "0"}, "now": at, "count": count,
    } | more  # fmt: skip
    ledger.deny(company.tenant.id, **about)


def told(event: str) -> list[Mapping[str, Any]]:
    """What was said of an event, the oldest first."""
    return list(Delivery.objects.filter(event=event).order_by("created_at", "id").values_list("payload", flat=True))


def test_refusals_are_told_by_the_minute_with_what_was_refused(acme: Company, rival: Company) -> None:
    asking(acme, RESERVATION_DENIED)
    asking(rival, RESERVATION_DENIED)
    deny(acme, user="ann", count=3)
    deny(acme, at=MINUTE + timedelta(seconds=59), user="bob")
    deny(acme, at=MINUTE + timedelta(minutes=1))
    assert tell(denials.read, NOW) == 2
    assert tell(denials.read, NOW) == 0
    first, second = told(RESERVATION_DENIED)
    assert (first["tenant"], first["count"], first["others"], second["count"]) == ("ACME", 4, 0, 1)
    assert [(each["user"], each["count"], each["code"]) for each in first["denials"]] == [
        ("ann", 3, "BUDGET_EXCEEDED"), ("bob", 1, "BUDGET_EXCEEDED"),
    ]  # fmt: skip
    assert {str(row.id) for row in Denial.objects.all()} == {
        each["id"] for minute in (first, second) for each in minute["denials"]
    }


def test_a_minute_is_told_once_it_is_over(acme: Company) -> None:
    asking(acme, RESERVATION_DENIED)
    deny(acme)
    assert tell(denials.read, MINUTE + timedelta(seconds=69)) == 0
    deny(acme, at=MINUTE + timedelta(seconds=59))
    assert tell(denials.read, MINUTE + timedelta(seconds=70)) == 1
    assert told(RESERVATION_DENIED)[0]["count"] == 2


def test_a_storm_of_refusals_is_one_message_a_minute(acme: Company) -> None:
    asking(acme, RESERVATION_DENIED)
    for number in range(100):
        deny(acme, user=f"user-{number}", count=100 + number)
    assert tell(denials.read, NOW) == 1
    (message,) = told(RESERVATION_DENIED)
    listed = sum(each["count"] for each in message["denials"])
    assert (len(message["denials"]), message["count"], message["others"]) == (denials.MOST, 14_950, 14_950 - listed)
    deliveries.send_due()
    assert Delivery.objects.get().last_error != "It is over 20 kB."


def test_a_plan_that_changes_is_told_whichever_way_it_changed(acme: Company, rival: Company) -> None:
    asking(acme, PLAN_CHANGED)
    asking(rival, PLAN_CHANGED)
    now = datetime.now(UTC)
    assert tell(plans.read, now) == 0, "nothing was known before"
    before = acme.root.plan
    assert before is not None
    tokens.change_plan(acme.root, cast.plan("FREE"), now=now)
    assert [tell(plans.read, datetime.now(UTC)) for _ in range(2)] == [1, 0]
    tokens.change_plan(acme.root, before, now=now)
    assert tell(plans.read, datetime.now(UTC)) == 1, "back to what it was"
    ATIToken.objects.filter(pk=acme.root.pk).update(plan_ends_at=datetime.now(UTC))  # a date that passes
    assert tell(plans.read, datetime.now(UTC)) == 1
    assert [(each["previous_plan"], each["plan"]) for each in told(PLAN_CHANGED)] == [
        (before.code, "FREE"), ("FREE", before.code), (before.code, None),
    ]  # fmt: skip
    assert {each["tenant"] for each in told(PLAN_CHANGED)} == {"ACME"}


def test_a_revoked_token_and_a_revoked_key_are_told_with_nothing_secret(acme: Company, rival: Company) -> None:
    asking(acme, TOKEN_REVOKED)
    asking(rival, TOKEN_REVOKED)
    token = tokens.issue_for_user(acme.owner.user)
    key = tokens.issue_key("drafting service", [Scope.ENFORCE], tenant=acme.tenant)
    tokens.set_status(token.record, TokenStatus.REVOKED)
    tokens.revoke_key(key.record, now=datetime.now(UTC))
    assert [tell(revoked.read, datetime.now(UTC)) for _ in range(2)] == [2, 0]
    first, second = sorted(told(TOKEN_REVOKED), key=lambda each: str(each["kind"]))
    assert (first["kind"], first["public"], first["user"]) == (
        "ATI_TOKEN", str(token.record), str(acme.owner.user.pk),
    )  # fmt: skip
    assert (second["kind"], second["name"], second["user"]) == ("SERVICE_KEY", "drafting service", None)
    assert token.text not in str(first)
    assert key.text not in str(second)
    assert second["public"] in key.text


def test_a_suspended_token_is_not_revoked_and_a_revoked_one_knows_since_when(acme: Company) -> None:
    asking(acme, TOKEN_REVOKED)
    token = tokens.issue_for_user(acme.owner.user).record
    tokens.set_status(token, TokenStatus.SUSPENDED)
    assert tell(revoked.read, datetime.now(UTC)) == 0
    tokens.set_status(token, TokenStatus.REVOKED)
    since = token.revoked_at
    tokens.set_status(token, TokenStatus.REVOKED)
    assert token.revoked_at == since is not None


def test_a_new_day_and_a_new_month_of_the_tenants_calendar_are_told(acme: Company, rival: Company) -> None:
    first = datetime(2026, 12, 1, 0, 0, 30, tzinfo=UTC)
    asking(acme, PERIOD_RESET)
    asking(rival, PERIOD_RESET, since=first)
    assert [tell(periods.read, first) for _ in range(2)] == [2, 0]
    assert tell(periods.read, first + timedelta(days=1)) == 2, "a day of each"
    said = sorted(
        (each["tenant"], each["period"], each["started_at"][:10], each["ends_at"][:10]) for each in told(PERIOD_RESET)
    )
    assert said == [
        ("ACME", "DAY", "2026-12-01", "2026-12-02"), ("ACME", "DAY", "2026-12-02", "2026-12-03"),
        ("ACME", "MONTH", "2026-12-01", "2027-01-01"), (rival.tenant.ati_id, "DAY", "2026-12-02", "2026-12-03"),
    ]  # fmt: skip


def test_what_was_before_a_channel_asked_is_not_told(acme: Company) -> None:
    made = channel(acme.tenant, "x", events=[RESERVATION_DENIED])
    deny(acme, at=NOW - timedelta(minutes=10))
    assert tell(denials.read, datetime.now(UTC)) == 0
    since = Channel.objects.get(pk=made.pk).listens_since
    Channel.objects.filter(pk=made.pk).update(name="Other")
    assert Channel.objects.get(pk=made.pk).listens_since == since
    Channel.objects.filter(pk=made.pk).update(events=[RESERVATION_DENIED, PLAN_CHANGED])
    assert Channel.objects.get(pk=made.pk).listens_since > since


def test_a_channel_that_is_off_or_asks_for_something_else_is_told_nothing(acme: Company) -> None:
    off = asking(acme, *EVENTS)
    Channel.objects.filter(pk=off.pk).update(is_active=False)
    asking(acme, PERIOD_RESET)
    deny(acme)
    assert tell(denials.read, NOW) == 0


def test_readers_at_once_tell_once(committed: None, acme: Company) -> None:
    asking(acme, *EVENTS)
    tell(plans.read, NOW)
    deny(acme)
    tokens.change_plan(acme.root, cast.plan("FREE"), now=datetime.now(UTC))
    at_once(*[reading.read] * 8)
    found = [each.event for each in Delivery.objects.exclude(event=PERIOD_RESET).order_by("event")]
    assert found == [PLAN_CHANGED, RESERVATION_DENIED]


def test_a_reader_that_dies_before_its_end_has_told_nothing_and_knows_nothing(acme: Company) -> None:
    asking(acme, PLAN_CHANGED)
    tell(plans.read, NOW)
    tokens.change_plan(acme.root, cast.plan("FREE"), now=datetime.now(UTC))

    def dies(now: datetime) -> list[Happened]:
        list(plans.read(now))
        raise SystemExit

    with pytest.raises(SystemExit):
        tell(dies, datetime.now(UTC))
    assert tell(plans.read, datetime.now(UTC)) == 1


def test_every_event_arrives_signed_as_the_description_of_the_api_says(
    acme: Company, sink: HTTPServer, api: Api
) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    made = asking(acme, *EVENTS, url=sink.url_for("/hook"))
    tell(plans.read, NOW)
    limit(acme.tenant, "DAILY_BUDGET", 0)
    assert not api.enforce("ACME", "LLM2_DRAFT", tokens_in=9, tokens_out=9, user="ann")["allowed"]
    tell(denials.read, datetime.now(UTC) + timedelta(minutes=2))
    tokens.change_plan(acme.root, cast.plan("FREE"), now=datetime.now(UTC))
    tokens.set_status(tokens.issue_for_user(acme.owner.user).record, TokenStatus.REVOKED)
    Channel.objects.filter(pk=made.pk).update(severities=["WARNING"])
    alert(acme.tenant)
    noticing.resolve([QuotaAlert.objects.get().id], datetime.now(UTC))
    tasks.sweep()
    deliveries.send_test(made, NOW)
    deliveries.send_due()
    found = {}
    for request in requests(sink):
        message = Webhook(SECRET).verify(request.data, {name.lower(): text for name, text in request.headers.items()})
        found[message["type"]] = message
    assert found.keys() == {*EVENTS, "alert.threshold", "test"}
    described = description()["webhooks"]
    for kind, message in found.items():
        name = "alert" if kind == "alert.threshold" else kind
        schema = described[name]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert wrong_with(message, schema) == []


@pytest.mark.parametrize("event", EVENTS)
def test_the_description_has_every_event_that_can_be_chosen(event: str) -> None:
    assert event in description()["webhooks"]


def test_an_erased_person_is_gone_from_what_was_told_and_is_not_named_again(acme: Company) -> None:
    asking(acme, *EVENTS)
    user = acme.people[0].user
    deny(acme, user=str(user.pk))
    tell(denials.read, NOW)
    call_command("erase_user", "ACME", str(user.pk), yes=True, stdout=StringIO())
    reading.read()
    payloads = str(list(Delivery.objects.values_list("payload", flat=True)))
    assert TOKEN_REVOKED in set(Delivery.objects.values_list("event", flat=True))
    assert str(user.pk) not in payloads
