"""The plan of a tenant: on its root token, inherited by every other, changed at its dates, and nowhere else."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction
from pytest_django import DjangoAssertNumQueries

from plans.models import Plan, PlanStatus
from tenants import facts, tokens
from tenants.models import ATIToken, Tenant, TenantPlan, TokenStatus
from tenants.tokens import TokenError
from tests import cast
from tests.tenants.credentials import refused_by

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


def tier(company: cast.Company, now: datetime = NOW) -> str | None:
    """The plan's code as the owner's own token shows it, read anew."""
    return ATIToken.objects.get(user=company.owner.user).plan_tier(now)


def known_tier(company: cast.Company, now: datetime) -> str | None:
    """The plan's code by the facts that calls are decided on."""
    found = facts.tenant(company.tenant.id)
    plan = found.root.in_force(now) if found.root else None
    return Plan.objects.get(pk=plan).code if plan else None


def listed_tier(company: cast.Company) -> str | None:
    """The plan's code in lists and joins, where the database's own clock counts."""
    row = TenantPlan.objects.filter(tenant=company.tenant).select_related("plan").first()
    return row.plan.code if row else None


def test_every_token_of_a_tenant_inherits_the_plan_of_its_root(acme: cast.Company) -> None:
    """Defect 22."""
    invitation = tokens.issue_invitation(acme.tenant).record
    for token in ATIToken.objects.for_tenant(acme.tenant):
        assert token.root == acme.root
        assert token.plan_tier(NOW) == "PRO"
    assert invitation.plan is None
    assert [token.plan for token in ATIToken.objects.for_tenant(acme.tenant).roots()] == [cast.plan("PRO")]


def test_the_plan_is_stored_on_tokens_and_nowhere_else() -> None:
    """Defect 22: one source, so that two cannot disagree."""
    referring = {
        f"{relation.related_model.__name__}.{relation.field.name}"
        for relation in Plan._meta.related_objects
        if relation.related_model._meta.app_label == "tenants" and relation.related_model._meta.managed
    }
    assert referring == {"ATIToken.plan", "ATIToken.next_plan"}


def test_a_change_of_the_roots_plan_is_everybodys_at_once(acme: cast.Company, rival: cast.Company) -> None:
    tokens.change_plan(acme.root, cast.plan("ENTERPRISE"), now=NOW)
    assert {token.plan_tier(NOW) for token in ATIToken.objects.for_tenant(acme.tenant)} == {"ENTERPRISE"}
    assert known_tier(acme, NOW) == listed_tier(acme) == "ENTERPRISE"
    assert tier(rival) == known_tier(rival, NOW) == listed_tier(rival) == "PRO"


@pytest.mark.parametrize("whose", ["root", "owner"])
@pytest.mark.parametrize("end", ["SUSPENDED", "REVOKED", "EXPIRED", "USED_UP"])
def test_what_becomes_of_a_token_does_not_change_the_plan(acme: cast.Company, whose: str, end: str) -> None:
    """Defect 22: the plan ends at plan_ends_at and at nothing else."""
    token = acme.root if whose == "root" else ATIToken.objects.get(user=acme.owner.user)
    if end == "EXPIRED":
        tokens.renew(token, expires_at=NOW)
    elif end == "USED_UP":
        ATIToken.objects.filter(pk=token.pk, user=None).update(max_uses=1, usage_count=1)
    else:
        tokens.set_status(token, TokenStatus(end))
    assert tier(acme) == known_tier(acme, NOW) == listed_tier(acme) == "PRO"


def test_the_tier_is_the_code_of_a_plan(acme: cast.Company) -> None:
    """Defect 26."""
    codes = set(Plan.objects.filter(status=PlanStatus.ACTIVE).values_list("code", flat=True))
    assert codes >= {"FREE", "PRO", "ENTERPRISE"}
    for code in sorted(codes):
        tokens.change_plan(acme.root, cast.plan(code), now=NOW)
        assert tier(acme) == code


