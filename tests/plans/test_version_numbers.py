"""Every change of configuration moves the number of its subject, by whatever hand; nothing else does."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.db import models
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from plans.models import (
    Feature,
    LLMModel,
    ModelClass,
    ModelPrice,
    Plan,
    PlanFeature,
    PlanStatus,
    PolicyRule,
    Provider,
    RolloutRule,
    Task,
)
from tenants import tokens, versions
from tenants.models import ATIToken, Scope, ServiceKey, Tenant, User
from tenants.versions import CATALOGUE, KEYS
from tests import cast
from tests.database import run
from tests.plans.conftest import NEXT_YEAR, World

ACME, RIVAL = "ACME", "RIVAL"
SOON = datetime(2040, 1, 1, tzinfo=UTC)


def numbers(world: World) -> dict[object, int]:
    subjects: dict[object, UUID] = {
        CATALOGUE: CATALOGUE,
        KEYS: KEYS,
        ACME: world.acme.tenant.id,
        RIVAL: world.rival.tenant.id,
    }
    return {name: versions.number_of(subject) for name, subject in subjects.items()}


def moved(world: World, change: Callable[[World], object]) -> dict[object, int]:
    """By how much a change moved which number."""
    before = numbers(world)
    change(world)
    after = numbers(world)
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def of_acme(world: World) -> "models.QuerySet[Tenant]":
    return Tenant.objects.filter(pk=world.acme.tenant.pk)


def root(world: World) -> "models.QuerySet[ATIToken]":
    return ATIToken.objects.filter(pk=world.acme.root.pk)


def token(world: World) -> "models.QuerySet[ATIToken]":
    return ATIToken.objects.filter(user=world.acme.people[0].user)


def person(world: World) -> "models.QuerySet[User]":
    return User.objects.filter(pk=world.acme.people[0].user.pk)


def key(world: World) -> "models.QuerySet[ServiceKey]":
    return ServiceKey.objects.filter(pk=world.key.pk)


def rule(world: World) -> "models.QuerySet[PolicyRule]":
    return PolicyRule.objects.filter(pk=world.tenant_rule.pk)


def rollout(world: World) -> "models.QuerySet[RolloutRule]":
    return RolloutRule.objects.filter(pk=world.rollout.pk)


def rerank() -> "models.QuerySet[Feature]":
    return Feature.objects.filter(code="RERANK")


def gpt() -> "models.QuerySet[LLMModel]":
    return LLMModel.objects.filter(model_id="gpt-4o")


def price() -> "models.QuerySet[ModelPrice]":
    return ModelPrice.objects.filter(model__model_id="gpt-4o", unit="INPUT", is_batch=False)


def pro() -> "models.QuerySet[Plan]":
    return Plan.objects.filter(code="PRO", status=PlanStatus.ACTIVE)


def general(key: str) -> "models.QuerySet[PolicyRule]":
    return PolicyRule.objects.filter(scope="GLOBAL", key=key)


def publish(world: World) -> None:
    pro().update(status=PlanStatus.DEPRECATED)
    Plan.objects.filter(pk=world.draft.pk).update(status=PlanStatus.ACTIVE)


COUNTED: dict[str, tuple[dict[object, int], Callable[[World], object]]] = {
    "tenant made": ({}, lambda w: Tenant.objects.create(ati_id="NEW", name="New")),
    "tenant renamed": ({ACME: 1}, lambda w: of_acme(w).update(name="Acme Corp")),
    "tenant suspended": ({ACME: 1}, lambda w: of_acme(w).update(status="SUSPENDED")),
    "tenant observed": ({ACME: 1}, lambda w: of_acme(w).update(enforcement_mode="OBSERVE")),
    "tenant moved": ({ACME: 1}, lambda w: of_acme(w).update(timezone="Asia/Tokyo")),
    "tenant billed on the 15th": ({ACME: 1}, lambda w: of_acme(w).update(billing_anchor_day=15)),
    "tenant to be moved": (
        {ACME: 1},
        lambda w: of_acme(w).update(next_timezone="Asia/Tokyo", next_billing_anchor_day=1, next_calendar_at=SOON),
    ),
    "user made": ({ACME: 1}, lambda w: User.objects.create_user("new@acme.example", tenant=w.acme.tenant)),
    "user suspended": ({ACME: 1}, lambda w: person(w).update(status="SUSPENDED")),
    "user promoted": ({ACME: 1}, lambda w: person(w).update(role="ADMIN")),
    "token issued": ({ACME: 1}, lambda w: tokens.issue_for_user(w.acme.owner.user)),
    "token renewed": ({ACME: 1}, lambda w: tokens.renew(w.acme.root, expires_at=SOON)),
    "token revoked": ({ACME: 1}, lambda w: token(w).update(status="REVOKED", revoked_at=Now())),
    "token expires": ({ACME: 1}, lambda w: token(w).update(expires_at=SOON)),
    "token deleted": ({ACME: 1}, lambda w: token(w).delete()),
    "plan changed": ({ACME: 1}, lambda w: root(w).update(plan=cast.plan("FREE"))),
    "plan starts": ({ACME: 1}, lambda w: root(w).update(plan_starts_at=cast.STARTED + timedelta(1))),
    "plan ends": ({ACME: 1}, lambda w: root(w).update(plan_ends_at=NEXT_YEAR + timedelta(1))),
    "next plan": ({ACME: 1}, lambda w: root(w).update(next_plan=cast.plan("FREE"))),
    "next plan sooner": ({ACME: 1}, lambda w: root(w).update(next_plan_at=SOON)),
    "key issued": ({KEYS: 1}, lambda w: tokens.issue_key("new", [Scope.READ], tenant=w.acme.tenant)),
    "key widened": ({KEYS: 1}, lambda w: key(w).update(scopes=["enforce", "read"])),
    "key for any tenant": ({KEYS: 1}, lambda w: key(w).update(tenant=None)),
    "key slowed": ({KEYS: 1}, lambda w: key(w).update(calls_per_second=1)),
    "key expires": ({KEYS: 1}, lambda w: key(w).update(expires_at=SOON)),
    "key revoked": ({KEYS: 1}, lambda w: key(w).update(revoked_at=SOON)),
    "key deleted": ({KEYS: 1}, lambda w: key(w).delete()),
    "exception made": (
        {ACME: 1},
        lambda w: PolicyRule.objects.create(
            scope="TENANT", tenant=w.acme.tenant, key="CONCURRENCY_LIMIT", value=9, reason="Trial"
        ),
    ),
    "exception changed": ({ACME: 1}, lambda w: rule(w).update(value=0)),
    "exception lifted": ({ACME: 1}, lambda w: rule(w).update(value=None)),
    "exception ends": ({ACME: 1}, lambda w: rule(w).update(ends_at=SOON)),
    "exception for another task": ({ACME: 1}, lambda w: rule(w).update(task="LLM1_PRIOR_ART")),
    "exception deleted": ({ACME: 1}, lambda w: rule(w).delete()),
    "exception for another tenant": ({ACME: 1, RIVAL: 1}, lambda w: rule(w).update(tenant=w.rival.tenant)),
    "rule for everybody": ({CATALOGUE: 1}, lambda w: general("MIN_TOKENS_OUT").update(value=1)),
    "task's rule for everybody": (
        {CATALOGUE: 1},
        lambda w: PolicyRule.objects.create(scope="GLOBAL", task_id="EMBED", key="MAX_TOKENS_IN", value=1),
    ),
    "roll-out for everybody": (
        {CATALOGUE: 1},
        lambda w: RolloutRule.objects.create(gate="ALL", mode="OFF", starts_at=timezone.now(), reason="Fire"),
    ),
    "roll-out changed": ({ACME: 1}, lambda w: rollout(w).update(mode="ENFORCE")),
    "roll-out later": ({ACME: 1}, lambda w: rollout(w).update(starts_at=SOON)),
    "roll-out of another gate": ({ACME: 1}, lambda w: rollout(w).update(gate="BUDGET")),
    "roll-out ended": ({ACME: 1}, lambda w: rollout(w).update(ends_at=NEXT_YEAR + timedelta(days=1))),
    "roll-out for all tenants": ({ACME: 1, CATALOGUE: 1}, lambda w: rollout(w).update(tenant=None)),
    "roll-out deleted": ({ACME: 1}, lambda w: rollout(w).delete()),
    "feature made": ({CATALOGUE: 1}, lambda w: Feature.objects.create(code="X", name="X", unit="ITEMS")),
    "feature renamed": ({CATALOGUE: 1}, lambda w: rerank().update(name="Sorting")),
    "feature observed": ({CATALOGUE: 1}, lambda w: rerank().update(enforcement_mode="OBSERVE")),
    "feature fails open": ({CATALOGUE: 1}, lambda w: rerank().update(on_failure="OPEN")),
    "task made": ({CATALOGUE: 1}, lambda w: Task.objects.create(code="X", name="X", feature_id="RERANK", kind="API")),
    "task renamed": ({CATALOGUE: 1}, lambda w: Task.objects.filter(code="EMBED").update(name="X")),
    "task priced": ({CATALOGUE: 1}, lambda w: Task.objects.filter(code="EMBED").update(price_per_unit_nano_usd=None)),
    "class made": ({CATALOGUE: 1}, lambda w: ModelClass.objects.create(code="X", name="X", rank=1)),
    "class ranked": ({CATALOGUE: 1}, lambda w: ModelClass.objects.filter(code="PRO_L").update(rank=45)),
    "fallback gone": ({CATALOGUE: 1}, lambda w: ModelClass.objects.filter(is_fallback=True).update(is_fallback=False)),
    "model made": (
        {CATALOGUE: 1},
        lambda w: LLMModel.objects.create(provider_id="OPENAI", model_id="x", model_class_id="PRO_L"),
    ),
    "model retired": ({CATALOGUE: 1}, lambda w: gpt().update(is_active=False)),
    "model of another class": ({CATALOGUE: 1}, lambda w: gpt().update(model_class="PRO_M")),
    "model preferred": ({CATALOGUE: 1}, lambda w: gpt().update(priority=1)),
    "price changed": ({CATALOGUE: 1}, lambda w: price().update(nano_usd_per_million=1)),
    "price later": ({CATALOGUE: 1}, lambda w: price().update(valid_from=SOON)),
    "price deleted": ({CATALOGUE: 1}, lambda w: price().delete()),
    "plan published": ({CATALOGUE: 2}, publish),
    "plan renamed": ({CATALOGUE: 1}, lambda w: pro().update(name="Professional")),
    "many tenants at once": ({ACME: 1, RIVAL: 1}, lambda w: Tenant.objects.update(enforcement_mode="OBSERVE")),
    "plain SQL": ({CATALOGUE: 1}, lambda w: run("UPDATE plans_feature SET on_failure = 'OPEN'")),
    "saved by a form": ({ACME: 1}, lambda w: change_and_save(w.acme.tenant, name="Acme Corp")),
    "bulk update": ({CATALOGUE: 1}, lambda w: make_dearer(ModelPrice.objects.all())),
    "bulk load": ({CATALOGUE: 1}, lambda w: load_prices(gpt().get())),
}


def change_and_save(row: models.Model, **values: object) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


def make_dearer(prices: Iterable[ModelPrice]) -> None:
    rows = list(prices)
    for row in rows:
        row.nano_usd_per_million += 1
    ModelPrice.objects.bulk_update(rows, ["nano_usd_per_million"])


def load_prices(model: LLMModel) -> None:
    ModelPrice.objects.bulk_create(
        ModelPrice(model=model, unit="INPUT", nano_usd_per_million=n, valid_from=SOON + timedelta(n)) for n in range(50)
    )


@pytest.mark.parametrize("change", COUNTED)
def test_a_change_counts_once_for_its_subject(change: str, world: World) -> None:
    expected, make = COUNTED[change]
    assert moved(world, make) == expected


def test_a_new_tenant_has_its_own_number(db: None) -> None:
    made = Tenant.objects.create(ati_id="NEW", name="New")
    assert versions.number_of(made.id) == 1


UNCOUNTED: dict[str, Callable[[World], object]] = {
    "sign-up": lambda w: root(w).update(usage_count=F("usage_count") + 1),
    "more sign-ups allowed": lambda w: root(w).update(max_uses=100),
    "token renamed": lambda w: token(w).update(name="Laptop"),
    "key used": lambda w: key(w).update(last_used_on=SOON.date()),
    "key renamed": lambda w: key(w).update(name="Worker 2"),
    "log-in": lambda w: person(w).update(last_login=SOON),
    "password": lambda w: person(w).update(password="x"),
    "person renamed": lambda w: person(w).update(name="Jo", email="jo@acme.example"),
    "reason told": lambda w: (rule(w).update(reason="Other"), rollout(w).update(reason="Other")),
    "draft made": lambda w: Plan.objects.create(code="TRIAL", name="Trial"),
    "draft renamed": lambda w: Plan.objects.filter(pk=w.draft.pk).update(name="Pro 2", max_seats=1),
    "draft's quota": lambda w: PlanFeature.objects.filter(plan=w.draft).update(monthly_quota=0),
    "draft's cap": lambda w: w.draft.policy_rules.update(value=100),
    "draft deleted": lambda w: w.draft.delete(),
    "provider renamed": lambda w: Provider.objects.filter(code="OPENAI").update(name="Open AI"),
    "the same again": lambda w: rerank().update(name=F("name"), on_failure="CLOSED"),
    "nobody": lambda w: Tenant.objects.filter(ati_id="NOBODY").update(name="X"),
}


@pytest.mark.parametrize("change", UNCOUNTED)
def test_what_no_answer_relies_on_does_not_count(change: str, world: World) -> None:
    """Defect 31: caches that are dropped by every request are no caches."""
    assert moved(world, UNCOUNTED[change]) == {}


LEFT_OUT = {
    "ATIToken": {"id", "tenant_id", "root_id", "name", "max_uses", "usage_count", "created_at", "revoked_at"},
    "Feature": {"code", "unit"},
    "LLMModel": {"id"},
    "ModelClass": {"code"},
    "ModelPrice": {"id"},
    "Plan": {"id", "revision", "simulated_at", "based_on_id", "created_at"},
    "PolicyRule": {"id", "reason", "created_at"},
    "RolloutRule": {"id", "reason"},
    "ServiceKey": {"id", "name", "replaces_id", "last_used_on", "created_at"},
    "Task": {"code", "feature_id", "kind"},
    "Tenant": {"id", "ati_id", "meter_secret", "created_at"},
    "User": {"id", "email", "name", "password", "last_login", "is_superuser", "signup_token_id", "created_at"},
}


def counted_columns(model: type[models.Model]) -> set[str]:
    for trigger in getattr(model._meta, "triggers", []):
        if trigger.name == "count_update":
            listed = re.search(r"IS DISTINCT FROM \(([^)]*)\)", trigger.func)
            assert listed
            return {column.strip().removeprefix("n.") for column in listed[1].split(",")}
    return set()


def test_each_column_counts_or_is_left_out_on_purpose() -> None:
    found: dict[str, Any] = {}
    for label in ("tenants", "plans"):
        for model in apps.get_app_config(label).get_models():
            if counted := counted_columns(model):
                found[model.__name__] = {field.column for field in model._meta.concrete_fields} - counted
    assert found == LEFT_OUT


def test_an_open_form_saved_over_another_edit_counts_again(world: World) -> None:
    """Whoever saves last wins, and no snapshot misses it."""
    form, other = (Tenant.objects.get(pk=world.acme.tenant.pk) for _ in range(2))
    assert moved(world, lambda w: change_and_save(other, name="Acme Ltd")) == {ACME: 1}
    assert moved(world, lambda w: change_and_save(form, status="ACTIVE")) == {ACME: 1}
    assert Tenant.objects.get(pk=form.pk).name == "Acme"
