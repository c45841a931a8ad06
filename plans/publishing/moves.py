"""What a publication or a roll-back makes of each tenant's plan: decided on its root token, and said in words."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from plans.models import Plan
from tenants.models import ATIToken
from tenants.tokens import fold_due
from tenants.words import first_of

_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What becomes of one tenant. `is_left`: it stays on the revision that is replaced, and `becomes` says why."""

    tenant: str
    becomes: str
    is_left: bool = False

    def __str__(self) -> str:
        return f"{self.tenant}: {self.becomes}"


@dataclass(frozen=True, slots=True)
class Group:
    """The tenants that the same becomes of."""

    becomes: str
    is_left: bool
    tenants: tuple[str, ...]

    @property
    def names(self) -> str:
        """The first of the tenants, and how many more there are."""
        return first_of(self.tenants, _NAMED)

    def __str__(self) -> str:
        return f"{self.names}: {self.becomes}"


def grouped(made: Iterable[Move]) -> tuple[Group, ...]:
    """Moves by what becomes of the tenants; those that are left come first, then the larger groups."""
    groups: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for move in made:
        groups[move.becomes, move.is_left].append(move.tenant)
    found = (Group(becomes, is_left, tuple(tenants)) for (becomes, is_left), tenants in groups.items())
    return tuple(sorted(found, key=lambda group: (not group.is_left, -len(group.tenants))))


def forward(root: ATIToken, old: Plan, new: Plan, *, now: datetime, at: datetime | None) -> Move | None:
    """Put a tenant that holds `old` on `new`, at once or at an instant to come; on the instance alone.

    None where it does not hold it any more, since its next plan is due.
    A planned change to `old` becomes one to `new` at its own date. Another change planned for the tenant is kept:
    where it comes first, or the tenant's plan ends first, there is no room for this one.
    """
    fold_due(root, now)
    ati_id = root.tenant.ati_id
    was_planned = root.next_plan_id == old.pk
    if root.plan_id != old.pk:
        if not was_planned:
            return None
        root.next_plan = new
        return Move(tenant=ati_id, becomes=f"its change planned for {instant(root.next_plan_at)} is to {new}")
    if was_planned:
        root.next_plan = root.next_plan_at = None
    if at is None or _is_out_of_force(root, now, at):
        root.plan = new
        return Move(tenant=ati_id, becomes=f"{new} now")
    if root.plan_ends_at is not None and root.plan_ends_at <= at:
        return Move(
            tenant=ati_id, becomes=f"keeps {old}: its plan ends on {instant(root.plan_ends_at)}, before", is_left=True
        )
    if root.next_plan is not None:
        becomes = f"keeps {old} until {instant(root.next_plan_at)}, when it changes to {root.next_plan} as planned"
        return Move(tenant=ati_id, becomes=becomes, is_left=True)
    root.next_plan, root.next_plan_at = new, at
    return Move(tenant=ati_id, becomes=f"{new} from {instant(at)}")


def _is_out_of_force(root: ATIToken, now: datetime, at: datetime) -> bool:
    """Whether the plan has ended, or begins when the next one would: then it is exchanged and nobody notices."""
    has_ended = root.plan_ends_at is not None and root.plan_ends_at <= now
    return has_ended or (root.plan_starts_at is not None and root.plan_starts_at >= at)


def backward(root: ATIToken, new: Plan, old: Plan, *, now: datetime) -> Move | None:
    """Put a tenant that holds `new` back on `old`, at once; on the instance alone. None as for `forward`."""
    fold_due(root, now)
    ati_id = root.tenant.ati_id
    if root.plan_id == new.pk:
        root.plan = old
        if root.next_plan_id in (new.pk, old.pk):
            root.next_plan = root.next_plan_at = None
        return Move(tenant=ati_id, becomes=f"{old} now")
    if root.next_plan_id != new.pk:
        return None
    planned_for = instant(root.next_plan_at)
    if root.plan_id == old.pk:
        root.next_plan = root.next_plan_at = None
        return Move(tenant=ati_id, becomes=f"stays on {old}: its change planned for {planned_for} is taken back")
    root.next_plan = old
    return Move(tenant=ati_id, becomes=f"its change planned for {planned_for} is to {old}")


def instant(at: datetime | None) -> str:
    """An instant as people read it, in UTC."""
    return "no date" if at is None else f"{at.astimezone(UTC):%d %b %Y %H:%M} UTC"
