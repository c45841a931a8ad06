"""What the constraints of the catalogue say, in words."""

from tenants.admin.refusals import SENTENCES, Refusal

_CODE = "Upper-case letters, digits and _ only, a letter first."
_LIMIT = "A whole number up to 10¹⁸; empty = unlimited."

SENTENCES.update(
    {
        "plans_feature_code": Refusal(_CODE, "code"),
        "plans_task_code": Refusal(_CODE, "code"),
        "plans_modelclass_code": Refusal(_CODE, "code"),
        "plans_provider_code": Refusal(_CODE, "code"),
        "plans_plan_code": Refusal(_CODE, "code"),
        "plans_task_price_per_unit": Refusal(
            "Only an API task has a price of its own, USD 1,000 a unit at most.", "price_per_unit_nano_usd"
        ),
        "plans_modelclass_one_fallback": Refusal("Another class is the fallback.", "is_fallback"),
        "plans_plan_code_revision": Refusal("There is a plan with this code already.", "code"),
        "plans_plan_one_active_per_code": Refusal("Another revision of this plan is active, and one of a code can be."),
        "plans_plan_monthly_budget": Refusal("Up to USD 1,000,000,000.", "monthly_budget_nano_usd"),
        "plans_plan_frozen": Refusal("This plan is not a draft: its promises cannot change. Make a new revision."),
        "plans_planfeature_plan_feature": Refusal("The plan has this feature already.", "feature"),
        "plans_planfeature_daily_quota": Refusal(_LIMIT, "daily_quota"),
        "plans_planfeature_monthly_quota": Refusal(_LIMIT, "monthly_quota"),
        "plans_planfeature_daily_token_limit": Refusal(_LIMIT, "daily_token_limit"),
        "plans_planfeature_monthly_token_limit": Refusal(_LIMIT, "monthly_token_limit"),
        "plans_planllmaccess_plan_task": Refusal("The plan has this task already.", "task"),
        "plans_planllmaccess_default_is_allowed": Refusal(
            "The default must be one of the allowed classes.", "default_class"
        ),
        "plans_planllmaccessclass_llm_only": Refusal("An API task has no model classes."),
        "plans_policyrule_scope_references": Refusal(
            "Everybody names nobody; a plan's rule names the plan, a tenant's the tenant, a user's the tenant and the "
            "user key, and nothing else.",
            "scope",
        ),
        "plans_policyrule_task_or_feature": Refusal("A task or a feature, not both.", "feature"),
        "plans_policyrule_quota_names_target": Refusal(
            "A quota counts the units of something: name the task or the feature.", "feature"
        ),
        "plans_policyrule_user_keys": Refusal(
            "One user can have caps and quotas of their own; other limits are shared by the tenant.", "key"
        ),
        "plans_policyrule_exception_has_reason": Refusal(
            "An exception for a tenant or a user needs a reason; a rule for everybody or a plan has no end.", "reason"
        ),
        "plans_policyrule_includes_money": Refusal("Only a HOLD_PERCENTILE can include money.", "includes_money"),
        "plans_policyrule_value": Refusal(_LIMIT, "value"),
        "plans_policyrule_value_degrade_at_percent": Refusal("A percentage, 0 to 100; empty = never.", "value"),
        "plans_policyrule_value_min_tokens_out": Refusal("A number from 0 to 1,000,000,000.", "value"),
        "plans_policyrule_value_reservation_ttl_seconds": Refusal("A number from 1 to 86,400.", "value"),
        "plans_policyrule_value_hold_percentile": Refusal("A percentile, 1 to 100.", "value"),
        "plans_policyrule_once": Refusal("There is a rule about exactly this already: change that one.", "key"),
        "plans_rolloutrule_off_is_for_all": Refusal(
            "A single gate can be observed or enforced; only all of them can be off.", "mode"
        ),
        "plans_rolloutrule_off_has_reason": Refusal("Say why everything is switched off.", "reason"),
        "plans_rolloutrule_ends_after_start": Refusal("It ends after it begins."),
        "plans_rolloutrule_once": Refusal("There is a rule with exactly this start already.", "starts_at"),
        "plans_llmmodel_provider_model_id": Refusal("The provider has this model already.", "model_id"),
        "plans_modelprice_price": Refusal("Up to USD 1,000 per million tokens.", "nano_usd_per_million"),
        "plans_modelprice_once": Refusal("There is a price with exactly this start already.", "valid_from"),
    }
)
