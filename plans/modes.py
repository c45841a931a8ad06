"""Which gates bind yet: the mode of an ask and of each gate. Pure."""

from collections.abc import Iterable

from plans.models import RolloutGate
from plans.terms import Entitlements, FeatureTerms, Rollout
from tenants.models import EnforcementMode

_MILDNESS = {EnforcementMode.ENFORCE: 0, EnforcementMode.OBSERVE: 1, EnforcementMode.OFF: 2}


def of_ask(entitled: Entitlements, feature: FeatureTerms) -> EnforcementMode:
    """The mildest of tenant, feature and the roll-out of all gates; OFF for everybody beats everything."""
    everybody = _latest(entitled.catalogue.rollouts, RolloutGate.ALL, entitled)
    if everybody is not None and everybody.mode == EnforcementMode.OFF:
        return EnforcementMode.OFF
    return _mildest(entitled.tenant.facts.mode, feature.mode, _rollout(entitled, RolloutGate.ALL))


def is_enforced(entitled: Entitlements, mode: EnforcementMode, gate: RolloutGate) -> bool:
    """Whether a gate binds an ask of this mode: where neither the ask nor the gate is only observed."""
    return _mildest(mode, _rollout(entitled, gate)) == EnforcementMode.ENFORCE


def _mildest(*modes: EnforcementMode) -> EnforcementMode:
    return max(modes, key=_MILDNESS.__getitem__)


def _rollout(entitled: Entitlements, gate: RolloutGate) -> EnforcementMode:
    rule = _latest(entitled.tenant.rollouts, gate, entitled) or _latest(entitled.catalogue.rollouts, gate, entitled)
    return rule.mode if rule else EnforcementMode.ENFORCE


def _latest(rollouts: Iterable[Rollout], gate: RolloutGate, entitled: Entitlements) -> Rollout | None:
    holding = (rule for rule in rollouts if rule.gate == gate and rule.holds(entitled.now))
    return max(holding, key=lambda rule: rule.starts_at, default=None)