# --- A tenant admin and the plan ----------------------------------------------


def test_no_function_but_the_super_admins_takes_a_plan() -> None:
    """Defect 23."""
    functions = inspect.getmembers(tokens, inspect.isfunction)
    taking = {name for name, function in functions if "plan" in inspect.signature(function).parameters}
    assert {name for name in taking if not name.startswith("_")} == {"issue_root", "change_plan"}


@pytest.mark.parametrize("change", [tokens.change_plan, tokens.end_plan], ids=["change_plan", "end_plan"])
def test_a_plan_cannot_be_changed_through_another_token(acme: cast.Company, change: Callable[..., None]) -> None:
    """Defect 23."""
    branch = ATIToken.objects.get(user=acme.owner.user)
    values = {"plan": cast.plan("ENTERPRISE"), "now": NOW} if change is tokens.change_plan else {"at": None}
    with pytest.raises(TokenError, match="Only the root token"):
        change(branch, **values)
    assert tier(acme) == "PRO"


@pytest.mark.parametrize("field", ["plan", "next_plan", "plan_starts_at", "plan_ends_at"])
def test_the_database_refuses_a_plan_on_any_other_token(acme: cast.Company, field: str) -> None:
    """Defect 23."""
    values = {field: NOW if field.endswith("_at") else cast.plan("ENTERPRISE")}
    if field == "next_plan":
        values["next_plan_at"] = NOW
    with refused_by("tenants_atitoken_plan_on_root_only"):
        ATIToken.objects.filter(user=acme.owner.user).update(**values)


@pytest.mark.parametrize("field", ["plan", "plan_starts_at"])
def test_the_database_refuses_a_root_token_without_a_plan(acme: cast.Company, field: str) -> None:
    with refused_by("tenants_atitoken_plan_on_root_only"):
        ATIToken.objects.filter(pk=acme.root.pk).update(**{field: None})


def test_the_database_refuses_a_root_token_of_one_user(acme: cast.Company) -> None:
    user = acme.owner.user
    root = ATIToken(
        tenant=acme.tenant, user=user, fingerprint="0" * 16, hash=b"\0" * 32, plan=acme.root.plan, plan_starts_at=NOW
    )
    root.root_id = root.id
    with refused_by("tenants_atitoken_root_is_invitation"):
        root.save(force_insert=True)


# --- Dates ---------------------------------------------------------------------


def test_the_next_plan_takes_over_at_its_time_without_a_write(acme: cast.Company) -> None:
    tokens.change_plan(acme.root, cast.plan("ENTERPRISE"), now=NOW, at=NOW + HOUR)
    snapshot = facts.tenant(acme.tenant.id)
    for now, code in ((NOW, "PRO"), (NOW + HOUR - TICK, "PRO"), (NOW + HOUR, "ENTERPRISE")):
        assert tier(acme, now) == known_tier(acme, now) == code
    assert facts.tenant(acme.tenant.id) is snapshot
    assert snapshot.root is not None
    assert NOW + HOUR in snapshot.root.changes()


def test_a_plan_is_in_force_from_its_start_until_its_end(acme: cast.Company) -> None:
    tokens.end_plan(acme.root, at=NOW)
    for now, code in (
        (cast.STARTED - TICK, None),
        (cast.STARTED, "PRO"),
        (NOW - TICK, "PRO"),
        (NOW, None),
        (NOW + HOUR, None),
    ):
        assert tier(acme, now) == known_tier(acme, now) == code


def test_the_end_ends_the_next_plan_too(acme: cast.Company) -> None:
    tokens.change_plan(acme.root, cast.plan("ENTERPRISE"), now=NOW, at=NOW + HOUR)
    tokens.end_plan(acme.root, at=NOW + 2 * HOUR)
    assert tier(acme, NOW + HOUR) == "ENTERPRISE"
    assert tier(acme, NOW + 2 * HOUR) is None


