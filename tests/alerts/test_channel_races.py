"""Channels that are changed by two at once, or go while something is being sent to them."""

from functools import partial
from threading import Event

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from alerts import deliveries, destinations
from alerts.destinations import Overtaken, Telling
from alerts.models import Channel, Delivery, QuotaAlert
from tests.alerts.telling import alert, channel, requests
from tests.cast import Company
from tests.parallel import at_once

TELLING = Telling(name="Ops", severities=("CRITICAL",))


def test_of_two_edits_at_once_one_is_told_of_the_other(committed: None, acme: Company) -> None:
    mine = channel(acme.tenant, "https://example.com/hook")
    seen = destinations.stamp(mine)

    def edit(name: str) -> str:
        telling = Telling(name=name, severities=("CRITICAL",))
        try:
            return destinations.change(mine.pk, seen=seen, address="", telling=telling).name
        except Overtaken:
            return ""

    names = at_once(partial(edit, "First"), partial(edit, "Second"))
    assert sorted(bool(name) for name in names) == [False, True]
    assert Channel.objects.get().name == "".join(names)


def test_of_two_new_secrets_at_once_both_sign(committed: None, acme: Company) -> None:
    mine = channel(acme.tenant, "https://example.com/hook")
    shown = at_once(*[partial(destinations.renew_secret, mine.pk)] * 2)
    mine.refresh_from_db()
    assert {secret.open() for secret in mine.secrets} == set(shown)


def test_a_channel_that_goes_while_it_is_sent_to_leaves_nothing_behind(
    committed: None, acme: Company, sink: HTTPServer
) -> None:
    reached, removed = Event(), Event()

    def slow(_: Request) -> Response:
        reached.set()
        assert removed.wait(30)
        return Response("ok")

    sink.expect_request("/hook").respond_with_handler(slow)
    mine, other = channel(acme.tenant, sink.url_for("/hook")), channel(acme.tenant, sink.url_for("/other"))
    sink.expect_request("/other").respond_with_data("ok")
    alert(acme.tenant)

    def remove() -> int:
        assert reached.wait(30)
        destinations.remove(mine.pk)
        removed.set()
        return 0

    tried, _ = at_once(deliveries.send_due, remove)
    assert tried == 2
    assert Channel.objects.get() == other
    assert Delivery.objects.get().state == "SENT"
    assert len(requests(sink)) == 2


def test_an_alert_that_is_noticed_while_a_channel_goes_is_written_down(committed: None, acme: Company) -> None:
    for threshold in range(1, 41):
        going = channel(acme.tenant, "https://example.com/hook")
        at_once(partial(alert, acme.tenant, threshold), partial(destinations.remove, going.pk))
    assert QuotaAlert.objects.count() == 40
    assert not Delivery.objects.exists()


def test_what_was_removed_meanwhile_is_said_to_be(acme: Company) -> None:
    mine = channel(acme.tenant, "https://example.com/hook")
    seen = destinations.stamp(mine)
    destinations.remove(mine.pk)
    for change in (
        partial(destinations.change, mine.pk, seen=seen, address="", telling=TELLING),
        partial(destinations.renew_secret, mine.pk), partial(destinations.remove, mine.pk),
    ):  # fmt: skip
        with pytest.raises(Overtaken, match="removed this channel meanwhile"):
            change()
