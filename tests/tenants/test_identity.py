"""Tenants and their people: what the database holds, whoever writes."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.db.models import ProtectedError

from tenants import tokens
from tenants.models import (
    ATIToken,
    EnforcementMode,
    Role,
    Scope,
    ServiceKey,
    Tenant,
    TenantStatus,
    User,
    UserStatus,
)
from tests import cast
from tests.tenants.credentials import refused_by

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


# --- No row mixes two tenants -----------------------------------------------------


def test_a_token_has_the_root_of_its_own_tenant(acme: cast.Company, rival: cast.Company) -> None:
    with refused_by("tenants_atitoken_root_is_the_tenants"):
        ATIToken.objects.create(tenant=acme.tenant, root=rival.root, fingerprint="0" * 16, hash=b"\0" * 32)


def test_a_tokens_root_is_no_branch(acme: cast.Company) -> None:
    branch = tokens.issue_invitation(acme.tenant).record
    with refused_by("tenants_atitoken_root_is_the_tenants"):
        ATIToken.objects.create(tenant=acme.tenant, root=branch, fingerprint="0" * 16, hash=b"\0" * 32)


def test_a_token_is_for_a_user_of_its_own_tenant(acme: cast.Company, rival: cast.Company) -> None:
    with refused_by("tenants_atitoken_user_is_the_tenants"):
        ATIToken.objects.create(
            tenant=acme.tenant, root=acme.root, user=rival.owner.user, fingerprint="0" * 16, hash=b"\0" * 32
        )


def test_a_tenants_root_token_is_its_own(acme: cast.Company, rival: cast.Company) -> None:
    newco = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    with refused_by("tenants_tenant_root_token_id_key"):
        Tenant.objects.filter(pk=newco.pk).update(root_token=rival.root)
    branch = tokens.issue_invitation(acme.tenant).record
    with refused_by("tenants_tenant_root_token_is_its_own"):
        Tenant.objects.filter(pk=newco.pk).update(root_token=branch)


def test_a_users_sign_up_token_is_of_their_tenant_and_so_of_its_root(acme: cast.Company, rival: cast.Company) -> None:
    user = acme.people[0].user
    for theirs in (rival.root, tokens.issue_invitation(rival.tenant).record):
        with refused_by("tenants_user_signup_token_is_the_tenants"):
            User.objects.filter(pk=user.pk).update(signup_token=theirs)
    ours = tokens.issue_invitation(acme.tenant).record
    User.objects.filter(pk=user.pk).update(signup_token=ours)
    user.refresh_from_db()
    assert user.signup_token is not None
    assert user.signup_token.root == acme.root


def test_a_user_does_not_move_to_another_tenant(acme: cast.Company, rival: cast.Company) -> None:
    newcomer = User.objects.create_user("ann@people.example", None, tenant=acme.tenant, signup_token=acme.root)
    with refused_by("tenants_user_signup_token_is_the_tenants"):
        User.objects.filter(pk=newcomer.pk).update(tenant=rival.tenant)
    with refused_by("tenants_atitoken_user_is_the_tenants"):
        User.objects.filter(pk=acme.people[0].user.pk).update(tenant=rival.tenant, signup_token=None)


# --- What a row can be --------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("tenants_tenant_status", {"status": "CLOSED"}),
        ("tenants_tenant_enforcement_mode", {"enforcement_mode": "DRY"}),
        ("tenants_tenant_billing_anchor_day", {"billing_anchor_day": 0}),
        ("tenants_tenant_billing_anchor_day", {"billing_anchor_day": 32}),
        ("tenants_tenant_next_calendar", {"next_timezone": "UTC"}),
        ("tenants_tenant_next_calendar", {"next_calendar_at": NOW}),
        (
            "tenants_tenant_next_calendar",
            {"next_timezone": "UTC", "next_billing_anchor_day": 32, "next_calendar_at": NOW},
        ),
        (
            "tenants_tenant_next_calendar_after_since",
            {
                "next_timezone": "UTC",
                "next_billing_anchor_day": 1,
                "next_calendar_at": NOW,
                "calendar_since": NOW,
            },
        ),
    ],
)
def test_the_database_refuses_a_tenant_that_cannot_be(
    acme: cast.Company, constraint: str, values: dict[str, object]
) -> None:
    with refused_by(constraint):
        Tenant.objects.filter(pk=acme.tenant.pk).update(**values)


@pytest.mark.parametrize("ati_id", ["", "acme", "1ACME", "AC ME", "ACME\n", "ÄCME", "-"])
def test_a_public_name_is_upper_case_letters_digits_and_dashes(db: None, ati_id: str) -> None:
    with refused_by("tenants_tenant_ati_id"):
        Tenant.objects.create(ati_id=ati_id, name="Acme")
    assert Tenant.objects.create(ati_id="ACME-2_B", name="Acme").status == TenantStatus.ACTIVE


@pytest.mark.parametrize("values", [{"ati_id": "OTHER"}, {"meter_secret": b"\0" * 32}])
def test_a_tenants_public_name_and_meter_secret_never_change(acme: cast.Company, values: dict[str, object]) -> None:
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        Tenant.objects.filter(pk=acme.tenant.pk).update(**values)


def test_each_tenant_has_its_own_meter_secret(acme: cast.Company, rival: cast.Company) -> None:
    secrets = {bytes(tenant.meter_secret) for tenant in Tenant.objects.all()}
    assert [len(secret) for secret in secrets] == [32, 32]


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("tenants_user_role", {"role": "BOSS"}),
        ("tenants_user_status", {"status": "GONE"}),
        ("tenants_user_super_admin_has_no_tenant", {"role": Role.SUPER_ADMIN}),
        ("tenants_user_super_admin_has_no_tenant", {"tenant": None, "signup_token": None}),
        ("tenants_user_superuser_is_super_admin", {"is_superuser": True}),
        ("tenants_user_email_lower_case", {"email": "Owner@acme.example"}),
        ("tenants_user_email", {"email": "user1@acme.example"}),
    ],
)
def test_the_database_refuses_a_user_that_cannot_be(
    acme: cast.Company, constraint: str, values: dict[str, object]
) -> None:
    with refused_by(constraint):
        User.objects.filter(email="owner@acme.example").update(**values)


def test_a_super_admin_signs_up_by_no_token(acme: cast.Company) -> None:
    admin = User.objects.create_superuser("root@people.example", "a long and quiet road")
    assert (admin.tenant, admin.is_staff, admin.is_superuser) == (None, True, True)
    with refused_by("tenants_user_signup_token_needs_tenant"):
        User.objects.filter(pk=admin.pk).update(signup_token=acme.root)


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("tenants_servicekey_scopes", {"scopes": []}),
        ("tenants_servicekey_scopes", {"scopes": ["everything"]}),
        ("tenants_servicekey_scopes", {"scopes": ["read", "READ"]}),
        ("tenants_servicekey_calls_per_second", {"calls_per_second": 0}),
    ],
)
def test_the_database_refuses_a_key_that_cannot_be(svc: str, constraint: str, values: dict[str, object]) -> None:
    with refused_by(constraint):
        ServiceKey.objects.update(**values)


# --- People ---------------------------------------------------------------------------


def test_an_e_mail_address_is_stored_and_found_in_lower_case(acme: cast.Company) -> None:
    user = User.objects.create_user(" Ann@People.Example ", None, tenant=acme.tenant)
    assert user.email == "ann@people.example"
    assert User.objects.get_by_natural_key("ANN@people.example") == user
    user.email = "Ann.Smith@People.example"
    user.full_clean(exclude=["password"])
    assert user.email == "ann.smith@people.example"


def test_only_super_admins_enter_the_admin_and_only_active_people_log_in(acme: cast.Company) -> None:
    owner = acme.owner.user
    assert (owner.is_active, owner.is_staff) == (True, False)
    owner.status = UserStatus.SUSPENDED
    assert (owner.is_active, owner.is_staff) == (False, False)
    assert owner.get_full_name() == owner.get_short_name() == str(owner) == "owner@acme.example"


def test_no_password_means_no_log_in(acme: cast.Company) -> None:
    assert not User.objects.create_user("ann@people.example", None, tenant=acme.tenant).check_password("")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "localtime", "", "utc "])
def test_a_form_refuses_a_zone_that_does_not_exist(acme: cast.Company, zone: str) -> None:
    acme.tenant.timezone = zone
    with pytest.raises(ValidationError) as caught:
        acme.tenant.full_clean()
    assert set(caught.value.message_dict) == {"timezone"}


# --- What may go ------------------------------------------------------------------------


def test_nothing_that_others_refer_to_can_be_deleted(acme: cast.Company) -> None:
    tokens.issue_key("search", [Scope.READ], tenant=acme.tenant)
    for row in (acme.tenant, acme.root, acme.owner.user, acme.root.plan):
        assert row is not None
        with pytest.raises(ProtectedError):
            row.delete()


def test_a_tenant_without_people_tokens_and_keys_can_go(db: None) -> None:
    Tenant.objects.create(ati_id="NEWCO", name="Newco").delete()
    assert not Tenant.objects.filter(ati_id="NEWCO").exists()


def test_a_rotated_key_may_go_without_its_successor(db: None) -> None:
    old = tokens.issue_key("search", [Scope.READ]).record
    new = tokens.rotate_key(old, now=NOW, grace=HOUR).record
    assert (new.replaces, old.replaced_by) == (old, new)
    old.delete()
    new.refresh_from_db()
    assert new.replaces is None


def test_sets_of_rows_have_verbs(acme: cast.Company, rival: cast.Company) -> None:
    Tenant.objects.filter(pk=rival.tenant.pk).update(status=TenantStatus.SUSPENDED)
    assert list(Tenant.objects.active()) == [acme.tenant]
    assert set(ATIToken.objects.roots()) == {acme.root, rival.root}
    usable = tokens.issue_key("a", [Scope.READ], expires_at=NOW + HOUR).record
    tokens.issue_key("b", [Scope.READ], expires_at=NOW)
    tokens.revoke_key(tokens.issue_key("c", [Scope.READ]).record, now=NOW)
    assert list(ServiceKey.objects.usable(NOW)) == [usable]
    assert acme.tenant.enforcement_mode == EnforcementMode.ENFORCE
