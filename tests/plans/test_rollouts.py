"""Roll-out rules as an operator writes them: what has begun stays on record."""

from datetime import UTC, datetime, timedelta

import pytest

from plans import rollouts
from plans.models import RolloutGate, RolloutRule
from tenants.models import EnforcementMode, Tenant
from tests.cast import Company
from tests.database import refused_by
from tests.enforcement.rules import roll_out

NOW = datetime.now(UTC)
PAST, SOON = NOW - timedelta(days=1), NOW + timedelta(days=1)
OBSERVE, ENFORCE, OFF = EnforcementMode.OBSERVE, EnforcementMode.ENFORCE, EnforcementMode.OFF


@pytest.mark.parametrize("change", [{"mode": "ENFORCE"}, {"gate": "RATES"}, {"starts_at": SOON}, {"tenant": None}])
def test_a_rule_that_has_begun_does_not_change(acme: Company, change: dict[str, object]) -> None:
    rule = RolloutRule.objects.filter(pk=roll_out("BUDGET", "OBSERVE", PAST, acme.tenant).pk)
    with pytest.raises(Exception, match="Cannot update rows"):
        rule.update(**change)


def test_a_rule_that_has_begun_does_not_vanish(acme: Company) -> None:
    for tenant in (acme.tenant, None):
        with refused_by("plans_rolloutrule_keep_that_it_bound"):
            roll_out("BUDGET", "OBSERVE", PAST, tenant).delete()


def test_a_rule_to_come_is_changed_and_deleted(acme: Company) -> None:
    rule = roll_out("BUDGET", "OBSERVE", SOON, acme.tenant)
    rule.mode = ENFORCE
    rule.save(update_fields=["mode"])
    rule.delete()
    assert not RolloutRule.objects.exists()


def test_a_tenant_that_never_called_takes_its_rules_along(db: None) -> None:
    tenant = Tenant.objects.create(ati_id="EMPTY", name="Empty")
    rollouts.first_cycle(tenant, now=PAST)
    tenant.delete()
    assert not RolloutRule.objects.exists()


def test_a_rule_is_ended_once(acme: Company) -> None:
    rule = roll_out("BUDGET", "OBSERVE", PAST, acme.tenant)
    rollouts.end(rule, at=NOW)
    with pytest.raises(rollouts.Ended, match="It ended on"):
        rollouts.end(rule, at=SOON)
    with pytest.raises(Exception, match="Cannot update rows"):
        RolloutRule.objects.update(ends_at=None)


def test_a_rule_that_is_ended_before_it_begins_never_begins(acme: Company) -> None:
    rule = roll_out("BUDGET", "OBSERVE", SOON, acme.tenant)
    rollouts.end(rule, at=NOW)
    assert rule.ends_at == SOON


def test_off_needs_a_reason(db: None) -> None:
    with refused_by("plans_rolloutrule_off_has_reason"):
        rollouts.switch(RolloutGate.ALL, OFF, at=NOW, reason="")
    assert rollouts.switch(RolloutGate.ALL, OFF, at=NOW, reason="Fire").reason == "Fire"


def test_how_the_gates_stand(acme: Company, rival: Company) -> None:
    roll_out("BUDGET", "OBSERVE", PAST)
    roll_out("BUDGET", "ENFORCE", PAST + timedelta(hours=1))
    roll_out("BUDGET", "OBSERVE", SOON)
    own = [roll_out("BUDGET", "OBSERVE", PAST, company.tenant) for company in (rival, acme)]
    ended = roll_out("RATES", "OBSERVE", PAST)
    rollouts.end(ended, at=NOW - timedelta(hours=1))
    found = {each.gate: each for each in rollouts.standings(NOW)}
    assert list(found) == list(RolloutGate)
    assert (found[RolloutGate.BUDGET].mode, found[RolloutGate.BUDGET].own) == (ENFORCE, tuple(own[::-1]))
    assert (found[RolloutGate.RATES].mode, found[RolloutGate.RATES].everybody) == (ENFORCE, None)


def test_the_first_cycle_ends_with_the_tenants_own_month(db: None) -> None:
    tenant = Tenant.objects.create(ati_id="NEWCO", name="New", timezone="Asia/Kolkata", billing_anchor_day=15)
    first, second = rollouts.first_cycle(tenant, now=datetime(2026, 11, 24, tzinfo=UTC))
    assert (first.mode, second.mode, second.starts_at) == (OBSERVE, ENFORCE, datetime(2026, 12, 14, 18, 30, tzinfo=UTC))
