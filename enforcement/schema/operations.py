"""What is said of each endpoint: who may call it, what it takes, what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)

from alerts.answers import AlertEntry
from alerts.views import AlertsView
from enforcement import events, reads, simulations, views
from enforcement.answers import (
    Committed,
    Decision,
    EventBooked,
    Extended,
    Problem,
    Quota,
    Released,
    Reported,
)  # fmt: skip
from enforcement.explanation import Checked, Explanation
from enforcement.holds import ReservationNow
from enforcement.quotas import EntitlementsNow
from enforcement.schema import parameters
from enforcement.schema.components import Schema, batch, items, ref, results
from enforcement.schema.examples import CLOUD_EVENT, EXAMPLES
from enforcement.simulation.answers import SimulationNow
from enforcement.wire import CommitBody, EnforceBody, EventBody, ExtendBody, ReleaseBody, SimulateBody
from tenants.views import CallerView
from usage import views as usage_views
from usage.answers import DenialEntry, LogEntry, Page, Summary, SummaryEntry

_PROBLEMS = {
    400: "MALFORMED: the body is not JSON, or (IDEMPOTENCY_KEY_MISSING) it needs a key.",
    401: "UNAUTHENTICATED: no credential, or one that does not authenticate.",
    403: "SCOPE_MISSING: the credential may not do this.",
    404: "NOT_FOUND: unknown, or another tenant's.",
    409: "IDEMPOTENCY_CONFLICT: the key, or the ending, had another body. RESERVATION_ENDED: it ended in another way.",
    410: "RESERVATION_GONE: it has ended.",
    413: "BODY_TOO_LARGE.",
    422: "INVALID: fields or parameters that cannot be, each named in `errors`.",
    429: "THROTTLED: too many calls with this key; see Retry-After.",
    503: "UNAVAILABLE: the database is away; see Retry-After.",
}
_ALWAYS = (401, 403, 422, 429, 503)
_CSV = {
    "type": "string",
    "description": "RFC 4180 with a header row of the entries' fields, in their order. Null is empty; a text that a "
    "spreadsheet would take for a formula, or that begins with ', has one ' before it.",
}
_SENT = (400, 413)
_CLOUD = {
    "type": "object",
    "description": "CloudEvents 1.0: the attributes stand in for what `data` does not say.",
    "required": ["specversion", "id", "source", "type", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string"},
        "source": {"type": "string"},
        "type": {"type": "string"},
        "time": {"type": ["string", "null"], "format": "date-time"},
        "data": {"type": "object"},
    },
    "example": CLOUD_EVENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one view."""

    view: type[CallerView]
    method: str
    id: str
    tag: str
    summary: str
    answer: Schema
    body: Mapping[str, Schema] | None = None
    parameters: Sequence[OpenApiParameter] = ()
    problems: Sequence[int] = ()
    status: int = 200
    entry: Schema | None = None
    """Of a list that is to be had as a file: what a line of it is."""

    def describe(self) -> None:
        """Tells drf-spectacular."""
        responses: dict[Any, Any] = {self.status: OpenApiResponse(self.answer, description=self.summary)}
        if self.entry is not None:
            responses[self.status, "application/x-ndjson"] = OpenApiResponse(self.entry, description=self.summary)
            responses[self.status, "text/csv"] = OpenApiResponse(_CSV, description=self.summary)
        for status in sorted({*_ALWAYS, *self.problems, *(_SENT if self.body else ())}):
            responses[status, "application/problem+json"] = OpenApiResponse(ref(Problem), description=_PROBLEMS[status])
        extend_schema_view(
            **{
                self.method: extend_schema(
                    operation_id=self.id,
                    tags=[self.tag],
                    summary=self.summary,
                    description=f"{self.view.__doc__}\n\nNeeds the scope `{self.view.scope.value}`.",
                    request=None if self.body is None else dict(self.body),
                    responses=responses,
                    parameters=[*parameters.REQUEST, *self.parameters],
                    examples=list(EXAMPLES.get(self.id, ())),
                )
            }
        )(self.view)


def _json(schema: Schema) -> dict[str, Schema]:
    return {"application/json": schema}


_EVENT = {"allOf": [ref(EventBody), {"required": ["id"]}]}
_ENDED = (404, 409)

