"""Messages are sent once each, however receivers, senders and machines behave."""

import threading
from datetime import UTC, datetime, timedelta
from functools import partial

from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook
from werkzeug import Request, Response

from alerts import deliveries, disabling
from alerts.models import AlertKind, Channel, ChannelKind, Delivery, DeliveryState, QuotaAlert
from alerts.waiting import MOST_ATTEMPTS
from tenants import database
from tests import console
from tests.alerts.telling import SECRET, alert, body, channel, make_due, only, requests
from tests.cast import Company
from tests.mailbox import Mailbox, text_of
from tests.parallel import at_once
from tests.usage import blocked
from tests.usage.killed import killed

SENT, FAILED, DEAD = DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.DEAD


def ids(sink: HTTPServer) -> list[str]:
    return [request.headers["webhook-id"] for request in requests(sink)]


def test_an_alert_is_told_once_by_each_channel_of_its_tenant(
    acme: Company, rival: Company, sink: HTTPServer, box: Mailbox
) -> None:
    """Defect 30: never delivered."""
    sink.expect_request("/hook").respond_with_data("ok")
    channel(acme.tenant, sink.url_for("/hook"))
    channel(acme.tenant, "owner@acme.example", ChannelKind.EMAIL)
    channel(acme.tenant, "", ChannelKind.IN_APP)
    channel(rival.tenant, sink.url_for("/rival"))
    alert(acme.tenant)
    assert deliveries.send_due() == 3
    assert deliveries.send_due() == 0
    assert set(Delivery.objects.values_list("state", "attempts")) == {(SENT, 1)}
    (request,) = requests(sink)
    told = Webhook(SECRET).verify(request.data, {name.lower(): value for name, value in request.headers.items()})
    assert told["type"] == "alert.threshold"
    assert (told["data"]["tenant"], told["data"]["threshold"], told["data"]["numbers"]["left"]) == ("ACME", 80, 975_700)
    (letter,) = box.letters
    assert letter["Subject"] == "Acme: 80 % of the limit of Patent drafting is used this period"
    assert "4,012,300 of 5,000,000 tokens" in text_of(letter)


