"""The shares of a limit at which a tenant's people are told of any quota: the rule about everything."""

from collections.abc import Sequence

from alerts.models import AlertPolicy
from tenants.models import Tenant


def of(tenant: Tenant) -> list[int]:
    """Those in force, in percent: the tenant's own, else everybody's."""
    rows = AlertPolicy.objects.filter(feature=None, measure=None, period=None)
    row = rows.for_tenant(tenant).first() or rows.of_everybody().first()
    return sorted(row.percents) if row else []


def change(tenant: Tenant, percents: Sequence[int]) -> None:
    """Give the tenant its own; amounts and rules about single quotas stay as they are."""
    AlertPolicy.objects.update_or_create(
        tenant=tenant, feature=None, measure=None, period=None, defaults={"percents": list(percents)}
    )
