"""What is not critical is gathered into one message an hour or a day: nothing of it is lost, and nothing told twice."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from alerts import deliveries, digests, disabling, noticing
from alerts.channels import signed
from alerts.models import AlertKind, Channel, ChannelKind, Delivery, DeliveryState, Digest, QuotaAlert, Severity
from alerts.noticing import Noticed
from alerts.waiting import digest_at
from tenants.models import Tenant
from tests.alerts.telling import NUMBERS, alert, body, channel, make_due, requests
from tests.cast import Company
from tests.mailbox import Mailbox, text_of
from tests.parallel import at_once
from tests.usage.killed import killed

SENT, DEAD, GATHERED, PENDING = (
    DeliveryState.SENT, DeliveryState.DEAD, DeliveryState.GATHERED, DeliveryState.PENDING,
)  # fmt: skip
PRIVATE = {"ALERTS_ALLOW_PRIVATE_TARGETS": "true"}


def hourly(tenant: Tenant, sink: HTTPServer, **more: Any) -> Channel:
    sink.expect_request("/hook").respond_with_data("ok")
    return channel(tenant, sink.url_for("/hook"), digest=Digest.HOURLY, **more)


def notice_now(tenant: Tenant, threshold: int, severity: Severity = Severity.WARNING) -> None:
    """An alert of this instant."""
    noticed = Noticed(
        tenant=tenant.id, kind=AlertKind.THRESHOLD, severity=severity, subject="x", threshold=threshold, episode="x",
        numbers=NUMBERS,
    )  # fmt: skip
    noticing.notice([noticed], timezone.now())


def an_hour_passes() -> None:
    an_hour = timedelta(hours=1)
    Delivery.objects.update(created_at=F("created_at") - an_hour, next_attempt_at=F("next_attempt_at") - an_hour)


def told(sink: HTTPServer) -> list[tuple[str, list[int]]]:
    """The types of what came, and the thresholds in each."""
    found = [body(request) for request in requests(sink)]
    return [
        (each["type"], [one["data"]["threshold"] for one in each["data"].get("messages", [each])]) for each in found
    ]


def states() -> set[tuple[str | None, str]]:
    return set(Delivery.objects.values_list("event", "state"))


def test_what_is_not_critical_waits_for_the_hour_and_comes_as_one_message(acme: Company, sink: HTTPServer) -> None:
    hourly(acme.tenant, sink)
    for threshold in (50, 80, 95):
        notice_now(acme.tenant, threshold)
    notice_now(acme.tenant, 100, Severity.CRITICAL)
    assert deliveries.send_due() == 1
    assert told(sink) == [("alert.threshold", [100])]
    waiting = Delivery.objects.filter(state=PENDING)
    assert waiting.count() == 3
    assert {each.next_attempt_at for each in waiting} == {
        digest_at(Digest.HOURLY, ZoneInfo("UTC"), each.created_at) for each in waiting
    }
    an_hour_passes()
    assert deliveries.send_due() == 1
    assert deliveries.send_due() == 0
    assert told(sink)[1:] == [("alert.digest", [50, 80, 95])]
    assert states() == {(None, SENT), (digests.EVENT, SENT)}
    digest = Delivery.objects.get(event=digests.EVENT)
    assert digest.gathered.count() == 3
    assert {each.sent_at for each in digest.gathered.all()} == {digest.sent_at}
    sent = body(requests(sink)[1])["data"]
    assert (sent["tenant"], sent["part"], sent["parts"]) == ("ACME", 1, 1)
    assert sent["messages"][0]["type"] == "alert.threshold"
    assert sent["messages"][0]["data"]["numbers"]["left"] == 975_700


def test_what_comes_too_late_for_this_hour_waits_for_the_next(acme: Company, sink: HTTPServer) -> None:
    hourly(acme.tenant, sink)
    alert(acme.tenant, 50)
    deliveries.send_due()
    alert(acme.tenant, 80)
    assert deliveries.send_due() == 0
    late = Delivery.objects.get(alert__threshold=80)
    assert late.next_attempt_at == digest_at(Digest.HOURLY, ZoneInfo("UTC"), timezone.now())
    assert told(sink) == [("alert.digest", [50])]


@pytest.mark.parametrize(
    ("digest", "zone", "at", "told_at"),
    [
        ("HOURLY", "UTC", "2026-11-20T10:20:03Z", "2026-11-20T11:00Z"),
        ("HOURLY", "UTC", "2026-11-20T11:00Z", "2026-11-20T12:00Z"),
        ("HOURLY", "Asia/Kolkata", "2026-11-20T10:20Z", "2026-11-20T10:30Z"),  # 15:50 there
        ("DAILY", "Asia/Kolkata", "2026-11-20T02:29Z", "2026-11-20T02:30Z"),  # 07:59 there
        ("DAILY", "Asia/Kolkata", "2026-11-20T02:30Z", "2026-11-21T02:30Z"),
        ("DAILY", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T07:00Z"),  # the clocks go back
    ],
)
def test_an_hour_and_a_day_are_those_of_the_tenant(digest: str, zone: str, at: str, told_at: str) -> None:
    found = digest_at(digest, ZoneInfo(zone), datetime.fromisoformat(at))
    assert found == datetime.fromisoformat(told_at)


def test_quiet_hours_hold_the_digest_and_gather_all_of_them_into_one(acme: Company, sink: HTTPServer) -> None:
    now = datetime.now(UTC)
    begins, ends = ((now + timedelta(hours=hours)).time() for hours in (-1, 1))
    quiet = hourly(acme.tenant, sink, quiet_from=begins, quiet_until=ends)
    for threshold in (50, 80):
        alert(acme.tenant, threshold)
    assert deliveries.send_due() == 0
    assert {each.time() for each in Delivery.objects.values_list("next_attempt_at", flat=True)} == {ends}
    Channel.objects.filter(pk=quiet.pk).update(quiet_from=None, quiet_until=None)
    make_due()
    deliveries.send_due()
    assert told(sink) == [("alert.digest", [50, 80])]


def test_a_digest_that_fails_comes_again_under_its_id_and_what_is_noticed_meanwhile_is_not_in_it(
    acme: Company, sink: HTTPServer
) -> None:
    sink.expect_ordered_request("/hook").respond_with_data("", status=503)
    sink.expect_ordered_request("/hook").respond_with_data("ok")
    channel(acme.tenant, sink.url_for("/hook"), digest=Digest.HOURLY)
    for threshold in (50, 80):
        alert(acme.tenant, threshold)
    deliveries.send_due()
    assert states() == {(None, GATHERED), (digests.EVENT, DeliveryState.FAILED)}
    alert(acme.tenant, 95)
    make_due()
    deliveries.send_due()
    first, second = requests(sink)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.data == second.data
    assert Delivery.objects.get(alert__threshold=95).state == PENDING
    assert Delivery.objects.filter(state=SENT).count() == 3


def test_what_does_not_fit_into_20_kilobytes_comes_in_several_messages(acme: Company, sink: HTTPServer) -> None:
    hourly(acme.tenant, sink)
    for threshold in range(1, 61):
        alert(acme.tenant, threshold)
    sent = deliveries.send_due()
    found = [body(request)["data"] for request in requests(sink)]
    assert [(each["part"], each["parts"]) for each in found] == [(number, sent) for number in range(1, sent + 1)]
    assert sent > 1
    assert all(len(request.data) < signed.MOST_BYTES for request in requests(sink))
    assert sorted(one for _, thresholds in told(sink) for one in thresholds) == list(range(1, 61))
    assert len({request.headers["webhook-id"] for request in requests(sink)}) == sent


def test_a_message_that_cannot_be_written_keeps_no_other_from_its_digest(acme: Company, sink: HTTPServer) -> None:
    hourly(acme.tenant, sink)
    alert(acme.tenant, 50)
    alert(acme.tenant, 7, kind=AlertKind.EXPIRING, subject="key", numbers={"what": "key", "ends_at": "no instant"})
    deliveries.send_due()
    assert told(sink) == [("alert.digest", [50])]
    broken = Delivery.objects.get(alert__threshold=7)
    assert (broken.state, broken.digest) == (DeliveryState.FAILED, None)
    assert broken.last_error == "Its words could not be written. It is logged."


def test_a_digest_by_mail_says_each_of_them(acme: Company, box: Mailbox) -> None:
    channel(acme.tenant, "owner@acme.example", ChannelKind.EMAIL, digest=Digest.DAILY)
    for threshold in (50, 80):
        alert(acme.tenant, threshold)
    deliveries.send_due()
    (letter,) = box.letters
    assert letter["Subject"] == "Acme: 2 alerts since 20 Nov 2026, 09:30"
    assert "List-Unsubscribe" in letter
    for kind in ("plain", "html"):
        for share in ("50 %", "80 %"):
            assert f"Acme: {share} of the limit of Patent drafting is used" in " ".join(text_of(letter, kind).split())
    longest = max(len(line) for line in text_of(letter).splitlines() if "http" not in line)
    assert longest <= 72


def test_super_admins_have_digests_of_their_own(acme: Company, box: Mailbox) -> None:
    channel(None, "ops@example.com", ChannelKind.EMAIL, digest=Digest.DAILY)
    for what in ("rollups", "keeper"):
        alert(None, 0, kind=AlertKind.LAG, subject=what, numbers={"what": what, "seconds": 90})
    deliveries.send_due()
    (letter,) = box.letters
    assert letter["Subject"] == "Metering: 2 alerts since 20 Nov 2026, 09:30"
    assert "Metering: the keeper is behind" in text_of(letter)


def test_a_digest_of_one_reads_as_that_one(acme: Company, box: Mailbox) -> None:
    channel(acme.tenant, "owner@acme.example", ChannelKind.EMAIL, digest=Digest.DAILY)
    alert(acme.tenant, 80)
    deliveries.send_due()
    assert box.letters[0]["Subject"] == "Acme: 80 % of the limit of Patent drafting is used this period"


def test_a_digest_in_a_chat_lists_them(acme: Company, sink: HTTPServer) -> None:
    sink.expect_request("/chat").respond_with_data("ok")
    channel(acme.tenant, sink.url_for("/chat"), ChannelKind.CHAT_WEBHOOK, digest=Digest.HOURLY)
    for threshold in (50, 80):
        alert(acme.tenant, threshold)
    deliveries.send_due()
    (request,) = requests(sink)
    text = body(request)["text"]
    assert "*Acme: 2 alerts since 20 Nov 2026, 09:30*" in text
    assert "• 20 Nov 2026, 09:30: Acme: 80 % of the limit of Patent drafting is used this period" in text


def test_a_channel_that_is_switched_off_gives_up_its_digest_and_all_in_it(acme: Company, sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("", status=503)
    failing = channel(acme.tenant, sink.url_for("/hook"), digest=Digest.HOURLY)
    alert(acme.tenant, 50)
    deliveries.send_due()
    assert states() == {(None, GATHERED), (digests.EVENT, DeliveryState.FAILED)}
    disabling.switch_off(failing, "Nobody is there.")
    assert states() == {(None, DEAD), (digests.EVENT, DEAD)}


def test_sending_a_gathered_message_again_sends_its_digest_again(acme: Company, sink: HTTPServer) -> None:
    hourly(acme.tenant, sink)
    for threshold in (50, 80):
        alert(acme.tenant, threshold)
    deliveries.send_due()
    assert deliveries.resend(Delivery.objects.filter(alert__threshold=80), timezone.now()) == 1
    assert states() == {(None, GATHERED), (digests.EVENT, PENDING)}
    deliveries.send_due()
    assert told(sink) == [("alert.digest", [50, 80])] * 2
    assert len({request.headers["webhook-id"] for request in requests(sink)}) == 1
    assert states() == {(None, SENT), (digests.EVENT, SENT)}


def test_a_channel_that_stops_its_digest_gets_what_waited_one_by_one(acme: Company, sink: HTTPServer) -> None:
    told_by = hourly(acme.tenant, sink)
    for threshold in (50, 80):
        notice_now(acme.tenant, threshold)
    assert deliveries.send_due() == 0
    Channel.objects.filter(pk=told_by.pk).update(digest=Digest.NONE)
    make_due()
    deliveries.send_due()
    assert told(sink) == [("alert.threshold", [50]), ("alert.threshold", [80])]


def test_what_is_noticed_while_others_are_sent_waits_for_its_digest_as_well(
    committed: None, acme: Company, sink: HTTPServer
) -> None:
    def notice_one_more(request: Request) -> Response:
        if body(request)["data"]["threshold"] == 50:
            notice_now(acme.tenant, 80)
            connection.close()
        return Response("ok")

    sink.expect_request("/alone").respond_with_handler(notice_one_more)
    channel(acme.tenant, sink.url_for("/alone"))
    gathering = hourly(acme.tenant, sink)
    alert(acme.tenant, 50)
    assert deliveries.send_due() == 3, "two alone, one digest"
    assert Delivery.objects.get(channel=gathering, alert__threshold=80).state == PENDING


def test_many_gather_at_once_and_make_one_digest(committed: None, acme: Company, sink: HTTPServer) -> None:
    hourly(acme.tenant, sink)
    for threshold in range(1, 11):
        alert(acme.tenant, threshold)
    assert sum(at_once(*[digests.gather] * 4)) == 1
    assert sum(at_once(*[deliveries.send_due] * 4)) == 1
    assert [sorted(thresholds) for _, thresholds in told(sink)] == [list(range(1, 11))]


@pytest.mark.parametrize(
    ("step", "reached", "tries"),
    [("alerts.digests:_of", 0, 1), ("alerts.deliveries:_try", 0, 1), ("alerts.deliveries:_record", 1, 2)],
)
def test_a_digest_survives_a_kill_while_it_is_gathered_sent_or_written_down(
    step: str, reached: int, tries: int, committed: None, acme: Company, sink: HTTPServer
) -> None:
    hourly(acme.tenant, sink)
    for threshold in (50, 80):
        alert(acme.tenant, threshold)
    killed(step, 0, "send_alerts", environment=PRIVATE)
    assert len(requests(sink)) == reached
    make_due()
    deliveries.send_due()
    assert told(sink) == [("alert.digest", [50, 80])] * tries
    assert len({request.headers["webhook-id"] for request in requests(sink)}) == 1
    assert states() == {(None, SENT), (digests.EVENT, SENT)}
    assert QuotaAlert.objects.count() == 2