def test_alerts_of_one_booking_reach_a_receiver_in_order(acme: Company, sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    channel(acme.tenant, sink.url_for("/hook"))
    for threshold in (50, 80, 95, 100):
        alert(acme.tenant, threshold)
    deliveries.send_due()
    assert [body(request)["data"]["threshold"] for request in requests(sink)] == [50, 80, 95, 100]


def test_a_receiver_that_recovers_gets_the_same_id_again(acme: Company, sink: HTTPServer) -> None:
    """Defect 46: an alert twice."""
    sink.expect_ordered_request("/hook").respond_with_data("", status=503)
    sink.expect_ordered_request("/hook").respond_with_data("ok")
    channel(acme.tenant, sink.url_for("/hook"))
    alert(acme.tenant)
    deliveries.send_due()
    failed = only()
    assert (failed.state, failed.attempts, failed.last_error) == (FAILED, 1, "It answered 503.")
    assert timedelta(seconds=4) < failed.next_attempt_at - timezone.now() < timedelta(seconds=6.1)
    assert failed.channel.failures == 1
    assert deliveries.send_due() == 0, "not before its time"
    make_due()
    deliveries.send_due()
    sent = only()
    assert (sent.state, sent.attempts, sent.last_error, sent.channel.failures) == (SENT, 2, "", 0)
    assert len(set(ids(sink))) == 1
    assert len(ids(sink)) == 2


def test_a_receiver_is_left_alone_for_as_long_as_it_asks(acme: Company, sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("", status=429, headers={"Retry-After": "3600"})
    channel(acme.tenant, sink.url_for("/hook"))
    alert(acme.tenant)
    deliveries.send_due()
    assert only().next_attempt_at - timezone.now() > timedelta(minutes=59)


def test_a_message_is_given_up_after_three_days_and_its_channel_switched_off(
    acme: Company, sink: HTTPServer, box: Mailbox
) -> None:
    """The owner is told by mail, also where nobody had made a channel for that."""
    sink.expect_request("/hook").respond_with_data("", status=500)
    failing = channel(acme.tenant, sink.url_for("/hook") + "?token=hidden")
    alert(acme.tenant)
    for attempt in range(MOST_ATTEMPTS):
        failing.refresh_from_db()
        assert (failing.is_active, only().attempts) == (True, attempt)
        make_due()
        deliveries.send_due()
        if attempt < MOST_ATTEMPTS - 1:
            assert only().state == FAILED
    failing.refresh_from_db()
    assert (failing.is_active, failing.disabled_reason) == (False, "It answered 500.")
    given_up = Delivery.objects.get(channel=failing)
    assert (given_up.state, given_up.attempts) == (DEAD, MOST_ATTEMPTS)
    assert "hidden" not in given_up.last_error
    assert len(set(ids(sink))) == 1

    notice = QuotaAlert.objects.get(kind=AlertKind.CHANNEL_DISABLED)
    assert notice.tenant == acme.tenant
    deliveries.send_due()
    (letter,) = box.letters
    assert letter["To"] == acme.owner.user.email
    assert letter["Subject"].strip() == "Acme: the alert channel “Ops” was switched off"
    assert "It answered 500." in text_of(letter)
    assert "hidden" not in letter.as_string()


def test_410_switches_a_channel_off_at_once_and_gives_up_what_waits_for_it(acme: Company, sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("", status=410)
    gone = channel(acme.tenant, sink.url_for("/hook"))
    for threshold in (50, 80):
        alert(acme.tenant, threshold)
    deliveries.send_due()
    gone.refresh_from_db()
    assert not gone.is_active
    assert list(Delivery.objects.filter(channel=gone).values_list("state", flat=True)) == [DEAD, DEAD]
    assert len(requests(sink)) == 1
    alert(acme.tenant, 95)
    assert Delivery.objects.filter(channel=gone).count() == 2
    disabling.switch_on(gone)
    alert(acme.tenant, 100)
    assert Delivery.objects.filter(channel=gone, state=DeliveryState.PENDING).count() == 1


def test_a_mail_server_that_is_away_switches_no_channel_off(acme: Company, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    owner = channel(acme.tenant, "owner@acme.example", ChannelKind.EMAIL)
    alert(acme.tenant)
    for _ in range(MOST_ATTEMPTS):
        make_due()
        deliveries.send_due()
    owner.refresh_from_db()
    assert (only().state, owner.is_active, owner.failures) == (DEAD, True, 0)


def test_quiet_hours_hold_what_is_not_critical(acme: Company, sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    now = datetime.now(UTC)
    begins, ends = ((now + timedelta(hours=hours)).time() for hours in (-1, 1))
    channel(acme.tenant, sink.url_for("/hook"), quiet_from=begins, quiet_until=ends)
    alert(acme.tenant, 80)
    alert(acme.tenant, 100, severity="CRITICAL")
    deliveries.send_due()
    assert [body(request)["data"]["threshold"] for request in requests(sink)] == [100]
    waiting = Delivery.objects.get(state=DeliveryState.PENDING)
    assert (waiting.attempts, waiting.next_attempt_at.time()) == (0, ends)


def test_a_test_is_told_once_also_by_a_channel_that_is_off(acme: Company, sink: HTTPServer) -> None:
    sink.expect_ordered_request("/hook").respond_with_data("ok")
    sink.expect_ordered_request("/hook").respond_with_data("", status=500)
    tried = channel(acme.tenant, sink.url_for("/hook"), is_active=False)
    deliveries.send_test(tried, timezone.now())
    deliveries.send_due()
    assert only().state == SENT
    assert body(requests(sink)[0])["type"] == "test"
    deliveries.send_test(tried, timezone.now())
    deliveries.send_due()
    assert Delivery.objects.order_by("-id")[0].state == DEAD
    tried.refresh_from_db()
    assert tried.failures == 0


def test_a_super_admin_sends_again_what_was_given_up_under_its_id(acme: Company, sink: HTTPServer) -> None:
    sink.expect_ordered_request("/hook").respond_with_data("", status=500)
    sink.expect_ordered_request("/hook").respond_with_data("ok")
    channel(acme.tenant, sink.url_for("/hook"))
    alert(acme.tenant)
    deliveries.send_due()
    Delivery.objects.update(state=DEAD, attempts=10)
    browser = console.super_admin()
    page = f"/admin/alerts/delivery/{only().pk}/resend/"
    assert "Send" in browser.get(page, follow=True).content.decode()
    assert only().state == DEAD, "asked first"
    assert browser.post(page, {"confirmed": "yes"}).status_code == 302
    deliveries.send_due()
    assert (only().state, only().attempts, len(set(ids(sink)))) == (SENT, 1, 1)


def test_who_got_a_mail_can_stop_them_without_a_log_in(acme: Company, box: Mailbox) -> None:
    """Opening the link asks; a mail program's one click does it at once."""
    told = channel(acme.tenant, "owner@acme.example", ChannelKind.EMAIL)
    alert(acme.tenant)
    deliveries.send_due()
    link = box.letters[0]["List-Unsubscribe"].strip("<> ").partition("://")[2].partition("/")[2]
    assert f"/{link}" in text_of(box.letters[0])
    client = Client(enforce_csrf_checks=True)
    assert "Stop all alerts of Acme to owner@acme.example?" in client.get(f"/{link}").content.decode()
    told.refresh_from_db()
    assert told.is_active
    assert client.post(f"/{link}", {"List-Unsubscribe": "One-Click"}).status_code == 200
    told.refresh_from_db()
    assert (told.is_active, told.disabled_reason) == (False, "Stopped by who received its mails.")
    assert client.post(f"/{link[:-2]}x/").status_code == 404
    alert(acme.tenant, 95)
    assert deliveries.send_due() == 0


def test_two_senders_at_once_send_each_message_once(committed: None, acme: Company, sink: HTTPServer) -> None:
    """Defect 46: an alert twice on parallel crossings."""
    sink.expect_request("/hook").respond_with_data("ok")
    for number in range(8):
        channel(acme.tenant, sink.url_for("/hook"), name=f"Ops {number}")
    for threshold in (50, 80, 95):
        alert(acme.tenant, threshold)
    tried = at_once(*[deliveries.send_due] * 4)
    assert sum(tried) == 24
    assert len(ids(sink)) == len(set(ids(sink))) == 24
    assert not Delivery.objects.exclude(state=SENT).exists()


def test_a_sender_killed_between_claim_and_answer_loses_nothing(
    committed: None, acme: Company, sink: HTTPServer
) -> None:
    """Its lease runs out, and the message is sent under the same id."""
    sink.expect_request("/hook").respond_with_data("ok")
    channel(acme.tenant, sink.url_for("/hook"))
    alert(acme.tenant)
    killed("alerts.deliveries:_try", 0, "send_alerts", environment={"ALERTS_ALLOW_PRIVATE_TARGETS": "true"})
    left = only()
    assert (left.state, left.attempts) == (DeliveryState.SENDING, 1)
    make_due()
    killed("alerts.deliveries:_record", 0, "send_alerts", environment={"ALERTS_ALLOW_PRIVATE_TARGETS": "true"})
    assert len(ids(sink)) == 1, "sent, and nobody wrote it down"
    make_due()
    deliveries.send_due()
    assert (only().state, only().attempts) == (SENT, 3)
    assert len(ids(sink)) == 2
    assert len(set(ids(sink))) == 1


def test_a_lease_holds_while_a_receiver_takes_its_time(committed: None, acme: Company, sink: HTTPServer) -> None:
    """Another sender leaves the message and its channel alone; a lost lease's end is not written down."""
    asked, may_end = threading.Event(), threading.Event()

    def stall(request: Request) -> Response:
        asked.set()
        may_end.wait(30)
        return Response("ok")

    sink.expect_request("/hook").respond_with_handler(stall)
    channel(acme.tenant, sink.url_for("/hook"))
    for threshold in (50, 80):
        alert(acme.tenant, threshold)

    def meanwhile() -> int:
        assert asked.wait(30)
        try:
            return deliveries.send_due()
        finally:
            may_end.set()

    assert at_once(deliveries.send_due, meanwhile) == [2, 0]
    assert len(set(ids(sink))) == len(ids(sink)) == 2


def test_what_arrived_is_sent_also_for_a_sender_that_lost_its_lease(
    committed: None, acme: Company, sink: HTTPServer
) -> None:
    """Another one tried again meanwhile, in vain: a third try would tell the receiver what it has."""
    answers = [500, 200]

    def answer_the_second_first(request: Request) -> Response:
        if len(answers) == 2:
            status = answers.pop()
            while len(answers) == 1:  # its lease may be renewed in between
                blocked.begin(make_due).result(30)
                blocked.begin(deliveries.send_due).result(30)
            return Response(status=status)
        return Response(status=answers.pop())

    sink.expect_request("/hook").respond_with_handler(answer_the_second_first)
    channel(acme.tenant, sink.url_for("/hook"))
    alert(acme.tenant)
    deliveries.send_due()
    assert len(ids(sink)) == 2
    assert (only().state, only().attempts) == (SENT, 2)


def test_what_is_sent_is_written_down_over_a_connection_that_broke_meanwhile(
    committed: None, acme: Company, sink: HTTPServer
) -> None:
    def end_its_connection(request: Request) -> Response:
        blocked.begin(partial(database.rows, "SELECT pg_terminate_backend(%s, 10000)", [backend])).result(30)
        return Response("ok")

    sink.expect_request("/hook").respond_with_handler(end_its_connection)
    channel(acme.tenant, sink.url_for("/hook"))
    alert(acme.tenant)
    backend = database.rows("SELECT pg_backend_pid()")[0][0]
    deliveries.send_due()
    assert (only().state, only().attempts) == (SENT, 1)


def test_a_stalling_receiver_delays_nobody_else(committed: None, acme: Company, sink: HTTPServer) -> None:
    others = threading.Semaphore(0)

    def stall(request: Request) -> Response:
        for _ in range(3):
            assert others.acquire(timeout=30), "the others were told meanwhile"
        return Response("ok")

    def answer(request: Request) -> Response:
        others.release()
        return Response("ok")

    sink.expect_request("/slow").respond_with_handler(stall)
    sink.expect_request("/hook").respond_with_handler(answer)
    channel(acme.tenant, sink.url_for("/slow"))
    channel(acme.tenant, sink.url_for("/hook"))
    for threshold in (50, 80, 95):
        alert(acme.tenant, threshold)
    slow = Channel.objects.get(address__endswith="/slow")
    Delivery.objects.filter(channel=slow).exclude(alert__threshold=50).delete()
    assert deliveries.send_due() == 4
    assert not Delivery.objects.exclude(state=SENT).exists()
