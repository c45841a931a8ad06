"""POST /usage/events: usage that had no reservation, or whose reservation is gone. Nothing here is refused as late."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from enforcement import errors, metrics, settlement
from enforcement.asks import basis_of, confirm_caller, task_of, tenant_of, user_of
from enforcement.base import KIB, LedgerView
from enforcement.bookings import Bookings
from enforcement.wire import EventBody, convert, parse
from plans import charges, entitlements, policies
from plans.charges import Measure, PeriodKind
from plans.models import TaskKind
from plans.terms import Entitlements, TaskTerms
from tenants.authentication import Caller
from tenants.facts import TenantFacts
from tenants.models import EnforcementMode, Scope
from tenants.views import json_answer, note
from usage import ledger, meters
from usage.entries import Answer, Event, Fact, Outcome
from usage.measures import BadUsage, Totals
from usage.models import Certainty

_OLDEST = timedelta(days=35)
_NEWEST = timedelta(minutes=5)
_MOST = 500
_LONGEST_LIFE = timedelta(days=7)
_CLOUD_EVENTS = "application/cloudevents-batch+json"


class CloudEvent(msgspec.Struct):
    """A CloudEvents 1.0 envelope; attributes we do not use may be there."""

    specversion: str
    id: str
    source: str
    type: str
    data: dict[str, Any]
    time: datetime | None = None


class EventsView(LedgerView):
    """Book usage events: one object or a list of up to 500, ours or CloudEvents.

    One object is answered by itself, and as a list of one beside it.
    """

    scope = Scope.REPORT
    most_bytes: ClassVar[int] = 2048 * KIB

    def post(self, request: Request) -> HttpResponse:
        sent, is_list = _items(self.body(request), request.content_type or "")
        results: list[dict[str, Any] | Exception | None] = [None] * len(sent)
        bodies: list[tuple[int, EventBody]] = []
        for place, item in enumerate(sent):
            try:
                bodies.append((place, _event(item, is_cloud="cloudevents" in (request.content_type or "").lower())))
            except errors.Invalid as error:
                results[place] = error
        done: dict[int, dict[str, Any] | Exception] = {}
        self.decide(request, lambda caller, now: record(caller, bodies, now, done))
        for place, result in done.items():
            results[place] = result
        note(request, code=f"events:{len(sent)}")
        if is_list:
            return self.batch(results)
        (only,) = results
        if isinstance(only, Exception):
            raise only
        return json_answer((only or {}) | {"results": [{"index": 0, "status": 200, "body": only}]})


def _items(raw: bytes, content_type: str) -> tuple[list[Any], bool]:
    """The events sent, and whether as a list. Raises Malformed or Invalid."""
    sent = parse(raw, object)
    media = content_type.partition(";")[0].strip().lower()
    if media == _CLOUD_EVENTS and not isinstance(sent, list):
        raise errors.Invalid("body", "A batch of CloudEvents is a list.")
    if not isinstance(sent, list):
        return [sent], False
    if not 1 <= len(sent) <= _MOST:
        raise errors.Invalid("body", f"Send 1 to {_MOST} events at a time.")
    return sent, True


def _event(item: object, *, is_cloud: bool) -> EventBody:
    """One event. A CloudEvent's attributes stand in for what its data does not say. Raises Invalid."""
    if not is_cloud:
        event = convert(item, EventBody)
    else:
        envelope = convert(item, CloudEvent)
        if envelope.specversion != "1.0":
            raise errors.Invalid("specversion", "Only CloudEvents 1.0 are read.")
        named = {"id": envelope.id, "source": envelope.source}
        if envelope.time is not None:
            named["occurred_at"] = envelope.time.isoformat()
        event = convert(named | envelope.data, EventBody)
    if event.id is None:
        raise errors.Invalid("id", "Give each event its own id: repeated, it changes nothing.")
    return event


def record(
    caller: Caller, bodies: Sequence[tuple[int, EventBody]], now: datetime, done: dict[int, dict[str, Any] | Exception]
) -> None:
    """Books events, grouped by tenant: one transaction each. An item that cannot be fails alone. Raises Stale.

    `done` receives the result of each place; those it has already are not booked again.
    """
    groups: defaultdict[UUID, list[tuple[int, EventBody, Event]]] = defaultdict(list)
    terms: dict[UUID, Entitlements] = {}
    for place, body in bodies:
        if place in done and not isinstance(done[place], Exception):
            continue
        try:
            tenant = _tenant_of(caller, body)
            if tenant.id not in terms:
                terms[tenant.id] = entitlements.of(tenant.id, now)
            event = _prepared(caller, terms[tenant.id], body)
            groups[tenant.id].append((place, body, event))
        except (errors.Invalid, errors.Unknown, BadUsage) as error:
            done[place] = error
    if not groups:
        confirm_caller(caller)
    for tenant_id, group in groups.items():
        basis = basis_of(caller, terms[tenant_id])
        for _, body, event in group:
            if body.occurred_at is None and event.fact is not None:
                since, until = meters.window(event.fact.charges, basis.since, basis.until)
                basis = replace(basis, since=since, until=until)
        answers = ledger.record(tenant_id, basis, [event for _, _, event in group], user=caller.user_key)
        for (place, body, _), answer in zip(group, answers, strict=True):
            done[place] = _answered(body, answer)
            metrics.booked(answer, body, terms[tenant_id].catalogue)
        _booked(answers).tell()


