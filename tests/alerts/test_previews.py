"""What a channel would get is shown before anybody gets it."""

import json

import pytest
from django.test import Client

from alerts import destinations
from alerts.models import AlertKind, Channel, ChannelKind, Delivery, QuotaAlert
from tenants.models import Tenant
from tests.alerts.telling import SECRET, alert, channel
from tests.cast import Company

EVIL = "<img src=x onerror=alert(1)> & Co"


@pytest.fixture
def owner(acme: Company) -> Client:
    client = Client()
    client.force_login(acme.owner.user)
    return client


def url(of: Channel, part: str = "") -> str:
    return f"/t/ACME/alerts/settings/{of.pk}/preview/{part}"


@pytest.mark.parametrize("kind", destinations.OF_TENANTS)
def test_every_kind_has_a_sample_by_every_way_and_nothing_is_written(
    acme: Company, owner: Client, kind: AlertKind
) -> None:
    ways = [
        channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL),
        channel(acme.tenant, "https://hooks.slack.com/…", ChannelKind.CHAT_WEBHOOK),
        channel(acme.tenant, "https://example.com/hook"),
        channel(acme.tenant, "", ChannelKind.IN_APP),
    ]
    for way in ways:
        page = owner.get(url(way), {"of": kind})
        assert page.status_code == 200
        assert "Sample: " in page.content.decode()
        assert page.context["kind"] == kind
    mail = owner.get(url(ways[0], "mail/"), {"of": kind})
    assert "Sample: Acme" in mail.content.decode()
    assert not QuotaAlert.objects.exists()
    assert not Delivery.objects.exists()


def test_the_figures_are_those_of_the_tenant_where_there_are_some(acme: Company, owner: Client) -> None:
    mine = channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL)
    page = owner.get(url(mine))
    assert "what is used of it is made up" in page.content.decode()
    alert(acme.tenant)
    page = owner.get(url(mine))
    assert "the last time that this was noticed" in page.content.decode()
    assert "4,012,300 of 5,000,000 tokens" in page.content.decode()


def test_a_preview_shows_no_other_tenants_figures(acme: Company, rival: Company, owner: Client) -> None:
    alert(rival.tenant)
    page = owner.get(url(channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL)))
    assert "4,012,300" not in page.content.decode()


def test_names_are_text_in_every_preview(acme: Company, owner: Client) -> None:
    Tenant.objects.filter(pk=acme.tenant.pk).update(name=EVIL)
    mail = channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL, name=EVIL)
    hook = channel(acme.tenant, "https://example.com/hook", name=EVIL)
    told = {"of": "CHANNEL_DISABLED"}
    for path in (url(mail), url(mail, "mail/"), url(hook)):
        page = owner.get(path, told).content.decode()
        assert "<img" not in page
        assert "&lt;img src=x onerror=alert(1)&gt; &amp; Co" in page
    assert EVIL in owner.get(url(mail), told).context["preview"].letter.body.replace("\n", " ")


def test_a_webhooks_preview_is_what_would_be_posted_without_its_secret(acme: Company, owner: Client) -> None:
    page = owner.get(url(channel(acme.tenant, "https://example.com/hook")))
    posted = json.loads(page.context["preview"].posted)
    assert posted["type"] == "alert.threshold"
    assert posted["data"]["tenant"] == "ACME"
    assert SECRET not in page.content.decode()


def test_the_frame_of_a_mail_runs_nothing_and_is_framed_by_us_alone(acme: Company, owner: Client) -> None:
    mine = channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL)
    mail = owner.get(url(mine, "mail/"))
    policy = mail["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert mail["X-Frame-Options"] == "SAMEORIGIN"
    assert owner.get(url(mine))["X-Frame-Options"] == "DENY"


def test_a_preview_says_where_the_channel_is_not_told_of_it(acme: Company, owner: Client) -> None:
    mine = channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL, kinds=["RUN_OUT"])
    assert "is not told of this" in owner.get(url(mine)).content.decode()
    assert "is not told of this" not in owner.get(url(mine), {"of": "RUN_OUT"}).content.decode()
    assert owner.get(url(mine), {"of": "AUDIT_BREACH"}).context["kind"] == AlertKind.THRESHOLD
