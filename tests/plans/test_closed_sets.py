"""Every closed set refuses a stranger in the database itself, and codes that nobody defined cannot be stored."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models
from django.utils import timezone

from plans.models import (
    Feature,
    LLMModel,
    ModelClass,
    Plan,
    PlanFeature,
    PlanLLMAccess,
    PlanLLMAccessClass,
    PolicyRule,
    RolloutRule,
    RuleKey,
    RuleScope,
    Task,
)
from tenants.models import ServiceKey
from tests import cast
from tests.database import refused_by, run
from tests.plans.conftest import World

pytestmark = pytest.mark.django_db


class ClosedSet(NamedTuple):
    model: type[models.Model]
    field: "models.Field[Any, Any]"

    def __str__(self) -> str:
        return f"{self.model.__name__}.{self.field.name}"

    @property
    def constraint(self) -> str:
        return f"{self.model._meta.db_table}_{self.field.column}"


def closed_sets() -> Iterator[ClosedSet]:
    for label in ("tenants", "plans", "usage"):
        for model in apps.get_app_config(label).get_models():
            for field in model._meta.concrete_fields:
                if field.choices:
                    yield ClosedSet(model, field)


CLOSED = sorted(closed_sets(), key=str)
STORED = [closed for closed in CLOSED if closed.model._meta.app_label != "usage"]
NEVER_UPDATED = {"Feature.unit", "Task.kind"}
UNCHECKED = {"UsageReservation.unit", "UsageLog.unit"}  # copies of Feature.unit that one function writes


def test_there_are_as_many_closed_sets_as_there_should_be() -> None:
    assert {str(closed) for closed in STORED} == {
        "ATIToken.status", "Feature.enforcement_mode", "Feature.on_failure", "Feature.unit", "ModelPrice.unit",
        "Plan.status", "PlanFeature.overage", "PolicyRule.key", "PolicyRule.scope", "RolloutRule.gate",
        "RolloutRule.mode", "Task.kind", "Tenant.enforcement_mode", "Tenant.status", "User.role", "User.status",
    }  # fmt: skip


@pytest.mark.parametrize("closed", [c for c in CLOSED if str(c) not in UNCHECKED], ids=str)
def test_the_database_knows_exactly_the_choices(closed: ClosedSet) -> None:
    """By a CHECK, or by a trigger on the field where a CHECK would cost the ledger too much."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %(table)s::regclass"
            " AND conname = %(name)s UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger"
            " WHERE tgrelid = %(table)s::regclass AND tgname LIKE 'pgtrigger_' || %(name)s || '%%'",
            {"table": closed.model._meta.db_table, "name": closed.constraint},
        )
        row = cursor.fetchone()
    assert row, f"no constraint {closed.constraint}"
    assert set(re.findall(r"'([^']*)'", row[0])) == {value for value, _ in closed.field.flatchoices}


@pytest.mark.parametrize("closed", [c for c in STORED if str(c) not in NEVER_UPDATED], ids=str)
@pytest.mark.parametrize("stranger", ["NONSENSE", "", "active"])
def test_plain_sql_cannot_store_a_stranger(closed: ClosedSet, stranger: str, world: World) -> None:
    row = rows(closed.model, world).first()
    assert row is not None
    table, pk = closed.model._meta.db_table, closed.model._meta.pk
    with pytest.raises(IntegrityError):
        run(f"UPDATE {table} SET {closed.field.column} = %s WHERE {pk.column} = %s", stranger, row.pk)


@pytest.mark.parametrize("stranger", ["NONSENSE", "", "tokens"])
def test_nor_can_it_add_one_to_what_is_never_updated(stranger: str) -> None:
    with refused_by("plans_feature_unit"):
        Feature.objects.create(code="X", name="X", unit=stranger)
    with refused_by("plans_task_kind"):
        Task.objects.create(code="X", name="X", feature_id="RERANK", kind=stranger)