def _booked(answers: Iterable[Answer]) -> Bookings:
    """What events of one tenant booked, under the limits in force."""
    booked = Bookings()
    known: dict[tuple[str, str | None], settlement.LimitsNow] = {}
    for answer in answers:
        if answer.body is not None and answer.tenant is not None:
            named = answer.body["task"], answer.body["user"]
            if named not in known:
                known[named] = settlement.limits_now(answer.tenant, *named, answer.at)
            booked.add(answer, answer.body, [known[named].get(tuple(scope[:5])) for scope in answer.body["charges"]])
    return booked


def _answered(body: EventBody, answer: Answer) -> dict[str, Any] | Exception:
    match answer.outcome:
        case Outcome.CONFLICT:
            return errors.KeyConflict("This id, or its reservation, was booked with another body; the first stands.")
        case Outcome.MISSING:
            return errors.Unknown("There is no such reservation here: say for which task or feature to book this.")
        case Outcome.ARCHIVED:
            return errors.Ended(
                "The log of the month this reservation was made in is archived, so it cannot be told here whether its "
                "usage was booked. Where it was not, send the event without reservation_id."
            )
    return {"id": body.id, "status": answer.outcome, "log_id": answer.id}


def _tenant_of(caller: Caller, body: EventBody) -> TenantFacts:
    if caller.has_bad_ati_token:
        raise errors.Unknown("X-ATI-Token does not authenticate: book this with the service key alone.")
    tenant = tenant_of(caller, body.tenant)
    if tenant is None:
        raise errors.Invalid("tenant", "This key may act for any tenant: say whose usage it is.")
    return tenant


def _prepared(caller: Caller, entitled: Entitlements, body: EventBody) -> Event:
    user = user_of(caller, body.user)
    at = _occurred_at(body, entitled.now)
    totals = settlement.totals_of(body)
    end = settlement.ending(body, totals, entitled.catalogue, _priced_at(body, at))
    fact = None
    if body.task is not None or body.feature is not None:
        task = task_of(entitled.catalogue, body.task, body.feature)
        fact, is_sure = _fact(entitled, task, user, body, totals, at)
        end = end if is_sure else replace(end, certainty=Certainty.ESTIMATED)
    elif body.reservation_id is None:
        raise errors.Invalid("task", "Say which task or feature the usage is of, or which reservation it commits.")
    tenant = entitled.tenant.facts.id
    canonical = settlement.said(body, totals) | {"tenant": str(tenant), "user": user}
    return Event(
        source=body.source or "",
        event_id=body.id or "",
        fingerprint=ledger.fingerprint("event", tenant, canonical),
        reservation=body.reservation_id,
        end=end,
        fact=fact,
    )


def _occurred_at(body: EventBody, now: datetime) -> datetime:
    if body.occurred_at is None:
        return now
    if not now - _OLDEST < body.occurred_at < now + _NEWEST:
        raise errors.Invalid("occurred_at", "It must lie within the last 35 days, and at most 5 minutes ahead.")
    return body.occurred_at.astimezone(UTC)


def _priced_at(body: EventBody, at: datetime) -> datetime:
    """When a reservation it names was made, where that can be: an id from elsewhere carries no such time."""
    if body.reservation_id is None:
        return at
    made = settlement.started_at(body.reservation_id)
    return made if at - _OLDEST - _LONGEST_LIFE < made <= at else at


def _fact(
    entitled: Entitlements, task: TaskTerms, user: str | None, body: EventBody, totals: Totals, at: datetime
) -> tuple[Fact, bool]:
    """Usage on the meters that were running when it occurred, booked whatever the limits say; and whether its
    price is sure: an LLM call that names neither model nor class is taken for one of the task's default class.
    """
    feature = entitled.catalogue.features[task.feature]
    charged = [
        each
        for each in charges.of(entitled, task, user, EnforcementMode.ENFORCE)
        if each.period != PeriodKind.MINUTE and each.measure not in (Measure.REQUESTS, Measure.SLOTS)
    ]
    model_class = body.model_class
    if task.kind == TaskKind.LLM and model_class is None:
        promise = entitled.plan.tasks.get(task.code) if entitled.plan else None
        model_class, _ = policies.choose_class(entitled, promise, None, enforced=False)
    fact = Fact(
        user_key=user,
        feature=task.feature,
        task=task.code,
        model_class=model_class if task.kind == TaskKind.LLM else None,
        plan=entitled.plan.id if entitled.plan else None,
        unit=feature.unit,
        rates=policies.price_of(replace(entitled, now=at), task, model_class).rates(totals.input_tokens or 0),
        charges=meters.bind(entitled.tenant.facts, charged, at),
        occurred_at=at,
    )
    return fact, task.kind == TaskKind.API or body.model is not None or body.model_class is not None
