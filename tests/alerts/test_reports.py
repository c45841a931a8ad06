"""Usage reports: once for each week or month, with the figures of the API, and a file that calculates nothing."""

import csv
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError
from django.utils import timezone

from alerts import deliveries, reports
from alerts.models import Channel, ChannelKind, Delivery, Digest, Report
from alerts.reports import figures, spans
from plans import money
from plans.periods import Calendar
from tenants.models import Tenant
from tests.alerts.telling import channel
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit
from tests.mailbox import Mailbox, text_of
from tests.parallel import at_once
from usage import exports

NOW = datetime.now(UTC)
DRAFT, SEARCH = "LLM2_DRAFT", "PATENT_OPEN"


def weekly(tenant: Tenant, report: Report = Report.WEEKLY, **more: Any) -> Channel:
    return channel(tenant, "owner@acme.example", ChannelKind.EMAIL, report=report, **more)


def last_week() -> tuple[datetime, datetime]:
    span = spans.last_ended(Report.WEEKLY, Calendar("UTC", 1), NOW)
    return span.since, span.until


def the_morning() -> datetime:
    """Of the Monday after last week, at nine."""
    return last_week()[1] + timedelta(hours=9)


def book(api: Api, at: datetime, number: int, **fields: Any) -> None:
    body = {
        "id": f"e-{number}", "tenant": "ACME", "task": DRAFT, "occurred_at": at.isoformat(),
        "usage": {"input_tokens": 1_000 * number, "output_tokens": 100}, "model": "gpt-4o", "model_class": "PRO_M",
    }  # fmt: skip
    answer = api.post("/usage/events", body | fields)
    assert answer.status_code == 200, answer.content


def use_for_two_weeks(api: Api) -> None:
    """Some of it in the first and last second of the week, and some a second before and after."""
    since, until = last_week()
    second = timedelta(seconds=1)
    for number, at in enumerate((since - second, since, since + timedelta(days=2), until - second, until), 1):
        book(api, at, number, user=f"u-{number % 2}")
    book(api, since + timedelta(days=3), 6, task=SEARCH, usage={"api_calls": 3}, model=None, model_class=None)
    book(api, since - timedelta(days=3), 7, user="=cmd|' /C calc'!A0")


def sent(box: Mailbox) -> EmailMessage:
    assert reports.make_due(the_morning()) == 1
    deliveries.send_due()
    (letter,) = box.letters
    return letter


def file_of(letter: EmailMessage) -> list[list[str]]:
    (attached,) = letter.iter_attachments()
    assert attached.get_content_type() == "text/csv"
    return list(csv.reader(StringIO(attached.get_content())))


# --- when ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "calendar", "now", "expected"),
    [
        ("WEEKLY", Calendar("UTC", 1), "2026-11-24T12:00Z",
         "2026-11-16T00:00 2026-11-23T00:00 2026-11-23T08:00"),
        ("WEEKLY", Calendar("UTC", 1), "2026-11-23T00:00Z",
         "2026-11-16T00:00 2026-11-23T00:00 2026-11-23T08:00"),
        ("WEEKLY", Calendar("UTC", 1), "2026-11-22T23:59Z",
         "2026-11-09T00:00 2026-11-16T00:00 2026-11-16T08:00"),
        ("WEEKLY", Calendar("Asia/Kolkata", 1), "2026-11-22T18:30Z",
         "2026-11-15T18:30 2026-11-22T18:30 2026-11-23T02:30"),
        ("WEEKLY", Calendar("Europe/Berlin", 1), "2026-10-26T12:00Z",
         "2026-10-18T22:00 2026-10-25T23:00 2026-10-26T07:00"),
        ("MONTHLY", Calendar("UTC", 1), "2026-12-01T09:00Z",
         "2026-11-01T00:00 2026-12-01T00:00 2026-12-01T08:00"),
        ("MONTHLY", Calendar("America/New_York", 15), "2026-11-20T12:00Z",
         "2026-10-15T04:00 2026-11-15T05:00 2026-11-15T13:00"),
        ("MONTHLY", Calendar("UTC", 31), "2026-03-01T12:00Z",
         "2026-01-31T00:00 2026-02-28T00:00 2026-02-28T08:00"),
    ],
)  # fmt: skip
def test_a_report_is_of_the_tenants_last_week_or_month_and_comes_at_eight(
    report: str, calendar: Calendar, now: str, expected: str
) -> None:
    span = spans.last_ended(Report(report), calendar, datetime.fromisoformat(now))
    found = (span.since, span.until, span.due_at)
    assert " ".join(f"{at:%Y-%m-%dT%H:%M}" for at in found) == expected
    assert spans.before(Report(report), calendar, span).until == span.since


