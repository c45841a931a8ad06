"""One tenant's calls under the present terms and under the trial's, side by side."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heappop, heappush

import msgspec

from enforcement.simulation import meters
from enforcement.simulation.findings import Findings, count
from enforcement.simulation.meters import Amounts, Spot
from enforcement.simulation.sides import Side, Verdict, booked, held_by
from enforcement.wire import EnforceBody
from plans.charges import Measure
from plans.permits import Shape, Wants
from usage.operations import Operation

_TELL_EVERY = 2_000
_KEPT_ASKS = 20_000
_NOT_OF_FACTS = frozenset({Measure.SLOTS, Measure.REQUESTS})

_Held = tuple[tuple[Spot, ...], Amounts, Amounts]
"""The meters of a permit, what it holds of each measure, and what it will book."""


@dataclass(slots=True)
class Comparison:
    """Both sides of one tenant; `since` (milliseconds) is where calls begin to be decided and no longer only booked."""

    present: Side
    trial: Side
    since: int
    found: Findings = field(default_factory=Findings)
    _open: list[tuple[int, int, list[_Held]]] = field(init=False, default_factory=list)
    _number: int = field(init=False, default=0)

    def run(self, operations: Iterable[Operation], tell: Callable[[int, int], None]) -> Findings:
        """Goes through the operations, oldest first. `tell` hears how many more were read, and up to which instant."""
        for operation in operations:
            at = operation.started
            while self._open and self._open[0][0] <= at:
                for spots, held, used in heappop(self._open)[2]:
                    meters.settle(spots, held, used)
            if operation.ask is None or at < self.since:
                self._book(operation)
            else:
                self._decide(operation, operation.ask)
            self._number += 1
            if self._number % _TELL_EVERY == 0:
                tell(_TELL_EVERY, at)
        tell(self._number % _TELL_EVERY, 0)
        return self.found

    def _book(self, operation: Operation) -> None:
        tokens = operation.tokens_in + operation.tokens_out
        used = booked(operation.units, tokens, operation.cost)
        for side in (self.present, self.trial):
            lane = side.lane(operation.task, operation.user)
            spots = side.spots(lane, operation.task, operation.user, operation.started)
            counting = [spot for spot in spots if spot.charge.measure not in _NOT_OF_FACTS]
            meters.book(counting, used, operation.occurred)
        if operation.started >= self.since:
            self.found.facts += 1

    def _decide(self, operation: Operation, ask: str) -> None:
        wants = _wants(ask)
        present, trial = self.present, self.trial
        lane_now = present.lane(operation.task, operation.user)
        lane_then = trial.lane(operation.task, operation.user)
        passage = present.permit(lane_now, wants)
        held = held_by(passage)
        now = present.decide(lane_now, passage, held, operation)
        if lane_then.likeness != lane_now.likeness:
            passage = trial.permit(lane_then, wants)
            held = held_by(passage)
        then = trial.decide(lane_then, passage, held, operation)
        self._note(operation, now, then)
        holds: list[_Held] = []
        used: Amounts = ()
        if now.spots:
            used = present.used(lane_now, operation, now.permit)
            holds.append((now.spots, now.held, used))
        if then.spots:
            if then.permit is not now.permit:
                used = trial.used(lane_then, operation, then.permit)
            holds.append((then.spots, then.held, used))
        if holds:
            for spots, taken, _ in holds:
                meters.hold(spots, taken)
            heappush(self._open, (operation.ended, self._number, holds))

    def _note(self, operation: Operation, now: Verdict, then: Verdict) -> None:
        found, at, cost = self.found, operation.started, operation.cost or 0
        found.calls.add(at, cost)
        found.refused_now += now.code is not None
        found.refused_then += then.code is not None
        if then.code is not None:
            if now.code is None:
                count(found.newly_refused, then.code, at, cost)
        elif now.code is not None:
            count(found.newly_permitted, now.code, at, cost)
        elif now.permit is not None and then.permit is not None and now.permit is not then.permit:
            for param in _less(now.permit, then.permit):
                count(found.shaped, param, at, cost)
        for code in then.watched:
            if code not in now.watched:
                count(found.observed, code, at, cost)


def _less(now: Shape, then: Shape) -> list[str]:
    """What is less in one permit than in another: its output tokens; or other: its model class."""
    less = ["model_class"] if then.model_class != now.model_class else []
    if then.output_tokens < now.output_tokens:
        less.append("max_tokens_out")
    return less


@lru_cache(maxsize=_KEPT_ASKS)
def _wants(ask: str) -> Wants:
    return msgspec.json.decode(ask, type=EnforceBody).ask(None).wants
