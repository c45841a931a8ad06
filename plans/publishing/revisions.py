"""Revisions of a plan: drafted, published to those who hold the one before, and rolled back.

Whoever publishes locks the plans first and the root tokens then, each in id order, and checks afterwards.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog
from django.db import transaction
from django.db.models import Max, Q, QuerySet

from plans import calendars, periods, promises
from plans.models import Plan, PlanStatus
from plans.promises import Promises
from plans.publishing import check, moves
from plans.publishing.contradiction import Contradiction
from plans.publishing.moves import Move
from tenants.models import ATIToken
from tenants.tokens import store_plans

log = structlog.get_logger()

_READ_BY_MOVES = (
    "plan", "plan_starts_at", "plan_ends_at", "next_plan", "next_plan_at", "tenant__ati_id", "tenant__timezone",
    "tenant__billing_anchor_day", "tenant__calendar_since", "tenant__next_timezone",
    "tenant__next_billing_anchor_day", "tenant__next_calendar_at",
)  # fmt: skip


class When(StrEnum):
    """When a revision reaches those who hold the one before."""

    NOW = "now"
    NEXT_PERIOD = "next period"


class PublishingError(Exception):
    """What was asked of a revision cannot be done; the message says why, for people."""


class Contradicted(PublishingError):
    """The draft contradicts itself, or an exception of a tenant it would be given to."""

    def __init__(self, draft: Plan, found: Sequence[Contradiction]) -> None:
        super().__init__(f"{draft} contradicts itself:\n" + "\n".join(f"- {each.text}" for each in found))
        self.found = tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A change of the revision in force, and what became of each tenant that held the other one."""

    plan: Plan
    instead_of: Plan | None
    moves: tuple[Move, ...]

    @property
    def counted(self) -> str:
        """How many tenants moved, and how many were left."""
        left = sum(move.is_left for move in self.moves)
        return f"Tenants moved: {len(self.moves) - left:,}" + (f", left: {left:,}" if left else "")


def draft(code: str, edited: Promises | None = None) -> Plan:
    """The next revision of a plan: a draft that promises what the active one does, or `edited`.

    PublishingError where the code has no active plan; the known ones are named.
    """
    with transaction.atomic():
        revisions = Plan.objects.filter(code=code).order_by("pk")
        list(revisions.select_for_update(no_key=True).values_list("pk"))  # then none becomes active meanwhile
        live = revisions.filter(status=PlanStatus.ACTIVE).first()
        if live is None:
            known = ", ".join(Plan.objects.filter(status=PlanStatus.ACTIVE).values_list("code", flat=True))
            raise PublishingError(f"There is no active plan {code}. Active are: {known or 'none'}.")
        last = revisions.aggregate(last=Max("revision"))["last"]
        made = Plan.objects.create(code=code, revision=last + 1, name=live.name, based_on=live)
        promises.write(made, promises.of(live) if edited is None else edited)
    return made


def simulated(plan: Plan, at: datetime, promised: Promises) -> bool:
    """Note that a draft which promised this was tried on recorded traffic at an instant.

    False, with nothing noted, where it is no draft any more or was edited or deleted while it was tried.
    """
    with transaction.atomic():
        locked = Plan.objects.filter(pk=plan.pk, status=PlanStatus.DRAFT).select_for_update(no_key=True).first()
        if locked is None or promises.of(locked) != promised:
            return False
        locked.simulated_at = at
        locked.save(update_fields=["simulated_at"])
    plan.simulated_at = at
    return True


def affected(draft: Plan, *, now: datetime, at: datetime | When = When.NOW) -> tuple[Move, ...]:
    """What publishing a draft would make of each tenant whose plan or next plan is the revision it is based on."""
    old = draft.predecessor
    return () if old is None else _forward(_holders(old), old, draft, now=now, at=at)


def affected_by_rollback(plan: Plan, *, now: datetime) -> tuple[Move, ...]:
    """What rolling a revision back would make of each tenant that holds it. PublishingError as for `rollback`."""
    old = _before(plan)
    return _backward(_holders(plan), plan, old, now=now)


