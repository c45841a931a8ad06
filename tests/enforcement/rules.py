"""Exceptions for a tenant, as an operator writes them."""

from datetime import datetime
from typing import Any

from plans.models import PolicyRule, RolloutRule
from tenants.models import Tenant


def limit(tenant: Tenant, key: str, value: int | None, **fields: Any) -> PolicyRule:
    """A rule for one tenant, or with `user_key` for one of its users."""
    scope = "USER" if "user_key" in fields else "TENANT"
    return PolicyRule.objects.create(scope=scope, tenant=tenant, key=key, value=value, reason="a test", **fields)


def roll_out(gate: str, mode: str, starts_at: datetime, tenant: Tenant | None = None) -> RolloutRule:
    """A roll-out rule for one tenant, or everybody."""
    return RolloutRule.objects.create(tenant=tenant, gate=gate, mode=mode, starts_at=starts_at, reason="a test")
