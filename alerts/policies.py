"""The thresholds in force, from snapshots that are as current as the configuration's numbers: no query a commit."""

from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from alerts import thresholds
from alerts.thresholds import Rule, Step
from plans.charges import Measure, PeriodKind
from tenants import database, versions


@dataclass(frozen=True, slots=True, eq=False)
class Policies:
    """Thresholds of everybody, or of one tenant. Two are the same where they were loaded together."""

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


def steps(tenant: UUID, feature: str | None, measure: str, period: str, limit: int | None) -> tuple[Step, ...]:
    """The thresholds of a tenant's quota of a feature (None = shared by all), by its own policies or everybody's."""
    return _steps(_POLICIES.get(tenant), _POLICIES.get(versions.CATALOGUE), feature, measure, period, limit)


@lru_cache(maxsize=10_000)
def _steps(
    own: Policies, everybody: Policies, feature: str | None, measure: str, period: str, limit: int | None
) -> tuple[Step, ...]:
    chosen = thresholds.choose(own.rules + everybody.rules, feature, Measure(measure), PeriodKind(period))
    return thresholds.steps(chosen, limit)
