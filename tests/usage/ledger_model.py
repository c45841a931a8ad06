"""The accounting rules once more, in plain Python and without a database: what the ledger is compared with.

Counts are (input tokens, output tokens, calls, items), None = not said; every call is an LLM call at 1 nano-USD an
input and 3 an output token. Written from the rules, not from the SQL: what is held is never stored but summed up.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

Counts = tuple[int, ...]
Said = tuple[int | None, ...]
NOTHING: Said = (None, None, None, None)


class Charge(NamedTuple):
    """An amount on a meter, by its name; `measure` says what the meter counts."""

    meter: str
    measure: str
    amount: int
    limit: int | None
    enforced: bool


@dataclass(eq=False)
class Booking:
    """What is booked so far of an operation, a fact, or a log row with its corrections."""

    unit: str
    charges: list[Charge]
    held: Counts = (0, 0, 1, 1)
    held_cost: int | None = None
    totals: Counts = (0, 0, 0, 0)
    cost: int | None = 0
    booked: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(eq=False)
class Hold(Booking):
    key: str = ""
    body: str = ""
    status: str = "OPEN"
    ending: tuple[str, Said] | None = None
    is_logged: bool = False
    is_pruned: bool = False

    def still_holds(self, charge: Charge) -> int:
        return max(0, charge.amount - self.booked[charge.meter]) if self.status == "OPEN" else 0


class Model:
    """The ledger of one tenant."""

    def __init__(self) -> None:
        self.used: defaultdict[str, int] = defaultdict(int)
        self.overrun: defaultdict[str, int] = defaultdict(int)
        self.holds: dict[str, Hold] = {}
        self.events: dict[str, object] = {}

    def reserved(self, meter: str) -> int:
        return sum(
            hold.still_holds(each) for hold in self.holds.values() for each in hold.charges if each.meter == meter
        )

    def fits(self, charge: Charge) -> bool:
        if not charge.enforced or charge.limit is None or charge.amount == 0:
            return True
        return self.used[charge.meter] + self.reserved(charge.meter) + charge.amount <= charge.limit

    def reserve(self, hold: Hold) -> str:
        if hold.key in self.holds:
            return "REPLAY" if self.holds[hold.key].body == hold.body else "CONFLICT"
        if not all(map(self.fits, hold.charges)):
            return "DENIED"
        self.holds[hold.key] = hold
        return "GRANTED"

    def end(self, hold: Hold, kind: str, said: Said = NOTHING) -> tuple[str, Booking | None]:
        """Commit (COMPLETED, FAILED), release or report: what is answered, and the log row where there is one."""
        commits = kind in ("COMPLETED", "FAILED")
        if hold.is_pruned:
            return "MISSING", None
        if kind == "REPORT" and hold.status != "OPEN":
            return "GONE", None
        if kind == "RELEASED" and hold.status == "EXPIRED":
            return "EXPIRED", None
        if hold.status in ("COMMITTED", "RELEASED"):
            same = hold.ending == (kind, said)
            return ("ENDED" if commits != (hold.status == "COMMITTED") else "REPLAY" if same else "CONFLICT"), None
        row = self.book(hold, kind, said, hold.still_holds)
        if kind != "REPORT":
            hold.status, hold.ending, hold.is_logged = "COMMITTED" if commits else "RELEASED", (kind, said), commits
        return "BOOKED", row

    def expire(self, hold: Hold) -> None:
        self.book(hold, "EXPIRED", NOTHING, hold.still_holds)
        hold.status = "EXPIRED"

    def record(
        self, event: str, body: object, fact: Booking, hold: Hold | None, kind: str, said: Said
    ) -> tuple[str, Booking | None]:
        """Usage told afterwards: the commit of a reservation that lacks one, or a fact."""
        if event in self.events:
            return ("DUPLICATE" if self.events[event] == body else "CONFLICT"), None
        if hold is not None and not hold.is_pruned and hold.status != "RELEASED":
            outcome, row = self.end(hold, kind, said)
        elif hold is not None and hold.is_pruned and hold.is_logged:
            outcome, row = "REPLAY", None
        else:
            outcome, row = "BOOKED", self.book(fact, kind, said)
            if hold is not None:
                hold.is_logged = True
        if outcome != "CONFLICT":
            self.events[event] = body
        return ("DUPLICATE" if outcome == "REPLAY" else outcome), row

    def correct(self, row: Booking, kind: str, said: Said) -> str:
        """The totals of a log row become these; its cost stays."""
        before = row.totals
        right = tuple(old if new is None else new for old, new in zip(before, said, strict=True))
        self.book(row, kind, right, keeps_cost=True)
        return "UNCHANGED" if row.totals == before else "BOOKED"

    def book(
        self,
        what: Booking,
        kind: str,
        said: Said,
        still_held: Callable[[Charge], int] = lambda _: 0,
        *,
        keeps_cost: bool = False,
    ) -> Booking:
        """The one rule: each meter gets the difference between what it should have and what it has."""
        row = Booking(what.unit, [each for each in what.charges if each.measure != "REQUESTS"])
        before = what.totals
        what.totals = tuple(map(_total, [kind] * 4, before, what.held, said))
        row.totals = tuple(new - old for new, old in zip(what.totals, before, strict=True))
        cost = what.cost if keeps_cost else _cost(what, kind, said, before)
        row.cost = None if cost is None else cost - (what.cost or 0)
        what.cost = cost
        for each in what.charges:
            more = _should_be(what, kind, each) - what.booked[each.meter]
            self.overrun[each.meter] += max(0, more - still_held(each))
            self.used[each.meter] += more
            what.booked[each.meter] += more
            row.booked[each.meter] += more
        return row


def _total(kind: str, before: int, held: int, said: int | None) -> int:
    match kind:
        case "REPORT":
            return max(before, said or 0)
        case "COMPLETED":
            return max(before, held) if said is None else said
        case _:
            return before if said is None else said


def _cost(what: Booking, kind: str, said: Said, before: Counts) -> int | None:
    if kind == "COMPLETED" and said[:2] == (None, None):
        return None if what.held_cost is None else max(what.held_cost, what.cost or 0)
    if kind != "COMPLETED" and what.totals[:2] == before[:2]:
        return what.cost
    return what.totals[0] + 3 * what.totals[1]


def _should_be(what: Booking, kind: str, charge: Charge) -> int:
    tokens = what.totals[0] + what.totals[1]
    units = {"TOKENS": tokens, "API_CALLS": what.totals[2], "ITEMS": what.totals[3]}
    requests = 1 if kind == "COMPLETED" else 0
    by_measure = {"TOKENS": tokens, "COST": what.cost or 0, "REQUESTS": 1, "SLOTS": 0}
    return by_measure.get(charge.measure, units.get(what.unit, requests))
