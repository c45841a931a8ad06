"""The thresholds in force, from snapshots that are as current as the configuration's numbers: no query a commit."""

from dataclasses import dataclass
from uuid import UUID

from alerts.thresholds import Rule
from plans.charges import Measure, PeriodKind
from tenants import database, versions


@dataclass(frozen=True, slots=True)
class Policies:
    """Thresholds of everybody, or of one tenant."""

    number: int
    rules: tuple[Rule, ...]


# One statement, which sees number and rows at one instant.
_LOAD = """
    SELECT COALESCE((SELECT number FROM tenants_configversion WHERE subject = %(subject)s), 0),
           p.id, p.feature_id, p.measure, p.period, p.percents, p.amounts
      FROM (SELECT 1) AS one LEFT JOIN alerts_alertpolicy p ON p.tenant_id IS NOT DISTINCT FROM %(tenant)s
"""


def _load(subject: UUID) -> Policies:
    tenant = None if subject == versions.CATALOGUE else subject
    rows = database.rows(_LOAD, {"subject": subject, "tenant": tenant})
    rules = tuple(
        Rule(
            is_own=tenant is not None,
            feature=feature,
            measure=Measure(measure) if measure else None,
            period=PeriodKind(period) if period else None,
            percents=tuple(percents),
            amounts=tuple(amounts),
        )
        for _, id_, feature, measure, period, percents, amounts in rows
        if id_ is not None
    )
    return Policies(rows[0][0], rules)


_POLICIES: versions.Shelf[Policies] = versions.Shelf(_load, capacity=20_000)


def of(tenant: UUID) -> tuple[Rule, ...]:
    """Every rule that may hold for a tenant's quotas, its own and everybody's."""
    return _POLICIES.get(tenant).rules + _POLICIES.get(versions.CATALOGUE).rules
