"""Owners and admins say who is told what."""

import pytest
from django.test import Client
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook

from alerts import deliveries, destinations, shares
from alerts.models import AlertPolicy, Channel, ChannelKind, Delivery
from tenants.models import Role, User
from tests.alerts.telling import alert, requests
from tests.cast import Company

URL = "/t/ACME/alerts/settings/"
HOOK = {"kind": "SIGNED_WEBHOOK", "name": "Ops", "severities": ["WARNING", "CRITICAL"]}


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def owner(acme: Company) -> Client:
    return client_of(acme.owner.user)


def test_a_signed_webhook_shows_its_secret_once_and_signs_by_it(acme: Company, owner: Client, sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    page = owner.post(URL, HOOK | {"address": sink.url_for("/hook")})
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert secret not in owner.get(URL).content.decode()
    alert(acme.tenant)
    deliveries.send_due()
    (request,) = requests(sink)
    Webhook(secret).verify(request.data, {name.lower(): value for name, value in request.headers.items()})


def test_a_new_secret_signs_beside_the_last_until_that_is_forgotten(
    acme: Company, owner: Client, sink: HTTPServer
) -> None:
    old = owner.post(URL, HOOK | {"address": sink.url_for("/hook")}).context["secret"]
    channel = Channel.objects.get()
    new = owner.post(f"{URL}{channel.pk}/", {"do": "secret"}).context["secret"]
    channel.refresh_from_db()
    assert [secret.open() for secret in channel.secrets] == [new, old]
    owner.post(f"{URL}{channel.pk}/", {"do": "forget"})
    channel.refresh_from_db()
    assert [secret.open() for secret in channel.secrets] == [new]


def test_a_chat_keeps_its_address_secret(acme: Company, owner: Client, sink: HTTPServer) -> None:
    address = sink.url_for("/services/T0/xoxb-key")
    owner.post(URL, HOOK | {"kind": "CHAT_WEBHOOK", "address": address})
    channel = Channel.objects.get()
    assert channel.secrets[0].open() == address
    assert "xoxb-key" not in channel.address + owner.get(URL).content.decode()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "EMAIL", "address": "nobody"}, "This is not an e-mail address."),
        ({"address": "https://127.0.0.1/hook"}, "is not on the public internet"),
        ({"address": "http://93.184.216.34/hook"}, "begins with https://"),
        ({"kind": "IN_APP", "address": "https://93.184.216.34/"}, "Select a valid choice"),
        ({"address": "https://93.184.216.34/", "severities": []}, "This field is required."),
        ({"address": "https://93.184.216.34/", "quiet_from": "22:00"}, "a beginning and an end"),
        ({"address": "https://93.184.216.34/", "name": "a\0b"}, "Null characters are not allowed"),
    ],
)
def test_what_cannot_be_a_channel_is_refused_in_words(
    acme: Company, owner: Client, given: dict[str, object], said: str
) -> None:
    page = owner.post(URL, HOOK | given)
    assert page.status_code == 422
    assert said in page.content.decode()
    assert not Channel.objects.exists()


def test_a_test_is_sent_and_seen(acme: Company, owner: Client, sink: HTTPServer) -> None:
    sink.expect_request("/hook").respond_with_data("ok")
    owner.post(URL, HOOK | {"address": sink.url_for("/hook")})
    owner.post(f"{URL}{Channel.objects.get().pk}/", {"do": "test"})
    deliveries.send_due()
    page = owner.get(URL).content.decode()
    assert "Latest messages" in page
    assert "Sent" in page
    assert len(requests(sink)) == 1


def test_a_channel_is_switched_off_and_on_and_removed(acme: Company, owner: Client) -> None:
    owner.post(URL, HOOK | {"kind": "EMAIL", "address": "ops@acme.example"})
    channel = Channel.objects.get()
    alert(acme.tenant)
    for do, is_active in (("off", False), ("on", True)):
        owner.post(f"{URL}{channel.pk}/", {"do": do})
        channel.refresh_from_db()
        assert channel.is_active is is_active
    assert Delivery.objects.get().state == "DEAD"
    owner.post(f"{URL}{channel.pk}/", {"do": "remove"})
    assert not Channel.objects.exists()


def test_thresholds_of_a_tenant_take_the_place_of_everybodys(acme: Company, rival: Company, owner: Client) -> None:
    assert shares.of(acme.tenant) == [50, 80, 95, 100]
    owner.post(f"{URL}thresholds/", {"percents": "90, 75%, 90"})
    assert shares.of(acme.tenant) == [75, 90]
    assert shares.of(rival.tenant) == [50, 80, 95, 100]
    assert owner.post(f"{URL}thresholds/", {"percents": "0, many"}).status_code == 422
    owner.post(f"{URL}thresholds/", {"percents": ""})
    assert AlertPolicy.objects.for_tenant(acme.tenant).get().percents == []


def test_only_those_who_manage_the_tenant_get_there(acme: Company, rival: Company, owner: Client) -> None:
    mine, _ = destinations.add(
        rival.tenant, kind=ChannelKind.EMAIL, name="Ops", address="ops@rival.example", severities=["CRITICAL"]
    )
    assert Client().get(URL).status_code == 302
    assert client_of(rival.owner.user).get(URL).status_code == 404
    assert client_of(acme.people[0].user).get(URL).status_code == 403
    assert client_of(acme.people[0].user).post(f"{URL}thresholds/", {"percents": "1"}).status_code == 403
    assert owner.post(f"{URL}{mine.pk}/", {"do": "remove"}).status_code == 404
    assert owner.post(f"{URL}{mine.pk}/", {"do": "steal"}).status_code == 404
    assert Channel.objects.get() == mine
    acme.people[0].user.role = Role.ADMIN
    acme.people[0].user.save(update_fields=["role"])
    assert client_of(acme.people[0].user).get(URL).status_code == 200


def test_there_are_only_so_many_channels(acme: Company, owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "MOST_CHANNELS", 1)
    for name in ("First", "Second"):
        page = owner.post(URL, HOOK | {"kind": "EMAIL", "name": name, "address": "ops@acme.example"}, follow=True)
    assert Channel.objects.get().name == "First"
    assert "There are 1 channels already." in page.content.decode()
