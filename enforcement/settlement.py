"""From a body that says what was used to an ending in the ledger, and from its answer to the wire."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from enforcement import errors, kept
from enforcement.asks import tenant_of
from enforcement.bookings import Bookings
from enforcement.decisions import MeterState, instant, meter_states
from enforcement.errors import Unknown
from enforcement.wire import CommitBody, EventBody
from plans import charges, costs, entitlements, money, pricing
from plans.models import RolloutGate
from plans.rates import PriceOutOfBounds
from plans.terms import Catalogue
from tenants.authentication import Caller
from tenants.ids import milliseconds_of
from tenants.versions import Numbers
from usage import ledger, measures
from usage.entries import Answer, Basis, End, Ending, Outcome, readings_of
from usage.measures import Totals

_EVENTS_HINT = "Book what was used at /api/v1/usage/events."
MISSING = f"There is no such reservation here, or it was pruned. {_EVENTS_HINT}"
_SENTENCES = {
    Outcome.CONFLICT: "This reservation ended with another body; the first answer stands.",
    Outcome.ENDED: f"This reservation ended in another way. {_EVENTS_HINT}",
    Outcome.GONE: "This reservation has ended: there is nothing to extend or report on.",
}
_MAX_ERROR = 500
"""Characters kept of a provider's error."""
_MILLISECOND = timedelta(milliseconds=1)
_END_OF_TIME = (entitlements.EVER[1] - entitlements.EVER[0]) // _MILLISECOND


def started_at(reservation: UUID) -> datetime:
    """The instant a reservation was made, from its UUIDv7 (milliseconds since 1970 in its first 48 bits).

    An id that was not made here may hold any number there; what no calendar reaches is the end of time.
    """
    return min(_END_OF_TIME, milliseconds_of(reservation)) * _MILLISECOND + entitlements.EVER[0]


def basis_of(caller: Caller, catalogue: Catalogue | None) -> Basis:
    """What an ending relies on: the credential and, where it was priced here, the catalogue."""
    return Basis(
        numbers=Numbers(catalogue.number if catalogue else None, caller.numbers.keys, caller.numbers.tenant),
        since=entitlements.EVER[0],
        until=caller.until or entitlements.EVER[1],
    )


def tenant_for(caller: Caller, named: str | None) -> UUID | None:
    """The tenant an ending is looked for in; None where an any-tenant key names none. Raises Unknown."""
    if caller.has_bad_ati_token:
        raise Unknown("X-ATI-Token does not authenticate, so there is no reservation of its user.")
    tenant = tenant_of(caller, named)
    return tenant.id if tenant else None


def totals_of(body: CommitBody | EventBody) -> Totals:
    """The counts a body carries, ours or a provider's. Raises Invalid or BadUsage, naming the field."""
    if body.raw_usage is not None:
        if body.usage is not None:
            raise errors.Invalid("raw_usage", "Send usage or raw_usage, not both.")
        if body.provider is None:
            raise errors.Invalid("provider", f"Say whose object raw_usage is: {', '.join(measures.PROVIDERS)}.")
        return measures.from_raw(body.provider, body.raw_usage)
    return measures.from_usage(body.usage) if body.usage is not None else Totals()


def ending(
    body: CommitBody | EventBody, totals: Totals, catalogue: Catalogue, at: datetime, *, kind: Ending | None = None
) -> End:
    """What the ledger books of `totals_of` a body, priced at `at` where it names a model. Raises Invalid."""
    if body.model_class is not None and body.model_class not in catalogue.classes:
        known = ", ".join(catalogue.classes)
        raise errors.Invalid("model_class", f"{body.model_class} is not known. Known: {known}.")
    cost, is_unpriced, price = _price(body, catalogue, totals, at)
    facts = {
        "model": body.model,
        "model_class": body.model_class,
        "api_code": body.api_code,
        "latency_ms": body.latency_ms,
        "error": body.error[:_MAX_ERROR] if body.error else None,
        "price": price,
        "metadata": body.metadata if isinstance(body, EventBody) else None,
    }
    return End(
        kind=kind or (Ending.COMPLETED if body.status == "success" else Ending.FAILED),
        totals=(
            totals.input_tokens, totals.cached_input_tokens, totals.cache_write_tokens, totals.output_tokens,
            totals.reasoning_tokens, totals.api_calls, totals.items, totals.web_searches,
        ),
        fingerprint=commit_fingerprint(body, totals, kind),
        cost=cost,
        is_unpriced=is_unpriced,
        certainty=body.certainty,
        facts={name: value for name, value in facts.items() if value is not None},
    )  # fmt: skip


def said(body: CommitBody | EventBody, totals: Totals) -> dict[str, Any]:
    """What a body says in canonical form: its fields, with the counts as they were read in place of how they came."""
    fields = msgspec.to_builtins(msgspec.structs.replace(body, usage=None, raw_usage=None, provider=None))
    return {**fields, "usage": dataclasses.asdict(totals)}


def commit_fingerprint(body: CommitBody | EventBody, totals: Totals, kind: Ending | None) -> str:
    """The fingerprint of an ending; an event that is a commit reads as that commit."""
    fields = said(body, totals)
    named = {name: fields[name] for name in CommitBody.__struct_fields__ if name not in ("tenant", "reservation_id")}
    return ledger.fingerprint(kind or "commit", None, named)