def test_a_plan_that_ended_is_in_force_again_when_its_end_is_moved(acme: cast.Company) -> None:
    tokens.end_plan(acme.root, at=NOW - HOUR)
    with pytest.raises(TokenError, match="move its end"):
        tokens.change_plan(acme.root, cast.plan("FREE"), now=NOW)
    tokens.end_plan(acme.root, at=None)
    assert tier(acme) == "PRO"


@pytest.mark.parametrize(
    ("next_in", "ends_in", "code", "until"),
    [
        (None, None, "PRO", None),
        (+1, None, "PRO", +1),
        (-1, None, "ENTERPRISE", None),
        (-1, +2, "ENTERPRISE", +2),
        (+1, +2, "PRO", +1),
        (None, +2, "PRO", +2),
        (None, -1, None, None),
        (-2, -1, None, None),
    ],
)
def test_the_view_knows_the_plan_of_this_moment(
    acme: cast.Company, next_in: int | None, ends_in: int | None, code: str | None, until: int | None
) -> None:
    next_at = None if next_in is None else NOW + next_in * HOUR
    ATIToken.objects.filter(pk=acme.root.pk).update(
        next_plan=None if next_at is None else cast.plan("ENTERPRISE"),
        next_plan_at=next_at,
        plan_ends_at=None if ends_in is None else NOW + ends_in * HOUR,
    )
    assert listed_tier(acme) == tier(acme, datetime.now(UTC)) == code
    row = TenantPlan.objects.filter(tenant=acme.tenant).first()
    if row is not None:
        assert row.root_token == acme.root
        assert row.until == (None if until is None else NOW + until * HOUR)
        assert row.since == (next_at if code == "ENTERPRISE" else cast.STARTED)


def test_the_view_shows_no_plan_before_its_start(acme: cast.Company) -> None:
    ATIToken.objects.filter(pk=acme.root.pk).update(plan_starts_at=NOW + HOUR)
    assert listed_tier(acme) is None


