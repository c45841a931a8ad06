"""What a draft changes: each promise by its path, before and after, as people read it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from plans import money, promises
from plans.models import BUDGETS, Feature, ModelClass, Plan, RuleKey, Task, Unit
from plans.promises import FeaturePromise, Promises, RulePromise, TaskPromise

QUOTAS = ("daily_quota", "monthly_quota", "daily_token_limit", "monthly_token_limit")
ABSENT = "–"
_COUNTED_IN_TOKENS = frozenset({"daily_token_limit", "monthly_token_limit"})
_TOKEN_KEYS = frozenset(key for key in RuleKey if "TOKEN" in key)
_UNIT_KEYS = frozenset(
    {RuleKey.DAILY_QUOTA, RuleKey.MONTHLY_QUOTA, RuleKey.USER_DAILY_QUOTA, RuleKey.USER_MONTHLY_QUOTA}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One promise that differs. `what` is its path, as `plan draft --set` takes it; “–” = not said, or not there.

    `factor` is how many times the greater number is the smaller one; None where one is unlimited, 0 or no number.
    """

    what: str
    before: str
    after: str
    factor: int | None = None

    def __str__(self) -> str:
        return f"{self.what}: {self.before} → {self.after}"


class Words(NamedTuple):
    """The catalogue's words that promises are read with: units by feature and task, classes from cheap to dear."""

    units: Mapping[str, str]
    classes: Mapping[str, int]


class _Said(NamedTuple):
    words: str
    number: int | None = None


def diff(draft: Plan) -> tuple[Change, ...]:
    """What a draft changes of the revision it is based on; all of it where it is based on none."""
    before = promises.of(draft.based_on) if draft.based_on is not None else None
    return between(before, promises.of(draft), words())


def words() -> Words:
    """They are read from the database."""
    features = {code: Unit(unit).label for code, unit in Feature.objects.values_list("code", "unit")}
    tasks = {code: features[feature] for code, feature in Task.objects.values_list("code", "feature")}
    return Words(features | tasks, dict(ModelClass.objects.values_list("code", "rank")))


def between(before: Promises | None, after: Promises, known: Words) -> tuple[Change, ...]:
    """The differences of two sets of promises, in the order in which a plan is read."""
    old = dict(_said(before, known)) if before is not None else {}
    new = dict(_said(after, known))
    nothing = _Said(ABSENT)
    return tuple(
        Change(
            what=path,
            before=old.get(path, nothing).words,
            after=new.get(path, nothing).words,
            factor=_factor(old.get(path, nothing).number, new.get(path, nothing).number),
        )
        for path in sorted(old.keys() | new.keys(), key=_place)
        if old.get(path, nothing) != new.get(path, nothing)
    )


def _place(path: str) -> tuple[int, str]:
    """Seats and budget, features and tasks, caps and gates."""
    name = path.split("@", maxsplit=1)[0]
    return (0 if path.islower() else 2 if name in RuleKey else 1), path


def _factor(one: int | None, other: int | None) -> int | None:
    return max(one, other) // min(one, other) if one and other else None


def _said(promised: Promises, known: Words) -> Iterator[tuple[str, _Said]]:
    yield "max_seats", _limit(promised.max_seats)
    yield "monthly_budget", _money(promised.monthly_budget_nano_usd)
    for feature in promised.features:
        yield from _feature(feature, known)
    for task in promised.tasks:
        yield from _task(task, known)
    for rule in promised.rules:
        target = rule.task or rule.feature
        yield f"{rule.key}{f'@{target}' if target else ''}", _rule(rule, known)


def _feature(promised: FeaturePromise, known: Words) -> Iterator[tuple[str, _Said]]:
    yield promised.feature, _Said("yes")
    yield f"{promised.feature}.enabled", _yes(promised.enabled)
    for name in QUOTAS:
        unit = "tokens" if name in _COUNTED_IN_TOKENS else known.units.get(promised.feature, "")
        yield f"{promised.feature}.{name}", _limit(getattr(promised, name), unit)
    yield f"{promised.feature}.overage", _Said(promised.overage)


def _task(promised: TaskPromise, known: Words) -> Iterator[tuple[str, _Said]]:
    yield promised.task, _Said("yes")
    if promised.classes:
        classes = sorted(promised.classes, key=lambda code: known.classes.get(code, 0))
        yield f"{promised.task}.classes", _Said(", ".join(classes))
        yield f"{promised.task}.default_class", _Said(promised.default_class or "none")
        yield f"{promised.task}.allow_downgrade", _yes(promised.allow_downgrade)


def _rule(promised: RulePromise, known: Words) -> _Said:
    if promised.key in BUDGETS:
        return _money(promised.value)
    if promised.key == RuleKey.DEGRADE_AT_PERCENT:
        return _Said("never") if promised.value is None else _Said(f"{promised.value} %")
    if promised.key == RuleKey.HOLD_PERCENTILE:
        return _Said(f"{promised.value}{' (budgets too)' if promised.includes_money else ''}")
    unit = "tokens" if promised.key in _TOKEN_KEYS else ""
    if promised.key in _UNIT_KEYS:
        unit = known.units.get(promised.task or promised.feature or "", "")
    return _limit(promised.value, unit)


def _limit(value: int | None, unit: str = "") -> _Said:
    return _Said("unlimited") if value is None else _Said(f"{value:,} {unit}".strip(), value)


def _money(nano: int | None) -> _Said:
    return _Said("unlimited") if nano is None else _Said(usd(nano), nano)


def usd(nano: int) -> str:
    """An amount of money as people read it: “USD 1,250.00”."""
    whole, _, rest = money.usd(nano).partition(".")
    return f"USD {int(whole):,}.{rest}"


def _yes(value: bool) -> _Said:
    return _Said("yes" if value else "no")
