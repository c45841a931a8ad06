"""What the gatekeeper counts for /metrics. Labels are codes of ours or of the catalogue: never a tenant or a user."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter

from enforcement.decisions import Decision
from enforcement.wire import CommitBody, EventBody
from plans.terms import Catalogue
from usage.entries import Answer, Outcome

_DECISIONS = Counter("metering_decisions_total", "Answers to enforce, those of a batch each.", ["code", "mode"])
_REPLAYS = Counter("metering_replays_total", "Answers to enforce that had been given before.")
_OPERATIONS = Counter(
    "metering_operations_total", "Commits, reports and events that were booked.", ["model_class", "api_code", "status"]
)
_COST = Counter("metering_cost_usd_total", "What they cost.", ["model_class"])
_LATE = Counter("metering_late_total", "Those of reservations that had expired.")
_OVERRUN = Counter("metering_overrun_total", "Usage beyond what was held, in the measure's unit (USD).", ["measure"])

_NONE, _OTHER = "NONE", "OTHER"
_NANO = 1e-9
_providers: tuple[int, frozenset[str]] = (-1, frozenset())


def decided(decision: Decision) -> None:
    """Count a decision; one that was given before is no other decision."""
    if decision.is_replayed:
        _REPLAYS.inc()
    else:
        _DECISIONS.labels(decision.code, decision.stored.get("mode") or _NONE).inc()


def booked(answer: Answer, sent: CommitBody | EventBody, catalogue: Catalogue) -> None:
    """Count what an answer of the ledger booked; anything else was counted when it was booked."""
    body = answer.body
    if answer.outcome != Outcome.BOOKED or body is None:
        return
    model_class = body.get("model_class") or sent.model_class or _NONE
    _OPERATIONS.labels(model_class, _api_code(sent.api_code, catalogue), sent.status).inc()
    if body.get("cost"):
        _COST.labels(model_class).inc(body["cost"] * _NANO)
    if body.get("late"):
        _LATE.inc()
    _count_overruns(body)


def _count_overruns(body: Mapping[str, Any]) -> None:
    for scope, overrun in zip(body["charges"], body.get("overruns", ()), strict=False):
        if overrun:
            measure: str = scope[3]
            _OVERRUN.labels(measure).inc(overrun * _NANO if measure == "COST" else overrun)


def _api_code(sent: str | None, catalogue: Catalogue) -> str:
    """A provider of the catalogue: whatever else a caller names is OTHER, or anybody could make labels without end."""
    global _providers  # noqa: PLW0603 - of the one catalogue there is
    if sent is None:
        return _NONE
    if _providers[0] != catalogue.number:
        named = (model.provider for models in catalogue.models.values() for model in models)
        _providers = catalogue.number, frozenset(named)
    code = sent.upper()
    return code if code in _providers[1] else _OTHER
