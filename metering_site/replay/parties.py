"""Who sends the calls of a trace: the demo tenants first, then as many more on ENTERPRISE as are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from metering_site import demo
from plans import entitlements, pricing
from plans.models import Plan, PlanStatus, TaskKind
from plans.terms import Catalogue, ModelTerms
from tenants import facts, tokens
from tenants.models import ServiceKey, Tenant

DEMO = tuple(company.ati_id for company in demo.COMPANIES)
FURTHER = "REPLAY_{:03}"


class NotReady(Exception):
    """What has to be there before a replay and is not; the message says how to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A tenant with the LLM tasks of its plan, each with the model class it gets where it asks for none."""

    tenant: UUID
    ati_id: str
    plan: str
    tasks: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """The model that a permitted call is said to have run on."""

    provider: str
    model_id: str


class Prices:
    """What calls cost by the catalogue in force when the replay began: first active model of the class."""

    def __init__(self, catalogue: Catalogue, now: datetime) -> None:
        self._catalogue = catalogue
        self._now = now

    def model(self, model_class: str) -> Model:
        """The model a class is served by. Raises NotReady where it has none."""
        terms = self._terms(model_class)
        return Model(terms.provider, terms.model_id)

    def cost_nano_usd(self, model_class: str, input_tokens: int, output_tokens: int) -> int:
        """What a call on that class's model costs. Raises NotReady where it has no price."""
        terms = self._terms(model_class)
        prices = terms.price_at(self._now)
        if prices is None:
            raise NotReady(f"{terms.model_id} has no price: run `manage.py seed`, or enter one in the admin.")
        return pricing.cost_nano_usd(
            prices,
            input_tokens=input_tokens,
            cached_input_tokens=0,
            cache_write_tokens=0,
            output_tokens=output_tokens,
        )

    def _terms(self, model_class: str) -> ModelTerms:
        models = self._catalogue.classes[model_class].active_models
        if not models:
            raise NotReady(f"Model class {model_class} has no active model: run `manage.py seed`.")
        return models[0]


def require_key(text: str) -> None:
    """Make sure that this is a service key of this very database. Raises NotReady."""
    presented = tokens.parse(text)
    if presented is None or presented.kind != tokens.KEY:
        raise NotReady("--key is not a service key (mk_…). `make run` leaves one in .data/dev.env as METERING_KEY.")
    if not ServiceKey.objects.filter(prefix=presented.public, tenant=None).exists():
        raise NotReady(
            "The database of this checkout (DATABASE_URL) does not know this key, or not as one for any tenant. "
            "The replay ends with an audit, so it needs the database behind --url."
        )


def find(count: int, now: datetime) -> list[Party]:
    """The first `count` tenants; further ones are made where they are not there yet. Raises NotReady."""
    names = [*DEMO[:count], *(FURTHER.format(number) for number in range(1, count - len(DEMO) + 1))]
    known = set(Tenant.objects.filter(ati_id__in=names).values_list("ati_id", flat=True))
    missing = [name for name in names if name not in known]
    if absent := [name for name in missing if name in DEMO]:
        raise NotReady(f"There is no tenant {', '.join(absent)}: `make run` makes the demo world, or `manage.py demo`.")
    if missing:
        _make(missing, now)
    return [_party(name, now) for name in names]


def _make(names: Sequence[str], now: datetime) -> None:
    plan = Plan.objects.get(code="ENTERPRISE", status=PlanStatus.ACTIVE)
    for name in names:
        with transaction.atomic():
            tenant = Tenant.objects.create(ati_id=name, name=name.replace("_", " ").title())
            tokens.issue_root(tenant, plan, starts_at=now)


def _party(name: str, now: datetime) -> Party:
    tenant = facts.tenant_named(name)
    assert tenant is not None  # noqa: S101 - found or made just now
    entitled = entitlements.of(tenant.id, now)
    plan, catalogue = entitled.plan, entitled.catalogue
    if plan is None:
        raise NotReady(f"{name} has no plan in force, so that nothing of it would be permitted.")
    tasks = tuple(
        (code, promise.default or promise.allowed[0])
        for code, promise in plan.tasks.items()
        if catalogue.tasks[code].kind == TaskKind.LLM
        and promise.allowed
        and plan.features[catalogue.tasks[code].feature].enabled
    )
    if not tasks:
        raise NotReady(f"The plan {plan.code} of {name} has no LLM task, so that nothing of it would be permitted.")
    return Party(tenant=tenant.id, ati_id=name, plan=plan.code, tasks=tasks)