def test_a_report_is_made_once_for_each_channel_that_asks(acme: Company, rival: Company) -> None:
    weekly(acme.tenant)
    weekly(acme.tenant, name="Books")
    weekly(rival.tenant, Report.NONE)
    weekly(rival.tenant, is_active=False)
    eight = last_week()[1] + timedelta(hours=8)
    assert reports.make_due(eight - timedelta(seconds=1)) == 0
    assert reports.make_due(eight) == 2
    assert reports.make_due(eight) == 0
    assert reports.make_due(eight + timedelta(days=2)) == 0
    assert set(Delivery.objects.values_list("tenant", "event")) == {(acme.tenant.id, "usage.report")}
    Delivery.objects.all().delete()
    assert reports.make_due(eight + reports.CAUGHT_UP) == 0, "it is no news any more"


def test_a_report_is_made_once_by_many_at_once(committed: None, acme: Company) -> None:
    for number in range(3):
        weekly(acme.tenant, name=f"Books {number}")
    assert sum(at_once(*[lambda: reports.make_due(the_morning())] * 4)) == 3
    assert Delivery.objects.count() == 3


def test_a_report_waits_for_the_end_of_quiet_hours_and_for_no_digest(acme: Company, box: Mailbox) -> None:
    begins, ends = ((NOW + timedelta(hours=hours)).time() for hours in (-1, 1))
    told = weekly(acme.tenant, digest=Digest.DAILY, quiet_from=begins, quiet_until=ends)
    reports.make_due(the_morning())
    deliveries.send_due()
    assert box.letters == []
    Channel.objects.filter(pk=told.pk).update(quiet_from=None, quiet_until=None)
    Delivery.objects.update(next_attempt_at=NOW)
    deliveries.send_due()
    assert len(box.letters) == 1


@pytest.mark.parametrize("kind", [ChannelKind.SIGNED_WEBHOOK, ChannelKind.CHAT_WEBHOOK])
def test_only_mails_of_a_tenant_can_be_reports(kind: ChannelKind, acme: Company) -> None:
    with pytest.raises(IntegrityError, match="alerts_channel_reports_are_mails"):
        channel(acme.tenant, "https://example.com/hook", kind, report=Report.WEEKLY)


def test_super_admins_have_no_usage_to_report(db: None) -> None:
    with pytest.raises(IntegrityError, match="alerts_channel_reports_are_mails"):
        channel(None, "us@example.com", ChannelKind.EMAIL, report=Report.WEEKLY)


# --- what ---------------------------------------------------------------------


def test_its_figures_are_those_of_the_summary(api: Api, acme: Company) -> None:
    use_for_two_weeks(api)
    limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
    since, until = last_week()
    span = spans.last_ended(Report.WEEKLY, Calendar("UTC", 1), NOW)
    found = figures.of(acme.tenant, Report.WEEKLY, span, NOW)
    for name, bounds in (("totals", (since, until)), ("before", (since - timedelta(days=7), since))):
        asked = dict(zip(("from", "to"), (at.date().isoformat() for at in bounds), strict=True))
        totals = api.get("/usage/summary", tenant="ACME", group_by="day", **asked).json()["totals"]
        assert money.usd(found[name].pop("cost")) == totals["cost"]
        assert found[name] == {key: totals[key] for key in found[name]}
        assert found[name]["operations"] > 0
    for by, listed in (("feature", "features"), ("user", "users"), ("model_class", "model_classes")):
        query = {"group_by": by, "from": since.date().isoformat(), "to": until.date().isoformat()}
        expected = {
            row["key"]: (row["operations"], row["cost"])
            for row in api.get("/usage/summary", tenant="ACME", **query).json()["results"]
        }
        assert {row["key"]: (row["operations"], money.usd(row["cost"])) for row in found[listed]} == expected


