"""Owners and admins say who is told what."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook

from alerts import deliveries, destinations, disabling
from alerts.destinations import Telling
from alerts.events import PLAN_CHANGED
from alerts.models import Channel, ChannelKind, Delivery
from tenants.models import Role, Tenant, User
from tests.alerts.telling import alert, requests
from tests.cast import Company

URL = "/t/ACME/alerts/settings/"
ADD = {kind: f"{URL}add/{slug}/" for kind, slug in (("EMAIL", "email"), ("CHAT", "chat"), ("HOOK", "webhook"))}
HOOK = {"name": "Ops", "severities": ["WARNING", "CRITICAL"], "digest": "NONE"}
MAIL = HOOK | {"report": "NONE", "address": "ops@acme.example"}


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def owner(acme: Company) -> Client:
    return client_of(acme.owner.user)


def mail_channel(tenant: Tenant, address: str = "ops@acme.example") -> Channel:
    telling = Telling(name="Ops", severities=("WARNING", "CRITICAL"))
    return destinations.add(tenant, kind=ChannelKind.EMAIL, address=address, telling=telling)[0]


def page_of(channel: Channel) -> str:
    return f"{URL}{channel.pk}/"


def edited(owner: Client, channel: Channel, **changes: Any) -> dict[str, Any]:
    """What a browser sends that changes this much of a channel's form."""
    form = owner.get(page_of(channel)).context["form"]
    as_it_is = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in (as_it_is | changes).items() if value is not None}
    return sent | {"do": "save"}


def test_a_signed_webhook_shows_its_secret_once_and_signs_by_it(acme: Company, owner: Client, sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    page = owner.post(ADD["HOOK"], HOOK | {"address": sink.url_for("/hook")})
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert page["Cache-Control"] == "private, no-store"
    for path in (URL, page_of(Channel.objects.get()), f"{page_of(Channel.objects.get())}preview/"):
        assert secret not in owner.get(path).content.decode()
    alert(acme.tenant)
    deliveries.send_due()
    (request,) = requests(sink)
    Webhook(secret).verify(request.data, {name.lower(): value for name, value in request.headers.items()})


def test_a_new_secret_signs_beside_the_last_until_that_is_forgotten(
    acme: Company, owner: Client, sink: HTTPServer
) -> None:
    old = owner.post(ADD["HOOK"], HOOK | {"address": sink.url_for("/hook")}).context["secret"]
    channel = Channel.objects.get()
    new = owner.post(page_of(channel), {"do": "secret"}).context["secret"]
    channel.refresh_from_db()
    assert [secret.open() for secret in channel.secrets] == [new, old]
    owner.post(page_of(channel), {"do": "forget"})
    channel.refresh_from_db()
    assert [secret.open() for secret in channel.secrets] == [new]


def test_no_secret_comes_into_the_record_or_the_log(
    acme: Company, owner: Client, sink: HTTPServer, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = [owner.post(ADD["HOOK"], HOOK | {"address": sink.url_for("/hook")}).context["secret"]]
    channel = Channel.objects.get()
    secrets.append(owner.post(page_of(channel), {"do": "secret"}).context["secret"])
    owner.post(ADD["CHAT"], HOOK | {"address": sink.url_for("/services/xoxb-key")})
    said = "".join(capfd.readouterr()) + "".join(LogEntry.objects.values_list("change_message", flat=True))
    assert LogEntry.objects.count() == 3
    assert "new secret." in said
    assert not any(secret in said for secret in [*secrets, "xoxb-key"])


def test_a_chat_keeps_its_address_secret_and_takes_another(acme: Company, owner: Client, sink: HTTPServer) -> None:
    address = sink.url_for("/services/T0/xoxb-key")
    owner.post(ADD["CHAT"], HOOK | {"address": address})
    channel = Channel.objects.get()
    assert channel.secrets[0].open() == address
    pages = "".join(owner.get(path).content.decode() for path in (URL, page_of(channel)))
    assert "xoxb-key" not in channel.address + pages
    owner.post(page_of(channel), edited(owner, channel, name="#billing", address=""))
    channel.refresh_from_db()
    assert (channel.name, channel.secrets[0].open()) == ("#billing", address)
    owner.post(page_of(channel), edited(owner, channel, address=sink.url_for("/another")))
    channel.refresh_from_db()
    assert channel.secrets[0].open() == sink.url_for("/another")


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("EMAIL", {"address": "nobody"}, "This is not an e-mail address."),
        ("EMAIL", {"address": "ops@acme.example, nobody"}, "nobody: This is not an e-mail address."),
        ("EMAIL", {"report": "HOURLY"}, "Select a valid choice"),
        ("HOOK", {"address": "https://127.0.0.1/hook"}, "is not on the public internet"),
        ("CHAT", {"address": "https://169.254.169.254/hook"}, "is not on the public internet"),
        ("HOOK", {"address": "http://93.184.216.34/hook"}, "begins with https://"),
        ("EMAIL", {"severities": []}, "Choose at least one thing that it tells."),
        ("EMAIL", {"quiet_from": "22:00"}, "a beginning and an end"),
        ("EMAIL", {"kinds": ["AUDIT_BREACH"]}, "Select a valid choice"),
        ("EMAIL", {"events": ["tenant.sold"]}, "Select a valid choice"),
        ("EMAIL", {"name": "a\0b"}, "Null characters are not allowed"),
    ],
)
def test_what_cannot_be_a_channel_is_refused_in_words(
    acme: Company, owner: Client, kind: str, given: dict[str, object], said: str
) -> None:
    page = owner.post(ADD[kind], MAIL | given)
    assert page.status_code == 422
    assert said in page.content.decode()
    assert not Channel.objects.exists()


