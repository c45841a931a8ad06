"""How fast a tenant used things in the days just past."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from plans import periods
from tenants.facts import TenantFacts
from usage import queries
from usage.models import TenantRollup
from usage.pages.outlook import WINDOW
from usage.sight import Sight

_MOST_FEATURES = 10_000
_QUARTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What the days just past used, in all: units by feature and nano-USD, during `basis`."""

    basis: timedelta
    units: Mapping[str, int]
    cost: int


def pace_of(tenant: TenantFacts, now: datetime) -> Pace:
    """The pace of the whole tenant, whoever looks: so are the quotas that it is compared with."""
    first = TenantRollup.objects.for_tenant(tenant.id).order_by("slot").values_list("slot", flat=True).first()
    since = quarter_of(max(now - WINDOW, min(first or now, now)))
    everybody = Sight(tenant=tenant, user=None)
    rows = queries.usage_by(everybody, "feature", since, now, [], _MOST_FEATURES)
    return Pace(
        basis=now - since,
        units={row["key"]: int(row["units_sum"] or 0) for row in rows},
        cost=sum(int(row["cost_sum"] or 0) for row in rows),
    )


def quarter_of(at: datetime) -> datetime:
    """The quarter of an hour that an instant lies in begins."""
    return at - (at - periods.EPOCH) % _QUARTER