def rows(model: type[models.Model], world: World) -> "models.QuerySet[models.Model]":
    """Rows that can be edited at all: a live plan's promises cannot."""
    return model._default_manager.filter(plan=world.draft) if model is PlanFeature else model._default_manager.all()


@pytest.mark.parametrize("scopes", [["enforce", "everything"], []])
def test_a_key_has_known_scopes_and_at_least_one(scopes: list[str], world: World) -> None:
    with refused_by("tenants_servicekey_scopes"):
        ServiceKey.objects.filter(pk=world.key.pk).update(scopes=scopes)


@pytest.mark.parametrize("code", ["rerank", "1X", "A-B", "_A", "", "Ä"])
@pytest.mark.parametrize("model", [Feature, Task, ModelClass, Plan])
def test_a_code_is_upper_case(model: type[models.Model], code: str) -> None:
    values: dict[type[models.Model], dict[str, object]] = {
        Feature: {"unit": "TOKENS"},
        Task: {"feature_id": "RERANK", "kind": "API"},
        ModelClass: {"rank": 99},
        Plan: {},
    }
    with refused_by(f"{model._meta.db_table}_code"):
        model._default_manager.create(code=code, name="X", **values[model])


def unknown_codes() -> Iterator[tuple[str, "models.Field[Any, Any]"]]:
    for model in (LLMModel, PlanFeature, PlanLLMAccess, PlanLLMAccessClass, PolicyRule):
        for field in model._meta.concrete_fields:
            target = field.remote_field.model if field.remote_field else None
            if isinstance(target, type) and target._meta.pk.name == "code":
                yield f"{model.__name__}.{field.name}", field


@pytest.mark.parametrize("field", [pytest.param(field, id=name) for name, field in unknown_codes()])
def test_an_unknown_code_cannot_be_stored(field: "models.Field[Any, Any]", world: World) -> None:
    """Defects 26 and 32: names that match nothing, codes compared with ids."""
    model = field.model
    mine: dict[type[models.Model], dict[str, object]] = {
        PlanFeature: {"plan": world.draft},
        PlanLLMAccess: {"plan": world.draft, "default_class__isnull": False},
        PlanLLMAccessClass: {"access__plan": world.draft, "access__task": "LLM1_PRIOR_ART"},
        PolicyRule: {"tenant": world.acme.tenant, f"{field.name}__isnull": False},
    }
    row = model._default_manager.filter(**mine.get(model, {})).first()
    assert row is not None
    with pytest.raises(IntegrityError, match="foreign key"):
        run(f"UPDATE {model._meta.db_table} SET {field.column} = 'UNKNOWN' WHERE {model._meta.pk.column} = %s", row.pk)


def test_a_task_of_an_unknown_feature_cannot_be_stored() -> None:
    with pytest.raises(IntegrityError, match="foreign key"):
        run("INSERT INTO plans_task (code, name, feature_id, kind) VALUES ('T', 'T', 'UNKNOWN', 'API')")


def test_every_key_has_its_rule_for_everybody() -> None:
    general = PolicyRule.objects.filter(scope=RuleScope.GLOBAL, task=None, feature=None)
    assert sorted(general.values_list("key", flat=True)) == sorted(RuleKey)


def test_there_is_one_fallback_class() -> None:
    with refused_by("plans_modelclass_one_fallback"):
        ModelClass.objects.filter(code="PRO_M").update(is_fallback=True)


def test_only_the_gate_for_all_can_be_off(world: World) -> None:
    with refused_by("plans_rolloutrule_off_is_for_all"):
        RolloutRule.objects.create(gate="BUDGET", mode="OFF", starts_at=timezone.now(), reason="Fire")
    RolloutRule.objects.create(gate="ALL", mode="OFF", starts_at=timezone.now(), reason="Fire")


@pytest.mark.parametrize(
    ("field", "value"), [("daily_quota", -1), ("monthly_quota", 10**18 + 1), ("daily_token_limit", -1)]
)
def test_a_quota_is_neither_negative_nor_endless(field: str, value: int, draft: Plan) -> None:
    """Defect 4: negative input was taken as unlimited."""
    with refused_by(f"plans_planfeature_{field}"):
        draft.features.filter(feature="PATENT_DRAFTING").update(**{field: value})


