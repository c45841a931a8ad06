"""The thresholds in force, from snapshots that are as current as the configuration's numbers: no query a commit."""

from dataclasses import dataclass
from uuid import UUID

from alerts.models import AlertPolicy
from alerts.thresholds import Rule
from plans.charges import Measure, PeriodKind
from tenants import versions


@dataclass(frozen=True, slots=True)
class Policies:
    """Thresholds of everybody, or of one tenant."""

    number: int
    rules: tuple[Rule, ...]


def _load(subject: UUID) -> Policies:
    tenant = None if subject == versions.CATALOGUE else subject
    with versions.one_instant():
        number = versions.number_of(subject)
        rules = tuple(
            Rule(
                is_own=tenant is not None,
                feature=row.feature_id,
                measure=Measure(row.measure) if row.measure else None,
                period=PeriodKind(row.period) if row.period else None,
                percents=tuple(row.percents),
                amounts=tuple(row.amounts),
            )
            for row in AlertPolicy.objects.filter(tenant=tenant)
        )
    return Policies(number, rules)


_POLICIES: versions.Shelf[Policies] = versions.Shelf(_load, capacity=20_000)


def of(tenant: UUID) -> tuple[Rule, ...]:
    """Every rule that may hold for a tenant's quotas, its own and everybody's."""
    return _POLICIES.get(tenant).rules + _POLICIES.get(versions.CATALOGUE).rules