def test_the_rows_of_its_file_add_up_to_its_totals(api: Api, acme: Company, box: Mailbox) -> None:
    use_for_two_weeks(api)
    weekly(acme.tenant)
    header, *rows = file_of(sent(box))
    assert header == list(figures.COLUMNS)
    totals = only_payload()["totals"]
    for name in ("operations", "input_tokens", "api_calls", "denials"):
        assert sum(int(row[header.index(name)]) for row in rows) == totals[name]
    cost = sum(money.nano_usd(row[header.index("cost")]) for row in rows)
    assert cost == totals["cost"]
    since, _ = last_week()
    assert rows[0][:2] == [since.date().isoformat(), "PATENT_DRAFTING"]


def only_payload() -> Any:
    return Delivery.objects.get().payload


def test_the_mail_says_what_was_used_and_how_that_changed(api: Api, acme: Company, box: Mailbox) -> None:
    use_for_two_weeks(api)
    weekly(acme.tenant)
    letter = sent(box)
    since, _ = last_week()
    assert letter["Subject"].startswith("Acme: usage of ")
    assert letter["List-Unsubscribe"].strip().startswith("<http")
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for kind in ("plain", "html"):
        words = text_of(letter, kind)
        assert "Acme spent USD" in words
        assert "against the week before" in " ".join(words.split())
        for part in ("Patent drafting", "Prior-art search", "u-0", "Calls", "Tokens in", "Limits of the month"):
            assert part in words
        assert "gpt-4o" not in words
        assert f"first={since.date()}" in words
    assert max(len(line) for line in text_of(letter).splitlines() if "http" not in line) <= 72


def test_a_week_without_usage_says_so(acme: Company, box: Mailbox) -> None:
    weekly(acme.tenant)
    letter = sent(box)
    assert "Acme used nothing in this week." in text_of(letter)
    assert file_of(letter) == [list(figures.COLUMNS)]


def test_its_file_has_a_bound_and_says_what_it_lacks(
    api: Api, acme: Company, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_ROWS", 2)
    use_for_two_weeks(api)
    weekly(acme.tenant)
    letter = sent(box)
    rows = file_of(letter)
    assert len(rows) == 4
    assert rows[-1] == ["INCOMPLETE: 2 rows more are on the page Explore."]
    assert "2 more rows did not fit into it" in " ".join(text_of(letter).split())


def test_nothing_in_its_file_is_a_formula() -> None:
    found = {"days": [["2026-11-20", "=1+1", *[0] * 7, 2_500_000_000, *[0] * 2]], "days_left_out": 0}
    (_, row) = csv.reader(StringIO(exports.csv_of(figures.file_rows(found)).decode()))
    assert (row[1], row[figures.COLUMNS.index("cost")]) == ("'=1+1", "2.50")


def test_each_try_says_the_same_under_the_same_id(api: Api, acme: Company, box: Mailbox) -> None:
    use_for_two_weeks(api)
    weekly(acme.tenant)
    first = sent(box)
    book(api, last_week()[0], 50)
    deliveries.resend(Delivery.objects.all(), timezone.now())
    deliveries.send_due()
    _, second = box.letters
    assert first["Message-ID"] == second["Message-ID"]
    assert text_of(first) == text_of(second)
    assert file_of(first) == file_of(second)


def test_one_is_sent_at_once_and_shown_before(api: Api, acme: Company, box: Mailbox) -> None:
    use_for_two_weeks(api)
    told = weekly(acme.tenant, Report.MONTHLY)
    shown = reports.preview(told, NOW)
    assert Delivery.objects.count() == 0
    reports.send_now(told, NOW)
    deliveries.send_due()
    (letter,) = box.letters
    assert letter["Subject"] == shown.title
    assert file_of(letter) == list(csv.reader(StringIO(shown.file.decode())))
    assert shown.place.zone == ZoneInfo("UTC")