@pytest.mark.parametrize("value", [0, None, 10**18])
def test_a_quota_may_be_nothing_or_unlimited(value: int | None, draft: Plan) -> None:
    """Defect 4: NULL is unlimited and 0 is nothing, and the two stay apart."""
    draft.features.update(daily_quota=value)
    assert set(draft.features.values_list("daily_quota", flat=True)) == {value}


RULES: list[tuple[str, dict[str, object]]] = [
    ("scope_references", {"scope": "GLOBAL", "key": "MAX_TOKENS_IN"}),
    ("scope_references", {"tenant": None, "key": "MAX_TOKENS_IN"}),
    ("scope_references", {"scope": "USER", "key": "MAX_TOKENS_IN"}),
    ("scope_references", {"key": "MAX_TOKENS_IN", "user_key": "u"}),
    ("task_or_feature", {"key": "DAILY_QUOTA", "task_id": "EMBED", "feature_id": "EMBEDDINGS"}),
    ("quota_names_target", {"key": "DAILY_QUOTA"}),
    ("quota_names_target", {"key": "MONTHLY_TOKEN_LIMIT"}),
    ("quota_names_target", {"key": "USER_DAILY_QUOTA", "scope": "USER", "user_key": "u"}),
    ("user_keys", {"key": "CONCURRENCY_LIMIT", "scope": "USER", "user_key": "u"}),
    ("user_keys", {"key": "DAILY_QUOTA", "scope": "USER", "user_key": "u", "task_id": "EMBED"}),
    ("set_by_tenant", {"key": "MAX_TOKENS_IN", "set_by_tenant": True}),
    ("set_by_tenant", {"key": "USER_DAILY_QUOTA", "feature_id": "RERANK", "set_by_tenant": True, "value": None}),
    ("exception_has_reason", {"key": "MAX_TOKENS_IN", "reason": ""}),
    ("value", {"key": "MAX_TOKENS_IN", "value": -1}),
    ("value", {"key": "MAX_TOKENS_IN", "value": 10**18 + 1}),
    ("value_degrade_at_percent", {"key": "DEGRADE_AT_PERCENT", "value": 101}),
    ("value_hold_percentile", {"key": "HOLD_PERCENTILE", "value": 0}),
    ("value_hold_percentile", {"key": "HOLD_PERCENTILE", "value": None}),
    ("includes_money", {"key": "MAX_TOKENS_OUT", "includes_money": True}),
    ("value_reservation_ttl_seconds", {"key": "RESERVATION_TTL_SECONDS", "value": 86_401}),
    ("value_reservation_ttl_seconds", {"key": "RESERVATION_TTL_SECONDS", "value": None}),
    ("value_min_tokens_out", {"key": "MIN_TOKENS_OUT", "value": None}),
]


@pytest.mark.parametrize(("constraint", "values"), RULES)
def test_a_policy_rule_that_means_nothing_is_refused(
    constraint: str, values: dict[str, object], acme: cast.Company
) -> None:
    """Defect 6: rules looked up by the wrong key, and tenant rules that could not be stored."""
    usual: dict[str, object] = {"scope": "TENANT", "tenant": acme.tenant, "value": 1, "reason": "Trial"}
    with refused_by(f"plans_policyrule_{constraint}"):
        PolicyRule.objects.create(**usual | values)


def test_a_rule_of_every_kind_can_be_stored_for_a_tenant(acme: cast.Company) -> None:
    """Defect 6, the other way round."""
    for key in RuleKey:
        PolicyRule.objects.create(
            scope=RuleScope.TENANT, tenant=acme.tenant, task_id="LLM2_DRAFT", key=key, value=100, reason="Trial"
        )
    assert acme.tenant.policy_rules.count() == len(RuleKey)
