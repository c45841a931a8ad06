"""Where nobody has said who is told, the owners are."""

from io import StringIO
from urllib.parse import urlsplit

import pytest
from django.core import signing
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from alerts import deliveries, destinations, disabling, owners
from alerts.channels.mail import STOPPING
from alerts.destinations import Telling
from alerts.models import Channel, ChannelKind, Delivery, QuotaAlert, Severity
from tenants.models import Role, User, UserStatus
from tests.alerts.quotas import quota, use
from tests.alerts.telling import alert, channel
from tests.cast import Company
from tests.enforcement.api import Api
from tests.mailbox import Mailbox, text_of
from tests.parallel import at_once


def addresses(**fields: object) -> list[str]:
    return sorted(Channel.objects.filter(**fields).values_list("address", flat=True))


def test_an_owner_is_told_what_was_noticed_before_there_was_any_channel(acme: Company, api: Api, box: Mailbox) -> None:
    quota(acme, 10)
    use(api, 10)
    assert not Delivery.objects.exists()
    owners.have_told()
    deliveries.send_due()
    told = [letter for letter in box.letters if letter["To"] == acme.owner.user.email]
    assert len(told) == 3
    assert "10 of 10 API calls" in text_of(told[-1])
    owners.have_told()
    assert deliveries.send_due() == 0


def test_a_tenant_with_a_channel_has_said_who_is_told(acme: Company, rival: Company) -> None:
    channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL, is_active=False)
    owners.have_told()
    assert addresses(tenant=acme.tenant) == ["ops@acme.example"]
    assert addresses(tenant=rival.tenant) == [rival.owner.user.email]


def test_whoever_follows_the_link_in_a_mail_is_never_told_again(acme: Company, box: Mailbox) -> None:
    owners.have_told()
    alert(acme.tenant)
    deliveries.send_due()
    (letter,) = [each for each in box.letters if each["To"] == acme.owner.user.email]
    link = urlsplit(letter["List-Unsubscribe"].strip(" <>\r\n"))
    assert Client().post(link.path).status_code == 200
    owners.have_told()
    alert(acme.tenant, 100)
    given = Channel.objects.get(tenant=acme.tenant)
    assert (given.is_active, given.disabled_reason) == (False, disabling.STOPPED)
    with pytest.raises(destinations.Unusable, match="stopped it"):
        destinations.remove(given.pk)
    assert Delivery.objects.filter(tenant=acme.tenant).count() == 1


def test_mails_end_with_the_role_and_the_next_owner_gets_them(acme: Company) -> None:
    owners.have_told()
    first, second = acme.owner.user, acme.people[0].user
    User.objects.filter(pk=second.pk).update(role=Role.OWNER)
    User.objects.filter(pk=first.pk).update(status=UserStatus.SUSPENDED)
    owners.have_told()
    assert addresses(tenant=acme.tenant, is_active=True) == [second.email]
    User.objects.filter(pk=first.pk).update(status=UserStatus.ACTIVE)
    owners.have_told()
    assert addresses(tenant=acme.tenant, is_active=True) == sorted([first.email, second.email])


def test_an_erased_owner_gets_no_more_mails(committed: None, acme: Company) -> None:
    owners.have_told()
    User.objects.filter(pk=acme.people[0].user.pk).update(role=Role.OWNER)
    call_command("erase_user", "ACME", str(acme.owner.user.pk), yes=True, stdout=StringIO())
    owners.have_told()
    given = Channel.objects.get(pk=acme.owner.user.pk)
    assert acme.owner.user.email not in given.address + given.name
    assert not given.is_active
    assert addresses(tenant=acme.tenant, is_active=True) == [acme.people[0].user.email]


def test_a_channel_led_elsewhere_is_the_tenants_and_stays(acme: Company) -> None:
    owners.have_told()
    given = Channel.objects.get(tenant=acme.tenant)
    telling = Telling(name="All of us", severities=("CRITICAL",))
    destinations.change(given.pk, seen=destinations.stamp(given), address="all@acme.example", telling=telling)
    User.objects.filter(pk=acme.owner.user.pk).update(status=UserStatus.SUSPENDED)
    owners.have_told()
    assert addresses(tenant=acme.tenant, is_active=True) == ["all@acme.example"]


def test_once_removed_the_last_channel_gives_way_to_the_owners(acme: Company) -> None:
    destinations.remove(channel(acme.tenant, "ops@acme.example", ChannelKind.EMAIL).pk)
    owners.have_told()
    given = Channel.objects.get(tenant=acme.tenant)
    assert given.address == acme.owner.user.email
    assert set(given.severities) == set(Severity.values)
    assert not given.kinds


def test_super_admins_are_told_where_they_have_no_channel(acme: Company) -> None:
    User.objects.create_superuser("root@console.example")
    owners.have_told()
    assert addresses(tenant=None) == ["root@console.example"]
    assert Channel.objects.get(tenant=None).name == "Super admin: root@console.example"


def test_sweeps_at_once_give_one_channel_and_one_mail(committed: None, acme: Company) -> None:
    alert(acme.tenant)
    QuotaAlert.objects.update(created_at=Now())
    at_once(*[owners.have_told] * 4)
    assert Channel.objects.filter(tenant=acme.tenant).count() == 1
    assert Delivery.objects.filter(tenant=acme.tenant).count() == 1


def test_an_owner_with_a_new_address_is_told_there(acme: Company) -> None:
    owners.have_told()
    User.objects.filter(pk=acme.owner.user.pk).update(email="new@acme.example")
    owners.have_told()
    assert addresses(tenant=acme.tenant, is_active=True) == ["new@acme.example"]


def test_who_comes_back_as_owner_with_a_new_address_is_told_again(acme: Company) -> None:
    owners.have_told()
    person = User.objects.filter(pk=acme.owner.user.pk)
    person.update(role=Role.VIEWER)
    owners.have_told()
    person.update(role=Role.OWNER, email="new@acme.example")
    owners.have_told()
    assert addresses(tenant=acme.tenant, is_active=True) == ["new@acme.example"]
    assert owners.have_told() == 0


def test_whoever_stops_what_was_off_already_is_never_told_again(acme: Company) -> None:
    """Switched off for another reason, it would come back with the role."""
    owners.have_told()
    person, given = User.objects.filter(pk=acme.owner.user.pk), Channel.objects.get(tenant=acme.tenant)
    link = reverse("stop-alerts", args=[signing.dumps(str(given.pk), salt=STOPPING)])
    person.update(role=Role.VIEWER)
    owners.have_told()
    assert "Stop all alerts" in Client().get(link).content.decode()
    assert Client().post(link).status_code == 200
    person.update(role=Role.OWNER)
    owners.have_told()
    given.refresh_from_db()
    assert (given.is_active, given.disabled_reason) == (False, disabling.STOPPED)
