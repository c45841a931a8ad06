"""From a row of a trace to what goes over the wire: who asks, for which task, and what is booked after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enforcement.traces import Row, percentile
from metering_site.replay.parties import Model, Party

USERS = 3
SOURCE = "replay"


@dataclass(slots=True, kw_only=True)
class Ask:
    """One row as one tenant's call. `model_class` is what its task gets by default; `waits` counts its refusals."""

    row: Row
    key: str
    party: Party
    task: str
    model_class: str
    user: str
    bound: int
    run: str
    waits: int = field(default=0)

    def enforce_body(self) -> dict[str, Any]:
        """The body of POST /enforce."""
        return {
            "tenant": self.party.ati_id,
            "user": self.user,
            "task": self.task,
            "estimate": {"input_tokens": self.row.input_tokens, "max_output_tokens": self.bound},
            "metadata": {SOURCE: self.run},
        }

    def commit_body(self, model: Model) -> dict[str, Any]:
        """The body of a commit with what the trace says was used."""
        return {
            "tenant": self.party.ati_id,
            "status": "success",
            "usage": {"input_tokens": self.row.input_tokens, "output_tokens": self.row.output_tokens},
            "model": model.model_id,
            "api_code": model.provider,
        }

    def event_body(self, model: Model, reservation_id: str) -> dict[str, Any]:
        """The same usage as an event, for a reservation that takes no commit any more."""
        who = {"id": self.key, "source": SOURCE, "reservation_id": reservation_id, "user": self.user, "task": self.task}
        return self.commit_body(model) | who | {"metadata": {SOURCE: self.run}}


def bound_of(estimate: str, rows: Sequence[Row]) -> int:
    """The output tokens that every call asks for: `p95` or `max` of the trace, or `fixed:N`. Raises ValueError."""
    generated = [row.output_tokens for row in rows]
    if estimate == "p95":
        return int(percentile(generated, 95))
    if estimate == "max":
        return max(generated)
    name, _, number = estimate.partition(":")
    if name != "fixed" or not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise ValueError(f"{estimate!r} is neither p95 nor max nor fixed:N, N a number of tokens.")
    return int(number)


def spread(rows: Sequence[Row], parties: Sequence[Party], *, bound: int, run: str) -> list[Ask]:
    """Every row as a call: tenants in turn, and each tenant's tasks in turn."""
    asks = []
    for place, row in enumerate(rows):
        turn, party = divmod(place, len(parties))
        task, model_class = parties[party].tasks[turn % len(parties[party].tasks)]
        asks.append(
            Ask(
                row=row, key=f"replay-{run}-{row.number}", party=parties[party], task=task, model_class=model_class,
                user=f"replay-{1 + turn % USERS}", bound=bound, run=run,
            )
        )  # fmt: skip
    return asks


def model_class_of(params: Mapping[str, Any] | None, ask: Ask) -> str:
    """The model class of a permit."""
    return str((params or {}).get("model_class") or ask.model_class)
