"""The seed catalogue: reads `seed.yaml` and writes what is missing in the database.

An operator's rows win: what exists is kept, unless a reset is asked for. Of a plan that was ever published
nothing can be overwritten, so a reset makes a new revision of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from django.db import connection, models, transaction

from plans import list_prices, money, promises
from plans.models import (
    Feature,
    FeatureCode,
    LLMModel,
    ModelClass,
    ModelClassCode,
    ModelPrice,
    OnFailure,
    Plan,
    PlanStatus,
    Provider,
    RuleKey,
    Task,
    TaskCode,
    TaskKind,
    Unit,
)
from plans.promises import FeaturePromise, Promises, RulePromise, TaskPromise

SEED = Path(__file__).with_name("seed.yaml")
Limits = dict[RuleKey, int | None]


class CatalogueError(Exception):
    """The file cannot be read, or says of an existing row what can never change; the message says where."""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class FeatureEntry(_Entry, frozen=True, kw_only=True):
    name: str
    unit: Unit
    on_failure: OnFailure = OnFailure.CLOSED


class TaskEntry(_Entry, frozen=True, kw_only=True):
    name: str
    feature: FeatureCode
    kind: TaskKind
    usd_per_unit: str | None = None


class ModelClassEntry(_Entry, frozen=True, kw_only=True):
    name: str
    rank: int
    is_fallback: bool = False


class ProviderEntry(_Entry, frozen=True, kw_only=True):
    name: str
    price_list: str


class ModelEntry(_Entry, frozen=True, kw_only=True):
    provider: str
    model_id: str


class Quotas(_Entry, frozen=True, kw_only=True):
    daily_quota: int | None = None
    monthly_quota: int | None = None


class PlanTaskEntry(_Entry, frozen=True, kw_only=True):
    classes: frozenset[ModelClassCode] | None = None
    default_class: ModelClassCode | None = None
    rules: Limits = {}


class PlanEntry(_Entry, frozen=True, kw_only=True):
    name: str
    max_seats: int | None
    monthly_budget_usd: str | None = None
    classes: frozenset[ModelClassCode]
    default_class: ModelClassCode
    rules: Limits
    features: dict[FeatureCode, Quotas]
    tasks: dict[TaskCode, PlanTaskEntry]


class Seed(_Entry, frozen=True, kw_only=True):
    """What `seed.yaml` says, as it says it."""

    features: dict[FeatureCode, FeatureEntry]
    tasks: dict[TaskCode, TaskEntry]
    model_classes: dict[ModelClassCode, ModelClassEntry]
    prices_from: datetime
    providers: dict[str, ProviderEntry]
    models: dict[ModelClassCode, list[ModelEntry]]
    plans: dict[str, PlanEntry]

    def size(self) -> int:
        """How many times `seed` tells of a row."""
        models = sum(len(entries) for entries in self.models.values())
        named = len(self.features) + len(self.tasks) + len(self.model_classes) + len(self.providers)
        return named + models + len(self.plans)


class Outcome(StrEnum):
    MADE = "made"
    KEPT = "kept"
    RESET = "reset"


class Written(NamedTuple):
    """What became of one entry of the file."""

    kind: str
    name: str
    outcome: Outcome


def read(path: Path = SEED) -> Seed:
    """The seed file, checked against the catalogue's codes. CatalogueError says what is wrong, and where."""
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=Seed)
    except (msgspec.DecodeError, OSError) as problem:
        raise CatalogueError(f"{path.name}: {problem}") from problem