OPERATIONS = [
    Operation(
        view=views.EnforceView, method="post", id="enforce", tag="Enforcement", summary="Ask and hold",
        body=_json(ref(EnforceBody)), answer=ref(Decision), problems=(404, 409),
        parameters=[parameters.IDEMPOTENCY_KEY, parameters.REPLAYED, *parameters.RATE_LIMITS],
    ),
    Operation(
        view=views.CheckView, method="post", id="check", tag="Enforcement", summary="Ask only",
        body=_json(ref(EnforceBody)), answer=ref(Checked), problems=(404,),
        parameters=[parameters.EXPLAIN, *parameters.RATE_LIMITS],
    ),
    Operation(
        view=views.EnforceBatchView, method="post", id="enforce_batch", tag="Enforcement", summary="Ask for many",
        body=_json(batch(ref(EnforceBody), "idempotency_key")), answer=results(ref(Decision)),
    ),
    Operation(
        view=views.CommitView, method="post", id="commit", tag="Reservations", summary="Book what was used",
        body=_json(ref(CommitBody)), answer=ref(Committed), problems=_ENDED, parameters=[parameters.REPLAYED],
    ),
    Operation(
        view=views.CommitBatchView, method="post", id="commit_batch", tag="Reservations", summary="Book many",
        body=_json(batch(ref(CommitBody), "reservation_id")), answer=results(ref(Committed)),
    ),
    Operation(
        view=views.ReleaseView, method="post", id="release", tag="Reservations", summary="Give the hold back",
        body=_json(ref(ReleaseBody)), answer=ref(Released), problems=_ENDED, parameters=[parameters.REPLAYED],
    ),
    Operation(
        view=views.ExtendView, method="post", id="extend", tag="Reservations", summary="Move the deadline",
        body=_json(ref(ExtendBody)), answer=ref(Extended), problems=(404, 410),
    ),
    Operation(
        view=views.ReportView, method="post", id="report", tag="Reservations", summary="Book what was used so far",
        body=_json(ref(CommitBody)), answer=ref(Reported), problems=(404, 410),
    ),
    Operation(
        view=reads.ReservationView, method="get", id="reservation", tag="Reservations", summary="How it stands",
        answer=ref(ReservationNow), problems=(404,), parameters=[parameters.TENANT],
    ),
    Operation(
        view=events.EventsView, method="post", id="usage_events", tag="Usage", summary="Book usage events",
        body={
            "application/json": {"oneOf": [_EVENT, items(ref(EventBody), "id")]},
            "application/cloudevents+json": _CLOUD,
            "application/cloudevents-batch+json": items(_CLOUD),
        },
        answer={"anyOf": [ref(EventBooked), results(ref(EventBooked))]}, problems=(404, 409),
    ),
    Operation(
        view=reads.EntitlementsView, method="get", id="entitlements", tag="Reads", summary="What may be done",
        answer=ref(EntitlementsNow), problems=(404,), parameters=parameters.ENTITLEMENTS,
    ),
    Operation(
        view=reads.DecisionView, method="get", id="decision", tag="Reads", summary="Why it was decided so",
        answer=ref(Explanation), problems=(404,), parameters=[parameters.TENANT],
    ),
    Operation(
        view=reads.MetersView, method="get", id="usage_meters", tag="Usage", summary="The running meters",
        answer=ref(Page[Quota]), entry=ref(Quota), problems=(404,), parameters=parameters.METERS,
    ),
    Operation(
        view=usage_views.LogsView, method="get", id="usage_logs", tag="Usage", summary="The log",
        answer=ref(Page[LogEntry]), entry=ref(LogEntry), problems=(404,), parameters=parameters.LOGS,
    ),
    Operation(
        view=usage_views.SummaryView, method="get", id="usage_summary", tag="Usage", summary="Sums of the log",
        answer=ref(Summary), entry=ref(SummaryEntry), problems=(404,), parameters=parameters.SUMMARY,
    ),
    Operation(
        view=simulations.SimulateView, method="post", id="simulate", tag="Plans", summary="Try a plan on past calls",
        body=_json(ref(SimulateBody)), answer=ref(SimulationNow), problems=(404, 409), status=202,
        parameters=parameters.SIMULATE,
    ),
    Operation(
        view=simulations.SimulationView, method="get", id="simulation", tag="Plans", summary="What a trial found",
        answer=ref(SimulationNow), problems=(404,),
    ),
    Operation(
        view=usage_views.DenialsView, method="get", id="denials", tag="Reads", summary="The refusals",
        answer=ref(Page[DenialEntry]), entry=ref(DenialEntry), problems=(404,), parameters=parameters.DENIALS,
    ),
    Operation(
        view=AlertsView, method="get", id="alerts", tag="Reads", summary="What was noticed: quotas, spikes, expiries",
        answer=ref(Page[AlertEntry]), problems=(404,), parameters=parameters.ALERTS,
    ),
]  # fmt: skip


def describe() -> None:
    """Describes every endpoint; called once, where their addresses are given."""
    for operation in OPERATIONS:
        operation.describe()