def test_several_recipients_become_a_channel_each_which_one_can_stop_alone(acme: Company, owner: Client) -> None:
    owner.post(ADD["EMAIL"], MAIL | {"address": "ada@acme.example, ben@acme.example ada@acme.example"})
    names = list(Channel.objects.order_by("address").values_list("name", "address"))
    assert names == [
        ("Ops: ada@acme.example", "ada@acme.example"),
        ("Ops: ben@acme.example", "ben@acme.example"),
    ]


def test_everything_of_a_channel_but_its_kind_can_be_changed(acme: Company, owner: Client) -> None:
    owner.post(ADD["EMAIL"], MAIL)
    channel = Channel.objects.get()
    changes: dict[str, Any] = {
        "name": "Night shift", "address": "night@acme.example", "severities": ["CRITICAL"], "kinds": ["RUN_OUT"],
        "events": [PLAN_CHANGED], "digest": "DAILY", "report": "MONTHLY", "quiet_from": "08:00",
        "quiet_until": "20:00", "kind": "CHAT_WEBHOOK",
    }  # fmt: skip
    answer = owner.post(page_of(channel), edited(owner, channel, **changes), follow=True)
    assert "“Night shift” is changed" in answer.content.decode()
    channel.refresh_from_db()
    assert channel.kind == ChannelKind.EMAIL
    changes.pop("kind")
    changed = {name: getattr(channel, name) for name in changes}
    assert changed | {"quiet_from": "08:00", "quiet_until": "20:00"} == changes
    assert f"{channel.quiet_from:%H:%M} {channel.quiet_until:%H:%M}" == "08:00 20:00"
    assert LogEntry.objects.filter(object_id=channel.pk).count() == 2


@pytest.mark.parametrize(
    "address", ["https://169.254.169.254/", "https://localhost/", "http://93.184.216.34/", "ftp://x", ""]
)
def test_a_changed_address_is_looked_at_like_a_new_one(acme: Company, owner: Client, address: str) -> None:
    telling = Telling(name="Ops", severities=("CRITICAL",))
    kind = ChannelKind.SIGNED_WEBHOOK
    channel, _ = destinations.add(acme.tenant, kind=kind, address="https://93.184.216.34/hook", telling=telling)
    answer = owner.post(page_of(channel), edited(owner, channel, address=address))
    assert answer.status_code == 422
    assert answer.context["form"].errors["address"]
    channel.refresh_from_db()
    assert channel.address == "https://93.184.216.34/hook"


