"""Edits of promises as text, such as `PATENT_DRAFTING.daily_quota=400000`; the paths are those of `changes`. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from plans import money
from plans.models import BUDGETS, FEATURE_QUOTAS, MAX_LIMIT, Feature, ModelClass, Overage, RuleKey, Task, TaskKind
from plans.models.policy import BOUNDED
from plans.promises import FeaturePromise, Promises, RulePromise, TaskPromise
from plans.publishing.changes import QUOTAS

_MAX_SEATS = 2**31 - 1
_MOST_DIGITS = 128
_PERCENT = (0, 100)
P = TypeVar("P", FeaturePromise, TaskPromise)


class EditRefused(ValueError):
    """An edit that cannot be made; the message names its path, and what is known or allowed."""


class Vocabulary(NamedTuple):
    """The codes that paths and values may name."""

    features: frozenset[str]
    llm_tasks: frozenset[str]
    api_tasks: frozenset[str]
    classes: frozenset[str]

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks of both kinds."""
        return self.llm_tasks | self.api_tasks


def vocabulary() -> Vocabulary:
    """The codes of the catalogue, read from the database."""
    kinds = dict(Task.objects.values_list("code", "kind"))
    return Vocabulary(
        features=frozenset(Feature.objects.values_list("code", flat=True)),
        llm_tasks=frozenset(code for code, kind in kinds.items() if kind == TaskKind.LLM),
        api_tasks=frozenset(code for code, kind in kinds.items() if kind == TaskKind.API),
        classes=frozenset(ModelClass.objects.values_list("code", flat=True)),
    )


def edited(promised: Promises, edits: Iterable[str], known: Vocabulary) -> Promises:
    """The promises after edits of the form PATH=VALUE, made in their order. Raises EditRefused."""
    for edit in edits:
        path, equals, value = edit.partition("=")
        if not equals:
            raise EditRefused(f"{edit}: write it as PATH=VALUE, such as PATENT_DRAFTING.daily_quota=400000.")
        promised = _Edit(path.strip(), value.strip(), known).of(promised)
    for task in promised.tasks:
        if task.default_class is not None and task.default_class not in task.classes:
            allowed = _named(task.classes) or "none"
            raise EditRefused(f"{task.task}.default_class: {task.default_class} is not among the allowed ({allowed}).")
    return promised