def _price(
    body: CommitBody | EventBody, catalogue: Catalogue, totals: Totals, at: datetime
) -> tuple[int | None, bool, Mapping[str, Any] | None]:
    """Cost, whether the model has no price, and what the log keeps of that.

    (None, False, None) where no model is named. Raises Invalid where it costs too much.
    """
    if body.model is None:
        return None, False, None
    model = catalogue.model(body.model, body.api_code, body.model_class)
    is_success = body.status == "success"
    uncounted: dict[str, Any] = {
        "cache_write_1h_tokens": totals.cache_write_1h_tokens or 0, "web_searches": totals.web_searches or 0,
        "is_batch": body.is_batch,
    }  # fmt: skip
    unpriced = None, True, costs.uncounted(**uncounted) or None
    if model is None or model.price_at(at) is None:
        return unpriced
    if totals.input_tokens is None and totals.output_tokens is None and is_success:
        return None, False, None  # the hold's tokens and cost count
    try:
        priced = costs.of(
            model, at, input_tokens=totals.input_tokens or 0, cached_input_tokens=totals.cached_input_tokens or 0,
            cache_write_tokens=totals.cache_write_tokens or 0, output_tokens=totals.output_tokens or 0,
            reasoning_tokens=totals.reasoning_tokens or 0 if totals.output_tokens is not None else 0,
            api_calls=int(is_success) if totals.api_calls is None else totals.api_calls, **uncounted,
        )  # fmt: skip
    except pricing.PriceUnknown:
        return unpriced
    except PriceOutOfBounds as error:
        raise errors.Invalid("usage", f"It costs more than one operation can: {error}.") from None
    return priced.nano_usd, False, priced.price


def settled(answer: Answer) -> dict[str, Any]:
    """The body of a commit, release or report answer. Raises Unknown, KeyConflict, Ended or Gone."""
    match answer.outcome:
        case Outcome.MISSING:
            raise Unknown(MISSING)
        case Outcome.CONFLICT:
            raise errors.KeyConflict(_SENTENCES[Outcome.CONFLICT])
        case Outcome.ENDED:
            raise errors.Ended(_SENTENCES[Outcome.ENDED])
        case Outcome.GONE:
            raise errors.Gone(_SENTENCES[Outcome.GONE])
    if answer.body is None or answer.outcome == Outcome.EXPIRED:
        return {"reservation_id": answer.id, "status": answer.status}
    return answer.body | {"reservation_id": answer.id}


def committed(answer: Answer, booked: Bookings) -> dict[str, Any]:
    """The body of a commit answer; its quotas carry the limits in force when it was first given.

    What it booked is added to `booked`.
    """
    body = settled(answer)
    limits = _limits_shown(answer, body)
    booked.add(answer, body, limits)
    states = _states(body, limits)
    return {
        "reservation_id": body["reservation_id"],
        "status": body["status"],
        "late": body["late"],
        "cost": None if body["cost"] is None else money.usd(body["cost"]),
        "charged": [
            state.scope() | {"amount": state.shown(amount), "overrun": state.shown(overrun)}
            for state, amount, overrun in zip(states, body["amounts"], body["overruns"], strict=True)
            if amount or overrun
        ],
        "quotas": _quotas(states, datetime.fromisoformat(body["at"])),
    }


def reported(answer: Answer, booked: Bookings) -> dict[str, Any]:
    """The body of a report answer: what is left of the hold on each meter. What it booked is added to `booked`."""
    body = settled(answer)
    booked.add(answer, body, _limits_now(answer, body))
    states = _states(body, body["limits"])
    return {
        "reservation_id": body["reservation_id"],
        "status": body["status"],
        "expires_at": instant(answer.expires_at),
        "left": [state.scope() | {"left": state.shown(left)} for state, left in zip(states, body["left"], strict=True)],
    }


def _quotas(states: Sequence[MeterState], now: datetime) -> list[dict[str, Any]]:
    """The limited meters whose period runs, tightest first."""
    running = [
        state for state in states if state.limit is not None and (state.resets_at is None or state.resets_at > now)
    ]
    running.sort(key=MeterState.share_left)
    return [state.quota() for state in running]


def _states(body: Mapping[str, Any], limits: Sequence[Sequence[Any]]) -> tuple[MeterState, ...]:
    """The meters of an ending as it left them."""
    return meter_states(body["charges"], limits, body["amounts"], readings_of(body["readings"]))


def _limits_shown(answer: Answer, body: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """The limits in force at the first answer. Where they have moved since the grant they are kept for a replay."""
    granted: Sequence[Sequence[Any]] = body["limits"]
    shown = _limits_now(answer, body)
    if answer.tenant and answer.id and [limit for _, limit, *_ in shown] != [limit for _, limit, *_ in granted]:
        ledger.keep_limits(answer.tenant, answer.id, shown)
    return shown


def _limits_now(answer: Answer, body: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """The limits in force when it was booked; of a replay those that are kept."""
    granted: Sequence[Sequence[Any]] = body["limits"]
    if answer.outcome != Outcome.BOOKED or answer.tenant is None:
        return granted
    now = limits_now(answer.tenant, body["task"], body["user"], answer.at)
    return [
        now.get(tuple(scope[:5]), (gate, None, False, None))
        for scope, (gate, *_) in zip(body["charges"], granted, strict=True)
    ]


Limit = tuple[RolloutGate, int | None, bool, str | None]
LimitsNow = dict[tuple[str | None, ...], Limit]


def limits_now(tenant: UUID, task: str, user: str | None, now: datetime) -> LimitsNow:
    """The limit of every meter of a task, by (user, feature, task, measure, period)."""
    entitled = entitlements.of(tenant, now)
    terms = kept.terms(entitled, entitled.catalogue.tasks[task], user)
    # Where an ask would be refused or let through, what is booked counts all the same.
    charged = terms.charged or charges.of(entitled, terms.task, user, terms.mode)
    return {
        (each.user, each.feature, each.task, each.measure.value, each.period.value): (
            each.gate, each.limit, each.enforced, each.rule,
        )
        for each in charged
    }  # fmt: skip