def test_of_two_who_change_a_channel_the_second_sees_what_the_first_did(acme: Company, owner: Client) -> None:
    channel = mail_channel(acme.tenant)
    first, second = edited(owner, channel, name="First"), edited(owner, channel, name="Second")
    owner.post(page_of(channel), first)
    answer = owner.post(page_of(channel), second, follow=True)
    channel.refresh_from_db()
    assert channel.name == "First"
    assert "Somebody changed this channel meanwhile" in answer.content.decode()
    owner.post(page_of(channel), edited(owner, channel, name="Second"))
    channel.refresh_from_db()
    assert channel.name == "Second"


def test_a_test_is_sent_and_seen(acme: Company, owner: Client, sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    owner.post(ADD["HOOK"], HOOK | {"address": sink.url_for("/hook")})
    owner.post(page_of(Channel.objects.get()), {"do": "test"})
    deliveries.send_due()
    for path in (URL, page_of(Channel.objects.get())):
        page = owner.get(path).content.decode()
        assert "Latest messages" in page
        assert "Sent" in page
    assert len(requests(sink)) == 1


def test_a_channel_is_switched_off_and_on_and_removed_once_that_is_meant(acme: Company, owner: Client) -> None:
    channel = mail_channel(acme.tenant)
    alert(acme.tenant)
    for do, is_active in (("off", False), ("on", True)):
        owner.post(page_of(channel), {"do": do})
        channel.refresh_from_db()
        assert channel.is_active is is_active
    assert Delivery.objects.get().state == "DEAD"
    assert "Remove “Ops”?" in owner.get(f"{page_of(channel)}remove/").content.decode()
    assert Channel.objects.exists()
    owner.post(f"{page_of(channel)}remove/")
    assert not Channel.objects.exists()
    assert owner.post(f"{page_of(channel)}remove/").status_code == 404


def test_what_its_receiver_stopped_stays_so_that_nobody_writes_to_them_again(acme: Company, owner: Client) -> None:
    channel = mail_channel(acme.tenant)
    disabling.switch_off(channel, disabling.STOPPED)
    assert "asked to get no more mails" in owner.get(f"{page_of(channel)}remove/").content.decode()
    owner.post(f"{page_of(channel)}remove/")
    assert Channel.objects.get() == channel
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("role", [Role.MANAGER, Role.ANALYST, Role.VIEWER])
def test_only_those_who_manage_the_tenant_change_who_is_told(acme: Company, owner: Client, role: Role) -> None:
    channel = mail_channel(acme.tenant)
    member = acme.people[0].user
    member.role = role
    member.save(update_fields=["role"])
    client = client_of(member)
    pages = [URL, ADD["EMAIL"], f"{URL}thresholds/", page_of(channel), f"{page_of(channel)}remove/"]
    for path in [*pages, f"{page_of(channel)}preview/", f"{page_of(channel)}preview/mail/"]:
        assert client.get(path).status_code == 403, path
        assert client.post(path, MAIL | {"do": "off", "percents": "1"}).status_code == 403, path
        assert Client().get(path).status_code == 302, path
        assert owner.get(path).status_code == 200, path
    assert Channel.objects.get().is_active


def test_another_tenants_channel_is_not_there(acme: Company, rival: Company, owner: Client) -> None:
    theirs = mail_channel(rival.tenant)
    alert(rival.tenant)
    for path in (page_of(theirs), f"{page_of(theirs)}remove/", f"{page_of(theirs)}preview/"):
        assert owner.get(path).status_code == 404, path
        assert client_of(rival.owner.user).get(path).status_code == 404, path
    for do in ("save", "test", "off", "on", "secret", "forget", "steal"):
        assert owner.post(page_of(theirs), MAIL | {"do": do}).status_code == 404
    assert owner.post(f"{page_of(theirs)}remove/").status_code == 404
    theirs.refresh_from_db()
    assert (theirs.is_active, theirs.name, Delivery.objects.count()) == (True, "Ops", 1)
    assert owner.post(page_of(mail_channel(acme.tenant)), {"do": "steal"}).status_code == 404


def test_there_are_only_so_many_channels(acme: Company, owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "MOST_CHANNELS", 2)
    owner.post(ADD["EMAIL"], MAIL | {"name": "First"})
    page = owner.post(ADD["EMAIL"], MAIL | {"name": "More", "address": "a@acme.example b@acme.example"})
    assert Channel.objects.get().name == "First", "all or none"
    assert page.status_code == 422
    assert "There are 2 channels already." in page.content.decode()


def test_a_test_goes_to_nobody_who_stopped_the_mails(acme: Company, owner: Client) -> None:
    channel = mail_channel(acme.tenant)
    disabling.switch_off(channel, disabling.STOPPED)
    page = owner.post(page_of(channel), {"do": "test"}, follow=True)
    assert "switch it on first" in page.content.decode()
    assert not Delivery.objects.exists()


def test_a_name_is_one_line_however_it_is_sent(acme: Company, owner: Client) -> None:
    owner.post(ADD["EMAIL"], MAIL | {"name": "Ops\n\nCall 555\r\n"})
    assert Channel.objects.get().name == "Ops Call 555"


@pytest.mark.parametrize("deed", ["save", "test", "on", "off", "secret", "forget"])
def test_another_tenants_channel_is_not_there_and_no_form_comes_without_its_token(
    acme: Company, rival: Company, owner: Client, deed: str
) -> None:
    theirs, mine = mail_channel(rival.tenant, "ops@rival.example"), mail_channel(acme.tenant)
    before = Channel.objects.filter(pk=theirs.pk).values().get()
    assert owner.post(page_of(theirs), MAIL | {"do": deed, "seen": destinations.stamp(theirs)}).status_code == 404
    assert owner.post(f"/t/RIVAL/alerts/settings/{theirs.pk}/", {"do": deed}).status_code in {403, 404}
    assert Channel.objects.filter(pk=theirs.pk).values().get() == before
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(acme.owner.user)
    assert strict.post(page_of(mine), {"do": deed}).status_code == 403


@pytest.mark.parametrize(
    "sent",
    [
        {"name": "a\0b"}, {"address": "a\0b@acme.example"}, {"address": "x" * 100_000}, {"name": "x" * 100_000},
        {"severities": ["\0"]}, {"quiet_from": "99:99", "quiet_until": "x"}, {"digest": "\0"},
        {"address": "a@acme.example\r\nBcc: b@acme.example"},
    ],
)  # fmt: skip
def test_what_no_browser_sends_is_refused_in_words(acme: Company, owner: Client, sent: dict[str, Any]) -> None:
    assert owner.post(ADD["EMAIL"], MAIL | sent).status_code == 422
    assert not Channel.objects.exists()


@pytest.mark.parametrize(
    "address",
    [
        "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://127.1/", "https://0x7f000001/",
        "https://2130706433/", "https://0/", "https://[fe80::1%25lo]/", "https://169.254.169.254/latest/",
        "https://8.8.8.8@127.0.0.1/", "https://8.8.8.8\\@127.0.0.1/", "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/", "https://localhost:5432/", "https://１２７.０.０.１/", "http://8.8.8.8/",
        "https://user:pw@8.8.8.8/", "https://8.8.8.8:99999/", "gopher://8.8.8.8/", "https://100.64.0.1/",
    ],
)  # fmt: skip
def test_an_edit_leads_a_webhook_nowhere_inside(acme: Company, owner: Client, address: str) -> None:
    telling = Telling(name="Ops", severities=("CRITICAL",))
    hook = destinations.add(
        acme.tenant, kind=ChannelKind.SIGNED_WEBHOOK, address="https://8.8.8.8/hook", telling=telling
    )[0]
    assert owner.post(page_of(hook), edited(owner, hook, address=address)).status_code == 422
    assert Channel.objects.get().address == "https://8.8.8.8/hook"
