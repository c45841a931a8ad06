"""Policy rules (caps and gates, the most specific wins) and roll-out rules (which gates bind yet)."""

from typing import Self

import pgtrigger
from django.db import models
from django.db.models import Q

from plans.models.plan import MAX_LIMIT, Plan, frozen
from plans.models.vocabulary import Feature, Task
from tenants import versions
from tenants.ids import uuid7
from tenants.models import EnforcementMode, Tenant, one_of


class RuleScope(models.TextChoices):
    GLOBAL = "GLOBAL", "Everybody"
    PLAN = "PLAN", "A plan"
    TENANT = "TENANT", "A tenant"
    USER = "USER", "One user of a tenant"


class RuleKey(models.TextChoices):
    MAX_TOKENS_IN = "MAX_TOKENS_IN", "Most input tokens of a call"
    MAX_TOKENS_OUT = "MAX_TOKENS_OUT", "Most output tokens of a call"
    MIN_TOKENS_OUT = "MIN_TOKENS_OUT", "Fewest output tokens worth a call"
    AGENT_MAX_STEPS = "AGENT_MAX_STEPS", "Most steps of an agent"
    RETRIEVAL_TOP_K = "RETRIEVAL_TOP_K", "Most passages retrieved"
    FILES_PER_REQUEST = "FILES_PER_REQUEST", "Most files of a call"
    RESERVATION_TTL_SECONDS = "RESERVATION_TTL_SECONDS", "Seconds a reservation lives where none are asked"
    DEGRADE_AT_PERCENT = "DEGRADE_AT_PERCENT", "Share of a quota above which a cheaper class is given"
    HOLD_PERCENTILE = "HOLD_PERCENTILE", "Percentile of real use that is held (100 = the maximum)"
    CONCURRENCY_LIMIT = "CONCURRENCY_LIMIT", "Reservations open at once"
    REQUESTS_PER_MINUTE = "REQUESTS_PER_MINUTE", "Requests a minute"
    TOKENS_PER_MINUTE = "TOKENS_PER_MINUTE", "Tokens a minute"
    DAILY_QUOTA = "DAILY_QUOTA", "Units a day"
    MONTHLY_QUOTA = "MONTHLY_QUOTA", "Units a month"
    DAILY_TOKEN_LIMIT = "DAILY_TOKEN_LIMIT", "Tokens a day"
    MONTHLY_TOKEN_LIMIT = "MONTHLY_TOKEN_LIMIT", "Tokens a month"
    USER_DAILY_QUOTA = "USER_DAILY_QUOTA", "Units a day for each user"
    USER_MONTHLY_QUOTA = "USER_MONTHLY_QUOTA", "Units a month for each user"
    DAILY_BUDGET = "DAILY_BUDGET", "Nano-USD a day"
    MONTHLY_BUDGET = "MONTHLY_BUDGET", "Nano-USD a month"


CAPS = frozenset(list(RuleKey)[: list(RuleKey).index(RuleKey.CONCURRENCY_LIMIT)])
USER_QUOTAS = frozenset({RuleKey.USER_DAILY_QUOTA, RuleKey.USER_MONTHLY_QUOTA})
FEATURE_QUOTAS = frozenset(
    {
        RuleKey.DAILY_QUOTA, RuleKey.MONTHLY_QUOTA, RuleKey.DAILY_TOKEN_LIMIT, RuleKey.MONTHLY_TOKEN_LIMIT,
        *USER_QUOTAS,
    }
)  # fmt: skip
BUDGETS = frozenset({RuleKey.DAILY_BUDGET, RuleKey.MONTHLY_BUDGET})
BOUNDED = {
    RuleKey.MIN_TOKENS_OUT: (0, 10**9),
    RuleKey.RESERVATION_TTL_SECONDS: (1, 86_400),
    RuleKey.HOLD_PERCENTILE: (1, 100),
}


def _sorted(keys: frozenset[RuleKey]) -> list[str]:
    return sorted(key.value for key in keys)


class PolicyRuleQuerySet(models.QuerySet["PolicyRule"]):
    def for_tenant(self, tenant: Tenant) -> Self:
        return self.filter(tenant=tenant)


