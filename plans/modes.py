"""Which gates bind yet: the mode of an ask and of each gate. Pure."""

from collections.abc import Iterable

from plans.models import RolloutGate
from plans.terms import Entitlements, FeatureTerms, Rollout
from tenants.models import EnforcementMode

_MILDNESS = {EnforcementMode.ENFORCE: 0, EnforcementMode.OBSERVE: 1, EnforcementMode.OFF: 2}


def of_ask(entitled: Entitlements, feature: FeatureTerms) -> EnforcementMode:
    """The mildest of tenant, feature and the roll-out of all gates; OFF for everybody beats everything."""
    return _mildest(*parts(entitled, feature).values())


def parts(entitled: Entitlements, feature: FeatureTerms) -> dict[str, EnforcementMode]:
    """What the mode of an ask is made of: the mildest of these counts."""
    everybody = _latest(entitled.catalogue.rollouts, RolloutGate.ALL, entitled)
    is_off = everybody is not None and everybody.mode == EnforcementMode.OFF
    return {
        "tenant": entitled.tenant.facts.mode,
        "feature": feature.mode,
        "rollout": EnforcementMode.OFF if is_off else _rollout(entitled, RolloutGate.ALL),
    }


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
