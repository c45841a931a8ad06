"""Mails, through a real server that takes them, refuses them, or is away."""

from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone
from pytest_httpserver import HTTPServer

from alerts import deliveries, reports
from alerts.models import AlertKind, Channel, ChannelKind, Delivery, DeliveryState, Digest, QuotaAlert, Report
from alerts.waiting import MOST_ATTEMPTS
from tests.alerts.telling import alert, channel, make_due, requests
from tests.cast import Company
from tests.mailbox import Mailbox, mailbox, text_of

SENT, FAILED, DEAD = DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.DEAD
OWNER, BOOKS = "owner@acme.example", "books@acme.example"


def mailed(company: Company, address: str, **more: object) -> Channel:
    return channel(company.tenant, address, ChannelKind.EMAIL, **more)


def of(address: str) -> Delivery:
    return Delivery.objects.select_related("channel").get(channel__address=address)


@pytest.mark.parametrize(
    ("answer", "why"),
    [("450 4.2.1 try later", "The mail server does not take mail for it now (450)."),
     ("550 5.1.1 nobody of that name", "The mail server does not take mail for it (550).")],
)  # fmt: skip
def test_one_whose_address_is_refused_is_tried_again_and_the_others_get_theirs(
    answer: str, why: str, acme: Company, box: Mailbox
) -> None:
    box.refused[OWNER] = answer
    mailed(acme, OWNER)
    mailed(acme, BOOKS)
    alert(acme.tenant)
    deliveries.send_due()
    assert [letter["To"] for letter in box.letters] == [BOOKS]
    assert (of(BOOKS).state, of(OWNER).state, of(OWNER).last_error) == (SENT, FAILED, why)
    assert (of(OWNER).channel.failures, of(BOOKS).channel.failures) == (1, 0)
    box.refused.clear()
    make_due()
    deliveries.send_due()
    assert (of(OWNER).state, of(OWNER).channel.failures) == (SENT, 0)
    assert [letter["To"] for letter in box.letters] == [BOOKS, OWNER]


def test_an_address_that_is_refused_for_days_is_switched_off_and_the_others_are_told(
    acme: Company, box: Mailbox
) -> None:
    box.refused[BOOKS] = "550 5.1.1 nobody of that name"
    mailed(acme, BOOKS)
    mailed(acme, OWNER)
    alert(acme.tenant)
    for _ in range(MOST_ATTEMPTS):
        make_due()
        deliveries.send_due()
    off = Channel.objects.get(address=BOOKS)
    assert (off.is_active, off.disabled_reason) == (False, "The mail server does not take mail for it (550).")
    assert QuotaAlert.objects.filter(kind=AlertKind.CHANNEL_DISABLED).count() == 1
    deliveries.send_due()
    assert "was switched off" in " ".join(box.letters[-1]["Subject"].split())
    assert box.letters[-1]["To"] == OWNER


def test_a_mail_that_the_server_does_not_want_is_tried_again_and_blames_no_channel(acme: Company, box: Mailbox) -> None:
    box.answer = "552 too much"
    mailed(acme, OWNER)
    alert(acme.tenant)
    deliveries.send_due()
    assert (of(OWNER).state, of(OWNER).last_error) == (FAILED, "The mail server refused it (552).")
    assert of(OWNER).channel.failures == 0
    box.answer = "250 kept"
    make_due()
    deliveries.send_due()
    assert of(OWNER).state == SENT


def test_while_the_mail_server_is_away_the_other_channels_are_told_and_mails_follow_when_it_is_back(
    acme: Company, sink: HTTPServer
) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    mailed(acme, OWNER)
    channel(acme.tenant, sink.url_for("/hook"))
    alert(acme.tenant)
    smtp = "django.core.mail.backends.smtp.EmailBackend"
    with override_settings(EMAIL_BACKEND=smtp, EMAIL_HOST="127.0.0.1", EMAIL_PORT=9):
        deliveries.send_due()
    assert len(requests(sink)) == 1
    assert (of(OWNER).state, of(OWNER).channel.failures) == (FAILED, 0)
    assert "could not be reached" in of(OWNER).last_error
    with mailbox() as back:
        make_due()
        deliveries.send_due()
    assert len(back.letters) == 1
    assert len(requests(sink)) == 1, "told once"


def test_every_mail_can_be_stopped_by_one_click_and_fits_72_columns(acme: Company, box: Mailbox) -> None:
    """An alert, a digest, a test and a report."""
    alone, daily = mailed(acme, OWNER), mailed(acme, BOOKS, digest=Digest.DAILY)
    for threshold in (50, 80):
        alert(acme.tenant, threshold)
    deliveries.send_test(alone, timezone.now())
    Channel.objects.filter(pk=daily.pk).update(report=Report.WEEKLY)
    daily.refresh_from_db()
    reports.send_now(daily, timezone.now() - timedelta(seconds=1))
    deliveries.send_due()
    assert len(box.letters) == 5
    links = set()
    for letter in box.letters:
        assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert letter["Auto-Submitted"] == "auto-generated"
        link = letter["List-Unsubscribe"].strip("<> ")
        links.add(link)
        assert link in text_of(letter)
        assert link in text_of(letter, "html")
        lines = text_of(letter).splitlines()
        assert max(len(line) for line in lines if "http" not in line) <= 72
        assert all(line.strip().startswith("http") or len(line) <= 72 for line in lines)
    assert len(links) == 2, "one for each channel"


def test_lines_are_broken_between_words_and_addresses_never(acme: Company, box: Mailbox) -> None:
    name = "A company whose name is about as long as names of companies can get in this world of ours"
    acme.tenant.name = name
    acme.tenant.save(update_fields=["name"])
    mailed(acme, OWNER)
    alert(acme.tenant)
    deliveries.send_due()
    (letter,) = box.letters
    assert name in " ".join(text_of(letter).split())