class PolicyRule(models.Model):
    """One number that caps a call or limits a meter, for everybody, a plan, a tenant or one user."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scope = models.CharField(max_length=8, choices=RuleScope, help_text="The most specific scope wins.")
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, null=True, blank=True, related_name="policy_rules")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, blank=True, related_name="policy_rules")
    user_key = models.CharField(max_length=128, null=True, blank=True, help_text="The caller's own id of its user.")
    task = models.ForeignKey(
        Task, on_delete=models.PROTECT, null=True, blank=True, related_name="policy_rules",
        help_text="Only for this task; a limit then has a meter of its own, beside the general one.",
    )  # fmt: skip
    feature = models.ForeignKey(
        Feature, on_delete=models.PROTECT, null=True, blank=True, related_name="policy_rules",
        help_text="Only for this feature.",
    )  # fmt: skip
    key = models.CharField(max_length=32, choices=RuleKey, help_text="What the number caps or limits.")
    value = models.BigIntegerField(null=True, blank=True, help_text="Empty = unlimited, 0 = nothing.")
    set_by_tenant = models.BooleanField(
        default=False,
        help_text="Written by a tenant's own admin: it can only lower what the levels above it allow.",
    )
    includes_money = models.BooleanField(
        default=False,
        help_text="For HOLD_PERCENTILE alone: hold budgets by it too. They may then be overspent, by what a decision "
        "states at most.",
    )
    reason = models.CharField(max_length=200, blank=True, help_text="Why a tenant or user is an exception.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="When the exception ends; empty = never.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PolicyRuleQuerySet.as_manager()

    class Meta:
        ordering = ["scope", "key"]
        constraints = [
            one_of("scope", RuleScope, "plans_policyrule_scope"),
            one_of("key", RuleKey, "plans_policyrule_key"),
            models.CheckConstraint(
                condition=Q(scope=RuleScope.GLOBAL, plan__isnull=True, tenant__isnull=True, user_key__isnull=True)
                | Q(scope=RuleScope.PLAN, plan__isnull=False, tenant__isnull=True, user_key__isnull=True)
                | Q(scope=RuleScope.TENANT, plan__isnull=True, tenant__isnull=False, user_key__isnull=True)
                | Q(scope=RuleScope.USER, plan__isnull=True, tenant__isnull=False, user_key__isnull=False),
                name="plans_policyrule_scope_references",
            ),
            models.CheckConstraint(
                condition=Q(task__isnull=True) | Q(feature__isnull=True),
                name="plans_policyrule_task_or_feature",
            ),
            models.CheckConstraint(
                condition=~Q(key__in=_sorted(FEATURE_QUOTAS))
                | Q(scope=RuleScope.GLOBAL)
                | Q(task__isnull=False)
                | Q(feature__isnull=False),
                name="plans_policyrule_quota_names_target",
            ),
            models.CheckConstraint(
                condition=~Q(scope=RuleScope.USER) | Q(key__in=_sorted(CAPS | USER_QUOTAS)),
                name="plans_policyrule_user_keys",
            ),
            models.CheckConstraint(
                condition=Q(set_by_tenant=False)
                | Q(
                    scope__in=[RuleScope.TENANT, RuleScope.USER],
                    key__in=_sorted(USER_QUOTAS),
                    value__isnull=False,
                ),
                name="plans_policyrule_set_by_tenant",
            ),
            models.CheckConstraint(
                condition=Q(scope__in=[RuleScope.GLOBAL, RuleScope.PLAN], ends_at__isnull=True)
                | (Q(scope__in=[RuleScope.TENANT, RuleScope.USER]) & ~Q(reason="")),
                name="plans_policyrule_exception_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(includes_money=False) | Q(key=RuleKey.HOLD_PERCENTILE),
                name="plans_policyrule_includes_money",
            ),
            models.CheckConstraint(
                condition=Q(value__isnull=True) | Q(value__range=(0, MAX_LIMIT)),
                name="plans_policyrule_value",
            ),
            models.CheckConstraint(
                condition=~Q(key=RuleKey.DEGRADE_AT_PERCENT) | Q(value__isnull=True) | Q(value__range=(0, 100)),
                name="plans_policyrule_value_degrade_at_percent",
            ),
            *(
                models.CheckConstraint(
                    condition=~Q(key=key) | Q(value__isnull=False, value__range=bounds),
                    name=f"plans_policyrule_value_{key.value.lower()}",
                )
                for key, bounds in BOUNDED.items()
            ),
            models.UniqueConstraint(
                fields=["scope", "plan", "tenant", "user_key", "task", "feature", "key", "set_by_tenant"],
                nulls_distinct=False,
                name="plans_policyrule_once",
            ),
        ]
        triggers = [
            frozen("r.plan_id"),
            pgtrigger.Protect(
                name="keep_what_it_is_about",
                operation=pgtrigger.Update,
                when=pgtrigger.After,  # see `tenants.models.kept`
                condition=pgtrigger.Condition(
                    "OLD.scope = 'GLOBAL' AND OLD.task_id IS NULL AND OLD.feature_id IS NULL AND (OLD.scope, OLD.key, "
                    "OLD.task_id, OLD.feature_id) IS DISTINCT FROM (NEW.scope, NEW.key, NEW.task_id, NEW.feature_id)"
                ),
            ),
            pgtrigger.Protect(
                name="keep_defaults",
                operation=pgtrigger.Delete,
                condition=pgtrigger.Condition(
                    "OLD.scope = 'GLOBAL' AND OLD.task_id IS NULL AND OLD.feature_id IS NULL"
                ),
            ),
            *versions.counted(
                f"COALESCE(r.tenant_id, {versions.OF_CATALOGUE})",
                columns=[
                    "scope", "plan_id", "tenant_id", "user_key", "task_id", "feature_id", "key", "value",
                    "set_by_tenant", "includes_money", "ends_at",
                ],
                where="r.scope <> 'PLAN'",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class RolloutGate(models.TextChoices):
    ALL = "ALL", "All gates"
    MODEL_ACCESS = "MODEL_ACCESS", "Model class"
    CAPS = "CAPS", "Caps of a call"
    CONCURRENCY = "CONCURRENCY", "Concurrency"
    RATES = "RATES", "Requests and tokens a minute"
    DAILY_QUOTA = "DAILY_QUOTA", "Daily quota"
    MONTHLY_QUOTA = "MONTHLY_QUOTA", "Monthly quota"
    TOKEN_LIMITS = "TOKEN_LIMITS", "Token limits"
    USER_QUOTA = "USER_QUOTA", "Quota of each user"
    BUDGET = "BUDGET", "Budget"


class RolloutRule(models.Model):
    """From when a gate is watched or binds, for everybody or one tenant. No row: it binds.

    Once it has begun it stays as it is, so that it can always be told what bound when; it can be ended.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="rollout_rules",
        help_text="Empty = everybody. A tenant's own row beats everybody's.",
    )
    gate = models.CharField(max_length=16, choices=RolloutGate, help_text="Which gate.")
    mode = models.CharField(
        max_length=16,
        choices=EnforcementMode,
        help_text="A single gate can be observed or enforced; all can be off.",
    )
    starts_at = models.DateTimeField("from", help_text="The latest start that has passed is what counts.")
    ends_at = models.DateTimeField(
        "until", null=True, blank=True, editable=False, help_text="From then on it is as if it were not there."
    )
    reason = models.CharField(
        max_length=200, blank=True, help_text="Why, for those who read it later. “Off” needs one."
    )

    class Meta:
        ordering = ["gate", "-starts_at"]
        constraints = [
            one_of("gate", RolloutGate, "plans_rolloutrule_gate"),
            one_of("mode", EnforcementMode, "plans_rolloutrule_mode"),
            models.CheckConstraint(
                condition=~Q(mode=EnforcementMode.OFF) | Q(gate=RolloutGate.ALL),
                name="plans_rolloutrule_off_is_for_all",
            ),
            models.CheckConstraint(
                condition=~Q(mode=EnforcementMode.OFF) | ~Q(reason=""), name="plans_rolloutrule_off_has_reason"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gte=models.F("starts_at")),
                name="plans_rolloutrule_ends_after_start",
            ),
            models.UniqueConstraint(
                fields=["tenant", "gate", "starts_at"], nulls_distinct=False, name="plans_rolloutrule_once"
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="keep_what_bound",
                operation=pgtrigger.Update,
                when=pgtrigger.After,  # see `tenants.models.kept`
                condition=pgtrigger.Condition(
                    "OLD.starts_at <= clock_timestamp() AND ((OLD.tenant_id, OLD.gate, OLD.mode, OLD.starts_at) "
                    "IS DISTINCT FROM (NEW.tenant_id, NEW.gate, NEW.mode, NEW.starts_at) "
                    "OR (OLD.ends_at <= clock_timestamp() AND OLD.ends_at IS DISTINCT FROM NEW.ends_at))"
                ),
            ),
            pgtrigger.Trigger(
                name="keep_that_it_bound",
                operation=pgtrigger.Delete,
                when=pgtrigger.Before,
                condition=pgtrigger.Condition("OLD.starts_at <= clock_timestamp()"),
                # A tenant without a root token has never called: what was written for it may go with it.
                func="""
                    IF OLD.tenant_id IS NULL OR EXISTS (
                        SELECT 1 FROM tenants_tenant WHERE id = OLD.tenant_id AND root_token_id IS NOT NULL
                    ) THEN
                        RAISE EXCEPTION 'It has begun, and stays on record. End it, or let another take its place.'
                            USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_rolloutrule_keep_that_it_bound';
                    END IF;
                    RETURN OLD;
                """,
            ),
            *versions.counted(
                f"COALESCE(r.tenant_id, {versions.OF_CATALOGUE})",
                columns=["tenant_id", "gate", "mode", "starts_at", "ends_at"],
            ),
        ]

    def __str__(self) -> str:
        whose = self.tenant.ati_id if self.tenant else "everybody"
        return f"{self.get_gate_display()}: {self.mode.lower()} for {whose} from {self.starts_at:%Y-%m-%d %H:%M} UTC"