def publish(
    draft: Plan, *, now: datetime, at: datetime | When = When.NOW, unsimulated: bool = False, by: str = ""
) -> Published:
    """Make a draft the active revision and move those who hold the one before, all or nothing.

    They move now, at an instant to come, or each at the end of its running month; new tenants get it at once.
    `unsimulated` lets a draft through that was not tried since its last edit, and is logged with `by`, who did it.
    Raises Contradicted, or PublishingError where the draft is none any more, is based on a revision that is not
    active any more, or was not tried and somebody holds that revision.
    """
    if isinstance(at, datetime) and at <= now:
        raise PublishingError("The revision must take over in the future; leave the instant out to do it now.")
    with transaction.atomic():
        new = _locked(draft)
        if new.status != PlanStatus.DRAFT:
            raise PublishingError(f"{new} is published already: it is {new.status.lower()}.")
        errors = check.errors(new, now=now)
        if errors:
            raise Contradicted(new, errors)
        old = new.predecessor
        roots = _locked_holders(old) if old is not None else []
        if roots and new.simulated_at is None and not unsimulated:
            raise PublishingError(
                f"{new} was not simulated since its last edit, and tenants hold {old} ({len(roots):,}). "
                "Simulate it first, or publish it all the same: --unsimulated, or the box in the console."
            )
        # The catalogue's number is taken before those of tenants, as the triggers do within a statement.
        _exchange(old, new)
        made = _forward(roots, old, new, now=now, at=at) if old is not None else ()
        store_plans(roots)
    log.info(
        "plan.published", plan=str(new), instead_of=str(old) if old else None, at=str(at), tenants=len(made),
        left=[each.tenant for each in made if each.is_left], simulated_at=new.simulated_at, by=by,
    )  # fmt: skip
    return Published(plan=new, instead_of=old, moves=made)


def rollback(plan: Plan, *, now: datetime, by: str = "") -> Published:
    """Make the revision before the active one again, now, and put all who hold this one back on it.

    PublishingError where this one is not active, or is the first.
    """
    with transaction.atomic():
        new = _locked(plan)
        old = _before(new)
        roots = _locked_holders(new)
        _exchange(new, old)
        made = _backward(roots, new, old, now=now)
        store_plans(roots)
    log.info("plan.rolled_back", plan=str(new), to=str(old), tenants=len(made), by=by)
    return Published(plan=old, instead_of=new, moves=made)


def _locked(plan: Plan) -> Plan:
    """A plan with all revisions of its code and the one it is based on locked: of two that become active one waits.

    PublishingError where it is gone.
    """
    code = Plan.objects.filter(pk=plan.pk).values("code")
    wanted = Plan.objects.filter(Q(code__in=code) | Q(pk=plan.based_on_id))
    rows = {row.pk: row for row in wanted.order_by("pk").select_for_update(no_key=True)}
    found = rows.get(plan.pk)
    if found is None:
        raise PublishingError(f"{plan} is gone: it was deleted meanwhile.")
    if found.based_on_id is not None:
        found.based_on = rows[found.based_on_id]
    return found


def _locked_holders(plan: Plan) -> list[ATIToken]:
    """The root tokens that hold a plan which is locked: no other can come to hold it, see `tokens.change_plan`."""
    return list(_holders(plan).order_by("pk").select_for_update(of=("self",), no_key=True))


def _holders(plan: Plan) -> QuerySet[ATIToken]:
    """With what a move reads, and no more: they may be many.

    By far the most share their plans, which come with a query of their own: it is made after the lock, and so never
    shows a plan as it was before.
    """
    rows = ATIToken.objects.holding(plan).select_related("tenant").only(*_READ_BY_MOVES)
    return rows.prefetch_related("plan", "next_plan")


def _exchange(old: Plan | None, new: Plan) -> None:
    """One is active at any time, so the old one goes first."""
    if old is not None:
        old.status = PlanStatus.DEPRECATED
        old.save(update_fields=["status"])
    new.status = PlanStatus.ACTIVE
    new.save(update_fields=["status"])


def _before(plan: Plan) -> Plan:
    """The revision that a roll-back of `plan` makes active again."""
    old = plan.predecessor
    if old is None:
        raise PublishingError(f"{plan} is the first revision of its plan: there is none to go back to.")
    if plan.status != PlanStatus.ACTIVE:
        raise PublishingError(f"{plan} is {plan.status.lower()}; only the active revision can be rolled back.")
    return old


def _forward(
    roots: Iterable[ATIToken], old: Plan, new: Plan, *, now: datetime, at: datetime | When
) -> tuple[Move, ...]:
    return _sorted(moves.forward(root, old, new, now=now, at=_takes_over(root, now, at)) for root in roots)


def _backward(roots: Iterable[ATIToken], new: Plan, old: Plan, *, now: datetime) -> tuple[Move, ...]:
    return _sorted(moves.backward(root, new, old, now=now) for root in roots)


def _sorted(made: Iterable[Move | None]) -> tuple[Move, ...]:
    return tuple(sorted((move for move in made if move is not None), key=lambda move: move.tenant))


def _takes_over(root: ATIToken, now: datetime, at: datetime | When) -> datetime | None:
    if isinstance(at, datetime):
        return at
    return periods.month_end(calendars.stored(root.tenant), now) if at is When.NEXT_PERIOD else None
