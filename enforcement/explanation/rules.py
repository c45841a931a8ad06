"""Which rule supplied a number, and why it and no other: told from its name, as decisions keep it.

The most specific rule counts, so the one that did says of every level above it that there was none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from enforcement.answers import Amount
from enforcement.explanation.answer import SourceRule
from plans import money
from plans.charges import Measure
from plans.models import BUDGETS, FEATURE_QUOTAS, USER_QUOTAS, RuleKey, RuleScope

_EVERY_FEATURE = "every feature for everybody"
_DOWNWARDS = (RuleScope.USER, RuleScope.TENANT, RuleScope.PLAN, RuleScope.GLOBAL)

Levels = Sequence[tuple[RuleScope, str]]
"""Who could have a say, the most specific first: the scope, and its level in words."""


@dataclass(frozen=True, slots=True)
class Source:
    """A rule's name taken apart: `SCOPE[+TARGET] KEY id`, or `plan CODE` for what the plan itself says."""

    scope: RuleScope
    target: str | None
    key: str | None
    id: UUID | None

    @classmethod
    def of(cls, name: str) -> "Source":
        """From the name that a decision keeps."""
        first, *rest = name.split(" ")
        if first == "plan":
            return cls(RuleScope.PLAN, None, None, None)
        scope, _, target = first.partition("+")
        return cls(RuleScope(scope), target or None, rest[0], UUID(rest[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Precedence:
    """For whom, and in which plan, a call was: who could have a say."""

    plan: str | None
    user: str | None
    feature: str | None
    task: str | None

    def of_cap(self, name: str, value: int | None) -> SourceRule:
        """The rule that supplied a cap."""
        source = Source.of(name)
        targets = (self.task, self.feature, None)
        levels = [(scope, self._level(scope, target)) for scope in self._scopes() for target in targets]
        own = self._level(source.scope, source.target)
        return self._told(source, source.key or "", value, levels, (source.scope, own))

    def of_limit(self, name: str, value: int | None, *, key: RuleKey, target: str | None) -> SourceRule:
        """The rule, or the plan's own number, that limits the meter of `target` (None = the tenant's)."""
        source = Source.of(name)
        is_promised = self._is_promised(key, target)
        levels: list[tuple[RuleScope, str]] = []
        for scope in self._scopes():
            if scope == RuleScope.USER and key not in USER_QUOTAS:
                continue  # the other limits are shared: no user has one of its own
            rule_of = "a rule about " if scope == RuleScope.PLAN and is_promised else ""
            levels.append((scope, rule_of + self._level(scope, target)))
            if rule_of:
                levels.append((scope, self._itself()))
            if scope == RuleScope.GLOBAL and target == self.feature and key in FEATURE_QUOTAS:
                levels.append((scope, _EVERY_FEATURE))
        own = self._level(source.scope, target)
        if source.key is None:
            own = self._itself()
        elif source.scope == RuleScope.PLAN and is_promised:
            own = f"a rule about {own}"
        elif source.scope == RuleScope.GLOBAL and source.target is None and target is not None:
            own = _EVERY_FEATURE
        return self._told(source, key, value, levels, (source.scope, own))

    def _scopes(self) -> tuple[RuleScope, ...]:
        return _DOWNWARDS if self.user is not None else _DOWNWARDS[1:]

    def _is_promised(self, key: RuleKey, target: str | None) -> bool:
        """Whether the plan has a number of its own for this."""
        of_feature = target == self.feature and key in FEATURE_QUOTAS and key not in USER_QUOTAS
        return of_feature or (target is None and key == RuleKey.MONTHLY_BUDGET)

    def _who(self, scope: RuleScope) -> str:
        match scope:
            case RuleScope.USER:
                return "the user"
            case RuleScope.TENANT:
                return "the tenant"
            case RuleScope.PLAN:
                return f"the plan {self.plan}"
            case _:
                return "everybody"

    def _level(self, scope: RuleScope, target: str | None) -> str:
        if target is None:
            return self._who(scope)
        return f"{target} {'in' if scope == RuleScope.PLAN else 'for'} {self._who(scope)}"

    def _itself(self) -> str:
        return f"the plan {self.plan} itself"

    def _told(
        self, source: Source, key: str, value: int | None, levels: Levels, own: tuple[RuleScope, str]
    ) -> SourceRule:
        place = levels.index(own)
        above, below = self._named(levels[:place], own[0]), self._named(levels[place + 1 :], own[0])
        # A tenant's own rule counts only where it lowers what is below it.
        of_these = " that counts" if key in USER_QUOTAS else ""
        reason = "nothing is more specific"
        if above:
            reason = f"most specific because there is none{of_these} for {_listed(above, 'or')}"
        rest = f"; it comes before what is for {_listed(below, 'and')}" if below else ""
        return SourceRule(
            id=source.id,
            scope=source.scope,
            target=source.target,
            key=key,
            value=shown(value, key in BUDGETS),
            why=f"It is for {own[1]}: {reason}{rest}.",
        )

    def _named(self, levels: Levels, own: RuleScope) -> list[str]:
        """The levels in words, those of another scope by that alone."""
        words = [words if scope == own else self._who(scope) for scope, words in levels]
        return list(dict.fromkeys(words))


def _listed(words: Sequence[str], joiner: str) -> str:
    *first, last = words
    return f"{', '.join(first)} {joiner} {last}" if first else last


def shown(value: int | None, is_money: bool) -> Amount | None:
    """A number on the wire: money as USD."""
    return money.usd(value) if is_money and value is not None else value


def key_of(measure: Measure, period: str, *, is_of_user: bool) -> RuleKey:
    """The key under which a meter of a day or month is limited."""
    day = period == "DAY"
    if is_of_user:
        return RuleKey.USER_DAILY_QUOTA if day else RuleKey.USER_MONTHLY_QUOTA
    if measure == Measure.COST:
        return RuleKey.DAILY_BUDGET if day else RuleKey.MONTHLY_BUDGET
    if measure == Measure.TOKENS:
        return RuleKey.DAILY_TOKEN_LIMIT if day else RuleKey.MONTHLY_TOKEN_LIMIT
    return RuleKey.DAILY_QUOTA if day else RuleKey.MONTHLY_QUOTA
