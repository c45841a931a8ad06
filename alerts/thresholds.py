"""At which amounts people are told. Pure: no query, no clock.

A share of a limit is reached at the smallest whole amount that is at least that share of it, and never at nothing:
of a limit of 0 the first that is used reaches every share.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alerts.models import AlertKind, Severity
from plans.charges import Measure, PeriodKind

_WARNING, _CRITICAL = 80, 100
_USUAL = frozenset({PeriodKind.DAY, PeriodKind.MONTH})
"""The periods that a rule is about which names none: minutes are over before anybody reads of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """At what to tell of the quotas it names; None = of every feature or measure, of days and months.

    `is_own`: it is the tenant's. `amounts` are in the measure's unit, money in nano-USD.
    """

    is_own: bool
    feature: str | None
    measure: Measure | None
    period: PeriodKind | None
    percents: tuple[int, ...]
    amounts: tuple[int, ...]

    def is_about(self, feature: str | None, measure: Measure, period: PeriodKind) -> bool:
        """Whether it names a quota of this feature (None = shared by all)."""
        return (
            self.feature in (None, feature)
            and self.measure in (None, measure)
            and (period in _USUAL if self.period is None else self.period == period)
        )

    @property
    def rank(self) -> tuple[bool, bool, bool, bool]:
        """The largest holds: a tenant's own, then by how closely it names a quota."""
        return self.is_own, self.feature is not None, self.measure is not None, self.period is not None


def choose(rules: Iterable[Rule], feature: str | None, measure: Measure, period: PeriodKind) -> Rule | None:
    """The rule that holds for a quota; it takes the place of all others."""
    return max((rule for rule in rules if rule.is_about(feature, measure, period)), key=lambda r: r.rank, default=None)


@dataclass(frozen=True, slots=True)
class Step:
    """A threshold of one quota: of what `kind`, its `value` in percent or as an amount, reached `at` this much used."""

    at: int
    kind: AlertKind
    value: int

    @property
    def severity(self) -> Severity:
        """How much it matters: nothing is left, little is left, or it is good to know."""
        if self.kind != AlertKind.THRESHOLD or self.value < _WARNING:
            return Severity.INFO
        return Severity.CRITICAL if self.value >= _CRITICAL else Severity.WARNING


def steps(rule: Rule | None, limit: int | None) -> tuple[Step, ...]:
    """The thresholds of a quota in the order in which they are reached; shares only where there is a limit.

    Of shares that the same amount reaches, as of a small limit, the largest alone is told.
    """
    if rule is None:
        return ()
    shares = {} if limit is None else {_reached_at(percent, limit): percent for percent in sorted(rule.percents)}
    found = [Step(at, AlertKind.THRESHOLD, percent) for at, percent in shares.items()]
    found += [Step(amount, AlertKind.AMOUNT, amount) for amount in set(rule.amounts)]
    return tuple(sorted(found, key=lambda step: (step.at, step.kind, step.value)))


def _reached_at(percent: int, limit: int) -> int:
    return max(1, -(-percent * limit // 100))


def crossed(steps: Sequence[Step], before: int, after: int) -> tuple[Step, ...]:
    """Those that are reached at `after` and were not at `before`."""
    return tuple(step for step in steps if before < step.at <= after)


def reached(steps: Sequence[Step], used: int) -> tuple[Step, ...]:
    """Those that are reached."""
    return tuple(step for step in steps if step.at <= used)