def test_the_view_is_walked_both_ways(
    acme: cast.Company, rival: cast.Company, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    tokens.change_plan(rival.root, cast.plan("FREE"), now=NOW)
    with django_assert_num_queries(1):
        tenants = Tenant.objects.select_related("current_plan__plan").order_by("ati_id")
        assert [(t.ati_id, t.current_plan.plan.code) for t in tenants] == [("ACME", "PRO"), ("RIVAL", "FREE")]
    with django_assert_num_queries(2):
        plans = {plan.code: plan for plan in Plan.objects.live().prefetch_related("current_tenants")}
        assert [row.tenant_id for row in plans["PRO"].current_tenants.all()] == [acme.tenant.id]
        assert [row.tenant_id for row in plans["ENTERPRISE"].current_tenants.all()] == []
    assert list(Tenant.objects.filter(current_plan__plan__code="FREE")) == [rival.tenant]

    tokens.end_plan(acme.root, at=NOW)
    with pytest.raises(TenantPlan.DoesNotExist):
        _ = Tenant.objects.get(pk=acme.tenant.pk).current_plan


def test_the_view_cannot_be_written(acme: cast.Company) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        TenantPlan.objects.filter(tenant=acme.tenant).update(plan=cast.plan("FREE"))


def test_the_tiers_of_a_list_cost_one_query(
    acme: cast.Company, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        tokens_of_acme = ATIToken.objects.for_tenant(acme.tenant).with_plan_tier()
        assert {token.plan_tier(NOW) for token in tokens_of_acme} == {"PRO"}


# --- Changing it -----------------------------------------------------------------


def test_whoever_changes_the_plan_first_folds_in_one_already_due(acme: cast.Company) -> None:
    tokens.change_plan(acme.root, cast.plan("ENTERPRISE"), now=NOW, at=NOW + HOUR)
    tokens.change_plan(acme.root, cast.plan("FREE"), now=NOW + 2 * HOUR, at=NOW + 3 * HOUR)
    assert (acme.root.plan, acme.root.plan_starts_at) == (cast.plan("ENTERPRISE"), NOW + HOUR)
    assert tier(acme, NOW + 2 * HOUR) == "ENTERPRISE"
    assert tier(acme, NOW + 3 * HOUR) == "FREE"


def test_a_plan_put_in_force_now_does_not_fall_back_to_one_already_due(acme: cast.Company) -> None:
    tokens.change_plan(acme.root, cast.plan("ENTERPRISE"), now=NOW, at=NOW + HOUR)
    tokens.change_plan(acme.root, cast.plan("FREE"), now=NOW + 2 * HOUR)
    assert tier(acme, NOW + 2 * HOUR) == "FREE"
    assert acme.root.next_plan is None


@pytest.mark.parametrize("at", [NOW, NOW - HOUR])
def test_a_next_plan_begins_in_the_future(acme: cast.Company, at: datetime) -> None:
    with pytest.raises(TokenError, match="in the future"):
        tokens.change_plan(acme.root, cast.plan("FREE"), now=NOW, at=at)


def test_a_next_plan_begins_before_the_end(acme: cast.Company) -> None:
    tokens.end_plan(acme.root, at=NOW + HOUR)
    with pytest.raises(TokenError, match="has ended by then"):
        tokens.change_plan(acme.root, cast.plan("FREE"), now=NOW, at=NOW + HOUR)
    tokens.change_plan(acme.root, cast.plan("FREE"), now=NOW, at=NOW + HOUR - TICK)
    with pytest.raises(TokenError, match="before the next plan"):
        tokens.end_plan(acme.root, at=NOW + HOUR - TICK)
    with refused_by("tenants_atitoken_next_plan_before_end"):
        ATIToken.objects.filter(pk=acme.root.pk).update(next_plan_at=NOW + HOUR)


def test_a_plan_ends_after_its_start(acme: cast.Company) -> None:
    with pytest.raises(TokenError, match="before it begins"):
        tokens.end_plan(acme.root, at=cast.STARTED)
    with refused_by("tenants_atitoken_plan_starts_before_end"):
        ATIToken.objects.filter(pk=acme.root.pk).update(plan_ends_at=cast.STARTED)
    tenant = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    with pytest.raises(TokenError, match="before it begins"):
        tokens.issue_root(tenant, cast.plan("FREE"), starts_at=NOW, ends_at=NOW)


def test_a_next_plan_has_a_date(acme: cast.Company) -> None:
    with refused_by("tenants_atitoken_next_plan_has_date"):
        ATIToken.objects.filter(pk=acme.root.pk).update(next_plan=cast.plan("FREE"))
    with refused_by("tenants_atitoken_next_plan_has_date"):
        ATIToken.objects.filter(pk=acme.root.pk).update(next_plan_at=NOW)


@pytest.mark.parametrize("status", [PlanStatus.DRAFT, PlanStatus.DEPRECATED])
def test_only_an_active_plan_is_given(acme: cast.Company, status: PlanStatus) -> None:
    plan = Plan.objects.create(code="TRIAL", name="Trial", status=status)
    tenant = Tenant.objects.create(ati_id="NEWCO", name="Newco")
    with pytest.raises(TokenError, match="not active"):
        tokens.change_plan(acme.root, plan, now=NOW)
    with pytest.raises(TokenError, match="not active"):
        tokens.issue_root(tenant, plan, starts_at=NOW)


def test_a_deprecated_plan_is_kept_by_its_holders(acme: cast.Company) -> None:
    plan = Plan.objects.create(code="TRIAL", name="Trial", status=PlanStatus.ACTIVE)
    tokens.change_plan(acme.root, plan, now=NOW)
    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.DEPRECATED)
    assert tier(acme) == listed_tier(acme) == "TRIAL"
