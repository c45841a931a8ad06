"""Super admins say in the console how they are told themselves, and see what everybody was told."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from pytest_httpserver import HTTPServer

from alerts import deliveries, disabling
from alerts.events import ALERT_RESOLVED
from alerts.models import Channel, ChannelKind, Delivery
from tests import console
from tests.alerts.telling import alert, channel, requests
from tests.cast import Company

NEW = {
    "name": "Operators", "kind": "EMAIL", "address": "ops@console.example", "severities": ["WARNING", "CRITICAL"],
    "kinds": ["AUDIT_BREACH", "LAG"], "events": [ALERT_RESOLVED], "digest": "HOURLY", "quiet_from": "22:00",
    "quiet_until": "06:00",
}  # fmt: skip


@pytest.fixture
def root(db: None) -> Client:
    return console.super_admin()


def add(root: Client, **given: Any) -> Any:
    return root.post(console.address(Channel, "add"), NEW | given)


def do(root: Client, what: str, of: Channel, *, sure: bool = True) -> Any:
    """An action on the page of a channel, answered with yes or only asked for."""
    url = reverse(f"admin:alerts_channel_{what}", args=[of.pk])
    return root.post(url, {"confirmed": "yes"}) if sure else root.get(url)


def said() -> list[str]:
    return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


def test_a_channel_is_added_and_changed_and_on_record(root: Client) -> None:
    assert add(root).status_code == 302
    made = Channel.objects.get()
    assert (made.tenant, made.kind, made.kinds, made.digest) == (None, "EMAIL", ["AUDIT_BREACH", "LAG"], "HOURLY")
    assert f"{made.quiet_from:%H:%M}" == "22:00"
    form = console.form_of(root.get(console.address(Channel, "change", made.pk)))
    sent = form | {"name": "Night shift", "address": "night@console.example", "kind": "SIGNED_WEBHOOK"}
    assert root.post(console.address(Channel, "change", made.pk), sent).status_code == 302
    made.refresh_from_db()
    assert (made.name, made.address, made.kind) == ("Night shift", "night@console.example", "EMAIL")
    assert len(said()) == 2


def test_a_secret_is_shown_once_and_is_in_no_record(root: Client, sink: HTTPServer) -> None:
    answer = add(root, kind="SIGNED_WEBHOOK", address=sink.url_for("/hook"))
    made = Channel.objects.get()
    secret = made.secrets[0].open()
    assert secret in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    again = do(root, "renew_secret", made).content.decode()
    made.refresh_from_db()
    assert made.secrets[0].open() in again
    assert len(made.secrets) == 2
    page = root.get(console.address(Channel, "change", made.pk)).content.decode()
    everything = page + "".join(said())
    assert not any(each.open() in everything for each in made.secrets)
    do(root, "forget_secret", made)
    made.refresh_from_db()
    assert len(made.secrets) == 1


def test_a_chats_address_stays_secret_and_stays_where_it_is_left_as_it_is(root: Client, sink: HTTPServer) -> None:
    add(root, kind="CHAT_WEBHOOK", address=sink.url_for("/services/xoxb-key"))
    made = Channel.objects.get()
    address = console.address(Channel, "change", made.pk)
    form = console.form_of(root.get(address))
    assert "xoxb-key" not in root.get(address).content.decode() + "".join(said())
    root.post(address, form | {"name": "#ops"})
    made.refresh_from_db()
    assert (made.name, made.secrets[0].open()) == ("#ops", sink.url_for("/services/xoxb-key"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"address": "nobody"}, "This is not an e-mail address."),
        ({"address": ""}, "This is not an e-mail address."),
        ({"kind": "SIGNED_WEBHOOK", "address": "https://127.0.0.1/"}, "is not on the public internet"),
        ({"kind": "IN_APP"}, "Select a valid choice"),
        ({"kinds": ["THRESHOLD"]}, "Select a valid choice"),
        ({"severities": [], "events": []}, "Choose at least one thing that it tells."),
        ({"quiet_until": ""}, "a beginning and an end"),
    ],
)
def test_what_cannot_be_a_channel_is_refused_in_words(root: Client, given: dict[str, Any], words: str) -> None:
    answer = add(root, **given)
    assert words in console.text_of(answer)
    assert not Channel.objects.exists()


def test_a_changed_address_is_looked_at_like_a_new_one(root: Client) -> None:
    hook = channel(None, "https://93.184.216.34/hook")
    address = console.address(Channel, "change", hook.pk)
    form = console.form_of(root.get(address))
    answer = root.post(address, form | {"address": "https://169.254.169.254/"})
    assert "is not on the public internet" in console.text_of(answer)
    hook.refresh_from_db()
    assert hook.address == "https://93.184.216.34/hook"


def test_it_is_tried_switched_and_removed_once_that_is_meant(root: Client, sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    hook = channel(None, sink.url_for("/hook"))
    for what in ("test", "switch_off", "renew_secret"):
        assert do(root, what, hook, sure=False).status_code == 200
    assert not Delivery.objects.exists()
    assert not said()
    do(root, "test", hook)
    deliveries.send_due()
    assert len(requests(sink)) == 1
    for what, is_active in (("switch_off", False), ("switch_on", True)):
        do(root, what, hook)
        hook.refresh_from_db()
        assert hook.is_active is is_active
    assert said() == ["A test was sent.", "Switched off.", "Switched on."]
    gone = console.address(Channel, "delete", hook.pk)
    assert "Ops" in console.text_of(root.get(gone))
    assert Channel.objects.exists()
    root.post(gone, {"post": "yes"})
    assert not Channel.objects.exists()


def test_a_tenants_channels_are_its_owners_to_change(root: Client, acme: Company) -> None:
    theirs = channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL)
    page = root.get(console.address(Channel, "change", theirs.pk))
    assert "its owners and admins change it" in console.text_of(page)
    assert root.post(console.address(Channel, "change", theirs.pk), NEW).status_code == 403
    assert root.post(console.address(Channel, "delete", theirs.pk), {"post": "yes"}).status_code == 403
    for what in ("test", "switch_off", "renew_secret"):
        assert do(root, what, theirs).status_code == 403
    theirs.refresh_from_db()
    assert (theirs.is_active, theirs.name, Delivery.objects.count()) == (True, "Ops", 0)


def test_what_its_receiver_stopped_cannot_be_removed(root: Client) -> None:
    stopped = channel(None, "ops@console.example", ChannelKind.EMAIL)
    disabling.switch_off(stopped, disabling.STOPPED)
    assert root.post(console.address(Channel, "delete", stopped.pk), {"post": "yes"}).status_code == 403


def test_only_who_may_change_channels_does(root: Client, acme: Company) -> None:
    mine = channel(None, "ops@console.example", ChannelKind.EMAIL)
    looker = console.clerk("alerts.view_channel")
    assert looker.get(console.address(Channel, "change", mine.pk)).status_code == 200
    assert add(looker).status_code == 403
    assert do(looker, "switch_off", mine).status_code == 403
    console.assert_only_those_with("alerts.view_channel", console.address(Channel, "changelist"), acme.owner.user)


def test_messages_are_found_by_state_way_tenant_and_time(root: Client, acme: Company) -> None:
    channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL)
    channel(None, "https://93.184.216.34/hook")
    alert(acme.tenant)
    alert(None)
    Delivery.objects.filter(tenant=None).update(state="DEAD")
    listing = console.address(Delivery, "changelist")
    for narrowed, found in (
        ({}, 2), ({"how": "EMAIL"}, 1), ({"how": "CHAT_WEBHOOK"}, 0), ({"state__exact": "DEAD"}, 1),
        ({"when": "1h"}, 2), ({"tenant__id__exact": str(acme.tenant.pk)}, 1),
    ):  # fmt: skip
        answer = root.get(listing, narrowed)
        assert len(answer.context["cl"].result_list) == found, narrowed


def test_the_sidebar_counts_open_alerts_and_messages_that_nobody_got(root: Client, acme: Company) -> None:
    home = root.get("/admin/")
    assert badges(home) == {}
    channel(None, "https://93.184.216.34/hook")
    alert(None)
    alert(None, 100)
    alert(acme.tenant)
    assert badges(root.get("/admin/")) == {"Alerts": "2"}
    Delivery.objects.update(state="DEAD")
    home = root.get("/admin/")
    assert badges(home) == {"Alerts": "2", "Deliveries": "2"}
    assert "2 messages of the last 7 days that nobody got" in console.text_of(home)
    clerk = console.clerk("alerts.view_channel").get("/admin/")
    assert badges(clerk) == {}
    names = [item["title"] for group in clerk.context["sidebar_navigation"] for item in group["items"]]
    assert names == ["Channels"]


def badges(page: Any) -> dict[str, str]:
    """The counts that the sidebar shows, by what they stand beside."""
    shown = {
        item["title"]: item.get("badge")
        for group in page.context["sidebar_navigation"] for item in group["items"]
    }  # fmt: skip
    found = {title: badge for title, badge in shown.items() if badge}
    for badge in found.values():
        assert re.search(rf">\s*{badge}\s*</span>", page.content.decode())
    return found