def seed(content: Seed, *, reset: bool = False, tell: Callable[[Written], None] = lambda _: None) -> None:
    """Write what is missing, all or nothing; with `reset` also put the file's values over an operator's.

    Rows that the file does not know stay, and so do further prices of a known model. `tell` hears of each
    entry.
    CatalogueError where a row exists whose meaning (a feature's unit, a task's feature or kind) differs.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Two seeds at once would both find nothing. Readers, and foreign keys to plans, do not wait.
            cursor.execute("LOCK TABLE plans_plan IN SHARE ROW EXCLUSIVE MODE")
        writer = _Writer(reset=reset, tell=tell)
        _vocabulary(content, writer)
        _models(content, writer)
        for code, entry in content.plans.items():
            writer.told("plan", code, _plan(code, entry, content, reset=reset))


M = TypeVar("M", bound=models.Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writer:
    reset: bool
    tell: Callable[[Written], None]

    def told(self, kind: str, name: str, outcome: Outcome) -> None:
        self.tell(Written(kind, name, outcome))

    def put(
        self,
        model: type[M],
        key: Mapping[str, object],
        values: Mapping[str, object],
        *,
        meaning: Mapping[str, object] | None = None,
    ) -> tuple[M, Outcome]:
        """The row of this key, made or reset if need be; its `meaning` is compared, never overwritten."""
        fixed = meaning or {}
        row, made = model._default_manager.get_or_create(**key, defaults={**values, **fixed})
        for field, value in fixed.items():
            if getattr(row, field) != value:
                raise CatalogueError(f"{row} has {field} {getattr(row, field)}, the file {value}")
        changed = [field for field, value in values.items() if getattr(row, field) != value]
        if made or not (self.reset and changed):
            return row, Outcome.MADE if made else Outcome.KEPT
        for field in changed:
            setattr(row, field, values[field])
        row.save(update_fields=changed)
        return row, Outcome.RESET

    def entry(self, model: type[M], code: str, values: Mapping[str, object], **meaning: object) -> tuple[M, Outcome]:
        row, outcome = self.put(model, {"code": code}, values, meaning=meaning)
        self.told(str(model._meta.verbose_name), code, outcome)
        return row, outcome


def _vocabulary(content: Seed, writer: _Writer) -> None:
    for feature_code, feature in content.features.items():
        writer.entry(Feature, feature_code, {"name": feature.name, "on_failure": feature.on_failure}, unit=feature.unit)
    _tasks(content, writer)
    if writer.reset:
        _make_way(content)
    for code, entry in content.model_classes.items():
        values = {"name": entry.name, "rank": entry.rank, "is_fallback": entry.is_fallback}
        writer.entry(ModelClass, code, values)


def _tasks(content: Seed, writer: _Writer) -> None:
    # A migration makes the tasks, without a price. Once there is a plan, no price is what an operator chose.
    is_new = not Plan.objects.exists()
    for code, entry in content.tasks.items():
        price = None if entry.usd_per_unit is None else money.nano_usd(entry.usd_per_unit)
        values = {"name": entry.name, "price_per_unit_nano_usd": price}
        meaning = {"feature_id": entry.feature, "kind": entry.kind}
        task, outcome = writer.put(Task, {"code": code}, values, meaning=meaning)
        if is_new and task.price_per_unit_nano_usd is None and price is not None:
            task.price_per_unit_nano_usd, outcome = price, Outcome.MADE
            task.save(update_fields=["price_per_unit_nano_usd"])
        writer.told("task", code, outcome)


def _make_way(content: Seed) -> None:
    """Free the ranks and the one fallback that classes of the file will take from each other."""
    for row in ModelClass.objects.all():
        entry = content.model_classes.get(ModelClassCode(row.code)) if row.code in ModelClassCode else None
        if entry and (row.rank, row.is_fallback) != (entry.rank, entry.is_fallback):
            row.rank, row.is_fallback = row.rank + 10_000, False
            row.save(update_fields=["rank", "is_fallback"])


def _models(content: Seed, writer: _Writer) -> None:
    for code, provider in content.providers.items():
        writer.entry(Provider, code, {"name": provider.name})
    for class_code, entries in content.models.items():
        for place, entry in enumerate(entries, start=1):
            model, outcome = writer.put(
                LLMModel,
                {"provider_id": entry.provider, "model_id": entry.model_id},
                {"model_class_id": class_code, "priority": 10 * place, "is_active": True},
            )
            # A model's prices are history: where the model was there already, they are the operator's.
            if (outcome is Outcome.MADE or writer.reset) and _prices(model, content, writer):
                outcome = Outcome.RESET if outcome is Outcome.KEPT else outcome
            writer.told("model", entry.model_id, outcome)


def _prices(model: LLMModel, content: Seed, writer: _Writer) -> bool:
    """Put the list prices of a model; whether that changed anything."""
    listed = list_prices.of_model(
        content.providers[model.provider_id].price_list, model.model_id, since=content.prices_from
    )
    outcomes = [
        writer.put(
            ModelPrice,
            {
                "model": model,
                "unit": price.unit,
                "is_batch": price.is_batch,
                "above_input_tokens": price.above_input_tokens,
                "valid_from": price.valid_from,
            },
            {"nano_usd_per_million": price.nano_usd_per_million},
        )[1]
        for price in listed
    ]
    return any(outcome is not Outcome.KEPT for outcome in outcomes)


def _plan(code: str, entry: PlanEntry, content: Seed, *, reset: bool) -> Outcome:
    revisions = list(Plan.objects.filter(code=code).order_by("-revision"))
    if revisions and not reset:
        return Outcome.KEPT
    wanted = _promised(entry, content)
    active = next((plan for plan in revisions if plan.status == PlanStatus.ACTIVE), None)
    if active and promises.of(active) == wanted:
        if active.name == entry.name:
            return Outcome.KEPT
        active.name = entry.name
        active.save(update_fields=["name"])
        return Outcome.RESET
    revision = revisions[0].revision + 1 if revisions else 1
    plan = Plan.objects.create(code=code, revision=revision, name=entry.name, based_on=active)
    promises.write(plan, wanted)
    if active:
        active.status = PlanStatus.DEPRECATED
        active.save(update_fields=["status"])
    plan.status = PlanStatus.ACTIVE
    plan.save(update_fields=["status"])
    return Outcome.RESET if revisions else Outcome.MADE


def _promised(entry: PlanEntry, content: Seed) -> Promises:
    budget = entry.monthly_budget_usd
    return Promises(
        max_seats=entry.max_seats,
        monthly_budget_nano_usd=None if budget is None else money.nano_usd(budget),
        features=frozenset(
            FeaturePromise(code, daily_quota=quotas.daily_quota, monthly_quota=quotas.monthly_quota)
            for code, quotas in entry.features.items()
        ),
        tasks=frozenset(
            TaskPromise(code, task.default_class or entry.default_class, classes=task.classes or entry.classes)
            if content.tasks[code].kind == TaskKind.LLM
            else TaskPromise(code)
            for code, task in entry.tasks.items()
        ),
        rules=frozenset(RulePromise(key, value) for key, value in entry.rules.items())
        | frozenset(
            RulePromise(key, value, code) for code, task in entry.tasks.items() for key, value in task.rules.items()
        ),
    )