@dataclass(frozen=True, slots=True)
class _Edit:
    path: str
    value: str
    known: Vocabulary

    def of(self, promised: Promises) -> Promises:
        name, _, field = self.path.partition(".")
        key, _, target = self.path.partition("@")
        if self.path == "max_seats":
            return replace(promised, max_seats=self._number(most=_MAX_SEATS))
        if self.path == "monthly_budget":
            return replace(promised, monthly_budget_nano_usd=self._usd())
        if key in RuleKey:
            return replace(promised, rules=self._rule(promised.rules, RuleKey(key), target))
        if (name in self.known.features and name not in self.known.tasks) or field in FeaturePromise._fields:
            return replace(promised, features=self._feature(promised.features, name, field))
        if name in self.known.tasks:
            return replace(promised, tasks=self._task(promised.tasks, name, field))
        raise EditRefused(
            f"{self.path}: there is no {name} in a plan. Known are max_seats, monthly_budget, the features "
            f"{_named(self.known.features)}, the tasks {_named(self.known.tasks)}, and the caps and gates "
            f"{_named(RuleKey)} (for one task or feature: {RuleKey.MAX_TOKENS_OUT}@TASK)."
        )

    # --- features and tasks ------------------------------------------------------
    def _feature(self, features: frozenset[FeaturePromise], code: str, field: str) -> frozenset[FeaturePromise]:
        if code not in self.known.features:
            raise EditRefused(f"{self.path}: {code} is no feature. Known are {_named(self.known.features)}.")
        own = next((each for each in features if each.feature == code), None)
        others = features - {own}
        if not field:
            return others | ({own or FeaturePromise(code)} if self._yes() else set())
        parsers: dict[str, Callable[[], Any]] = dict.fromkeys(QUOTAS, self._number)
        parsers |= {"enabled": self._yes, "overage": self._overage}
        return others | {self._with(own, field, parsers)}

    def _task(self, tasks: frozenset[TaskPromise], code: str, field: str) -> frozenset[TaskPromise]:
        own = next((each for each in tasks if each.task == code), None)
        others = tasks - {own}
        if not field:
            return others | ({own or TaskPromise(code)} if self._yes() else set())
        if code in self.known.api_tasks:
            raise EditRefused(f"{self.path}: {code} is an API task, which has no model classes.")
        parsers: dict[str, Callable[[], Any]] = {
            "classes": self._classes, "default_class": self._default, "allow_downgrade": self._yes,
        }  # fmt: skip
        return others | {self._with(own, field, parsers)}

    def _with(self, own: P | None, field: str, parsers: Mapping[str, Callable[[], Any]]) -> P:
        if own is None:
            name = self.path.partition(".")[0]
            raise EditRefused(f"{self.path}: {name} is not in the plan; put {name}=yes before it.")
        if field not in parsers:
            raise EditRefused(f"{self.path}: there is no {field}. Known are {', '.join(parsers)}.")
        value: dict[str, Any] = {field: parsers[field]()}
        return own._replace(**value)

    # --- caps and gates ----------------------------------------------------------
    def _rule(self, rules: frozenset[RulePromise], key: RuleKey, target: str) -> frozenset[RulePromise]:
        task = target if target in self.known.tasks else None
        feature = target if target in self.known.features else None
        if target and (task is None) == (feature is None):
            which = "both a task and a feature" if task else "neither a task nor a feature"
            known = _named(self.known.tasks | self.known.features)
            raise EditRefused(f"{self.path}: {target} is {which}. Known are {known}.")
        if key in FEATURE_QUOTAS and not target:
            raise EditRefused(f"{self.path}: a quota counts the units of something: write {key}@TASK or {key}@FEATURE.")
        about = (key, task, feature)
        own = next((each for each in rules if (each.key, each.task, each.feature) == about), None)
        others = rules - {own}
        if self.value == "none":
            return others
        value = self._usd() if key in BUDGETS else self._within(key)
        return others | {RulePromise(key, value, task, feature, own.includes_money if own else False)}

    def _within(self, key: RuleKey) -> int | None:
        is_percentage = key == RuleKey.DEGRADE_AT_PERCENT
        least, most = BOUNDED.get(key, _PERCENT if is_percentage else (0, MAX_LIMIT))
        if is_percentage and self.value == "never":
            return None
        value = self._number(least=least, most=most)
        if value is None and key in BOUNDED:
            raise EditRefused(f"{self.path}: a whole number from {least:,} to {most:,}; it cannot be unlimited.")
        return value

    # --- values ------------------------------------------------------------------
    def _number(self, least: int = 0, most: int = MAX_LIMIT) -> int | None:
        if self.value == "unlimited":
            return None
        digits = self.value.replace(",", "").replace("_", "")
        # Python refuses to read thousands of digits.
        if not digits.isdecimal() or len(digits) > _MOST_DIGITS or not least <= int(digits) <= most:
            raise EditRefused(
                f"{self.path}: {self.value or 'nothing'} is no whole number from {least:,} to {most:,}, and not "
                "“unlimited”."
            )
        return int(digits)

    def _usd(self) -> int | None:
        if self.value == "unlimited":
            return None
        try:
            return money.nano_usd(self.value.removeprefix("USD").strip().replace(",", ""))
        except ValueError as problem:
            raise EditRefused(f"{self.path}: {problem}; such as 50 or 2.5, or “unlimited”.") from problem

    def _yes(self) -> bool:
        if self.value not in {"yes", "no"}:
            raise EditRefused(f"{self.path}: yes or no, not {self.value or 'nothing'}.")
        return self.value == "yes"

    def _overage(self) -> Overage:
        if self.value not in Overage:
            raise EditRefused(f"{self.path}: {' or '.join(Overage)}, not {self.value or 'nothing'}.")
        return Overage(self.value)

    def _classes(self) -> frozenset[str]:
        codes = frozenset(code.strip() for code in self.value.split(","))
        unknown = codes - self.known.classes
        if unknown:
            raise EditRefused(f"{self.path}: {_named(unknown)} is not known. Known are {_named(self.known.classes)}.")
        return codes

    def _default(self) -> str | None:
        if self.value == "none":
            return None
        if self.value not in self.known.classes:
            raise EditRefused(f"{self.path}: one of {_named(self.known.classes)}, or none; not {self.value}.")
        return self.value


def _named(codes: Iterable[str]) -> str:
    return ", ".join(sorted(codes))
