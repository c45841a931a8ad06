"""What was promised. Import models from here."""

from plans.models.plan import (
    MAX_LIMIT,
    Overage,
    Plan,
    PlanFeature,
    PlanLLMAccess,
    PlanLLMAccessClass,
    PlanStatus,
)
from plans.models.policy import (
    BUDGETS,
    CAPS,
    FEATURE_QUOTAS,
    USER_QUOTAS,
    PolicyRule,
    RolloutGate,
    RolloutRule,
    RuleKey,
    RuleScope,
)
from plans.models.price import NOT_TOKENS, LLMModel, ModelPrice, PriceUnit, Provider
from plans.models.vocabulary import (
    Feature,
    FeatureCode,
    ModelClass,
    ModelClassCode,
    OnFailure,
    Task,
    TaskCode,
    TaskKind,
    Unit,
)

__all__ = [
    "BUDGETS", "CAPS", "FEATURE_QUOTAS", "MAX_LIMIT", "NOT_TOKENS", "USER_QUOTAS", "Feature", "FeatureCode", "LLMModel",
    "ModelClass", "ModelClassCode", "ModelPrice", "OnFailure", "Overage", "Plan", "PlanFeature", "PlanLLMAccess",
    "PlanLLMAccessClass", "PlanStatus", "PolicyRule", "PriceUnit", "Provider", "RolloutGate", "RolloutRule",
    "RuleKey", "RuleScope", "Task", "TaskCode", "TaskKind", "Unit",
]  # fmt: skip
