"""The limits that a tenant's admins set for each of its users, within what the plan allows."""

from dataclasses import dataclass

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db import transaction
from django.db.models import QuerySet

from plans.models import Feature, PolicyRule, RuleKey, RuleScope
from tenants.models import Tenant, User

KEYS = (RuleKey.USER_DAILY_QUOTA, RuleKey.USER_MONTHLY_QUOTA)
_REASON = "Set by the organisation"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLimit:
    """At most `value` units of a feature, a day or a month, for one user; `user_key` None = for each user."""

    user_key: str | None
    feature: Feature
    key: RuleKey
    value: int

    def __post_init__(self) -> None:
        if self.key not in KEYS or self.value < 0:
            raise ValueError("a user's limit is a quota of 0 or more")


def of(tenant: Tenant) -> QuerySet[PolicyRule]:
    """The limits that the tenant has set, those for every user first."""
    rows = PolicyRule.objects.for_tenant(tenant).filter(set_by_tenant=True, key__in=KEYS, task=None)
    return rows.select_related("feature").order_by("scope", "user_key", "feature__name", "key")


def put(tenant: Tenant, limit: UserLimit, *, by: User) -> PolicyRule:
    """Set a limit, in place of the one there was for the same user, feature and period; on record.

    It binds where it is the smaller one: what a super admin or the plan sets is never raised by it.
    """
    is_for_one = limit.user_key is not None
    with transaction.atomic():
        rule, is_new = PolicyRule.objects.update_or_create(
            scope=RuleScope.USER if is_for_one else RuleScope.TENANT, tenant=tenant, user_key=limit.user_key,
            feature=limit.feature, task=None, key=limit.key, set_by_tenant=True,
            defaults={"value": limit.value, "reason": _REASON, "ends_at": None},
        )  # fmt: skip
        _record(rule, ADDITION if is_new else CHANGE, f"{_whose(rule)}: {limit.value:,} {_period(rule)}.", by)
    return rule


def remove(rule: PolicyRule, *, by: User) -> None:
    """Take a limit away that the tenant has set; on record."""
    with transaction.atomic():
        gone, _ = PolicyRule.objects.filter(pk=rule.pk, set_by_tenant=True).delete()
        if gone:
            _record(rule, DELETION, f"{_whose(rule)}: no limit {_period(rule)} any more.", by)


def _record(rule: PolicyRule, flag: int, said: str, by: User) -> None:
    LogEntry.objects.log_actions(str(by.pk), [rule], flag, change_message=said, single_object=True)


def _whose(rule: PolicyRule) -> str:
    return f"{rule.feature_id} for {rule.user_key or 'each user'}"


def _period(rule: PolicyRule) -> str:
    return "a day" if rule.key == RuleKey.USER_DAILY_QUOTA else "a month"
