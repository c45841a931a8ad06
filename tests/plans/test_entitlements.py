"""Snapshots: as current as their number, and right at every date, with no write when one passes."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from plans import entitlements
from plans.models import LLMModel, ModelPrice, Plan, PlanFeature, PolicyRule, Provider, RuleKey
from tenants import facts, tokens, versions
from tenants.models import ATIToken, Tenant
from tests.cast import Company, plan
from tests.enforcement.api import Api
from tests.enforcement.rules import limit, roll_out

NOW = datetime.now(UTC)
SOON = NOW + timedelta(hours=1)


def test_a_snapshot_is_loaded_once_and_again_exactly_when_its_number_moved(acme: Company, rival: Company) -> None:
    first = entitlements.of(acme.tenant.id, NOW)
    with CaptureQueriesContext(connection) as captured:
        assert entitlements.of(acme.tenant.id, NOW).tenant is first.tenant
    assert len(captured) == 0
    limit(rival.tenant, "DAILY_QUOTA", 1, feature_id="PRIOR_ART_SEARCH")
    versions.refresh(versions.CATALOGUE, acme.tenant.id)
    assert entitlements.of(acme.tenant.id, NOW).tenant is first.tenant
    limit(acme.tenant, "DAILY_QUOTA", 1, feature_id="PRIOR_ART_SEARCH")
    versions.refresh(versions.CATALOGUE, acme.tenant.id)
    second = entitlements.of(acme.tenant.id, NOW)
    assert second.tenant.number == first.tenant.number + 1
    assert second.catalogue is first.catalogue
    Provider.objects.create(code="NEW", name="New")  # not part of the catalogue's snapshot
    LLMModel.objects.filter(model_id="gpt-4o").update(priority=99)
    versions.refresh(versions.CATALOGUE, acme.tenant.id)
    assert entitlements.of(acme.tenant.id, NOW).catalogue.number == first.catalogue.number + 1


def test_a_draft_is_in_no_snapshot_and_moves_no_number(acme: Company) -> None:
    before = entitlements.of(acme.tenant.id, NOW).catalogue
    draft = Plan.objects.create(code="PRO", revision=2, name="Pro next")
    PlanFeature.objects.create(plan=draft, feature_id="RERANK")
    PolicyRule.objects.create(scope="PLAN", plan=draft, key="CONCURRENCY_LIMIT", value=1)
    versions.refresh(versions.CATALOGUE)
    after = entitlements.catalogue()
    assert after is before
    assert draft.id not in after.plans


def test_a_snapshot_cannot_be_changed(acme: Company) -> None:
    found = entitlements.of(acme.tenant.id, NOW)
    with pytest.raises(AttributeError):
        found.tenant.facts.mode = "OFF"  # type: ignore[misc, assignment]
    with pytest.raises(TypeError):
        found.tenant.facts.tokens["x"] = None  # type: ignore[index]


def test_an_unknown_tenant_is_said_so(db: None) -> None:
    with pytest.raises(facts.TenantUnknown):
        entitlements.of(uuid4(), NOW)


def test_the_plan_in_force_follows_its_dates(acme: Company) -> None:
    root = acme.root
    tokens.change_plan(root, plan("ENTERPRISE"), now=NOW, at=SOON)
    ATIToken.objects.filter(pk=root.pk).update(plan_ends_at=SOON + timedelta(days=1))
    versions.clear_all()

    def code(at: datetime) -> str | None:
        found = entitlements.of(acme.tenant.id, at).plan
        return found.code if found else None

    start = ATIToken.objects.get(pk=root.pk).plan_starts_at
    assert start is not None
    assert code(start - timedelta(seconds=1)) is None
    assert code(SOON - timedelta(microseconds=1)) == "PRO"
    assert code(SOON) == "ENTERPRISE"
    assert code(SOON + timedelta(days=1)) is None


def test_an_answer_holds_between_the_dates_around_it(acme: Company) -> None:
    tokens.change_plan(acme.root, plan("ENTERPRISE"), now=NOW, at=SOON)
    limit(acme.tenant, "DAILY_QUOTA", 1, feature_id="PRIOR_ART_SEARCH", ends_at=SOON + timedelta(hours=1))
    roll_out("ALL", "OBSERVE", SOON + timedelta(hours=2))
    found = entitlements.of(acme.tenant.id, NOW)
    assert found.valid_until == SOON
    assert found.valid_from <= NOW
    found = entitlements.of(acme.tenant.id, SOON)
    assert (found.valid_from, found.valid_until) == (SOON, SOON + timedelta(hours=1))
    found = entitlements.of(acme.tenant.id, SOON + timedelta(hours=1))
    assert found.valid_until == SOON + timedelta(hours=2)


def test_a_price_is_the_latest_that_began(db: None) -> None:
    model = LLMModel.objects.get(model_id="gpt-4o")
    ModelPrice.objects.create(model=model, unit="INPUT", nano_usd_per_million=7, valid_from=SOON)
    terms = entitlements.catalogue().models["gpt-4o"][0]
    before, after = terms.price_at(NOW), terms.price_at(SOON)
    assert before is not None
    assert after is not None
    assert before.base.input != 7
    assert after.base.input == 7
    assert after.base.output == before.base.output
    assert terms.price_at(datetime(2001, 1, 1, tzinfo=UTC)) is None


def test_a_tier_keeps_the_price_below_it_for_kinds_it_does_not_name(db: None) -> None:
    model = LLMModel.objects.get(model_id="gpt-4o")
    ModelPrice.objects.filter(model=model).delete()
    for unit, above, price in (("INPUT", 0, 10), ("OUTPUT", 0, 20), ("INPUT", 1000, 30)):
        ModelPrice.objects.create(
            model=model, unit=unit, above_input_tokens=above, nano_usd_per_million=price, valid_from=NOW
        )
    prices = entitlements.catalogue().models["gpt-4o"][0].price_at(NOW)
    assert prices is not None
    assert [(tier.above_input_tokens, tier.rates.input, tier.rates.output) for tier in prices.tiers] == [(1000, 30, 20)]


def at_a_clock_behind(at: datetime) -> time_machine.travel:
    """This process believes it is `at`, while the database knows better."""
    return time_machine.travel(at, tick=False)


@pytest.mark.parametrize("change", ["plan", "end", "override", "rollout"])
def test_a_date_that_passed_binds_without_any_write(api: Api, acme: Company, change: str) -> None:
    """I9: the snapshot was taken, and the process's clock stands, before the date; the ledger's clock decides."""
    passed = datetime.now(UTC) - timedelta(seconds=2)
    if change == "plan":
        ATIToken.objects.filter(pk=acme.root.pk).update(next_plan=plan("ENTERPRISE"), next_plan_at=passed)
    elif change == "end":
        ATIToken.objects.filter(pk=acme.root.pk).update(plan_ends_at=passed)
    elif change == "override":
        limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH", ends_at=passed)
    else:
        limit(acme.tenant, "DAILY_QUOTA", 0, feature_id="PRIOR_ART_SEARCH")
        roll_out("DAILY_QUOTA", "OBSERVE", passed, acme.tenant)
    with at_a_clock_behind(passed - timedelta(seconds=60)):
        answer = api.enforce("ACME", "PATENT_OPEN")
    day = {(quota["measure"], quota["period"]): quota["limit"] for quota in answer["quotas"]}
    expected = {
        "plan": ("OK", 1000),
        "end": ("PLAN_EXPIRED", None),
        "override": ("OK", 100),
        "rollout": ("OK", 0),
    }[change]
    assert (answer["code"], day.get(("UNITS", "DAY"))) == expected


def test_an_edit_between_look_and_answer_is_never_missed(api: Api, acme: Company) -> None:
    """The snapshot in this process is old; the call says so and the answer is the new one."""
    api.enforce("ACME", "PATENT_OPEN")
    held = entitlements.of(acme.tenant.id, NOW).tenant
    with connection.cursor() as cursor:  # as another process or a psql session edits
        cursor.execute("UPDATE tenants_tenant SET status = 'SUSPENDED' WHERE id = %s", [acme.tenant.id])
    assert entitlements.of(acme.tenant.id, NOW).tenant is held
    assert api.enforce("ACME", "PATENT_OPEN")["code"] == "TENANT_SUSPENDED"


def test_a_rules_key_has_a_rule_for_everybody(db: None) -> None:
    """No default hides in code: each key is seeded, and the row cannot go."""
    rules = entitlements.catalogue().rules
    assert set(rules) == set(RuleKey)
    assert Tenant.objects.count() == 0
