"""What becomes of a tenant's plan when a revision takes the place of another, and when that is taken back. Pure."""

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from plans.models import Plan
from plans.publishing import moves
from tenants.facts import RootPlan
from tenants.models import ATIToken, Tenant
from tenants.tokens import fold_due

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OLD, NEW, OTHER, THIRD = (Plan(code=code, revision=n) for code, n in (("PRO", 1), ("PRO", 2), ("FREE", 1), ("MAX", 1)))
ACME = Tenant(ati_id="ACME")

hours = st.integers(-4, 4).map(lambda n: NOW + n * HOUR)
later = st.none() | st.integers(1, 5).map(lambda n: NOW + n * HOUR)
PROBES = [NOW + n * HOUR / 2 for n in range(24)]


@st.composite
def holders(draw: st.DrawFn) -> ATIToken:
    """A root token as the database may hold it, whose plan or next plan is OLD."""
    root = ATIToken(tenant=ACME, plan=draw(st.sampled_from([OLD, OTHER])), plan_starts_at=draw(hours))
    if root.plan is OTHER or draw(st.booleans()):
        root.next_plan = OLD if root.plan is OTHER else draw(st.sampled_from([OLD, OTHER, THIRD]))
        root.next_plan_at = draw(hours)
    begins = max(at for at in (root.plan_starts_at, root.next_plan_at) if at is not None)
    root.plan_ends_at = draw(st.none() | st.integers(1, 4).map(lambda n: begins + n * HOUR))
    return root


def in_force(root: ATIToken, at: datetime) -> Plan | None:
    """The plan by which calls are decided."""
    assert root.plan_id is not None
    assert root.plan_starts_at is not None
    stored = RootPlan(
        plan=root.plan_id, starts_at=root.plan_starts_at, ends_at=root.plan_ends_at, next_plan=root.next_plan_id,
        next_at=root.next_plan_at,
    )  # fmt: skip
    found = stored.in_force(at)
    return next((plan for plan in (OLD, NEW, OTHER, THIRD) if plan.pk == found), None)


def pairs(before: ATIToken, after: ATIToken) -> Iterator[tuple[datetime, Plan | None, Plan | None]]:
    for at in PROBES:
        yield at, in_force(before, at), in_force(after, at)


def moved(root: ATIToken, at: datetime | None) -> tuple[ATIToken, moves.Move | None]:
    after = copy(root)
    return after, moves.forward(after, OLD, NEW, now=NOW, at=at)


def assert_can_be_stored(root: ATIToken) -> None:
    assert (root.next_plan_id is None) == (root.next_plan_at is None)
    if root.plan_ends_at is not None:
        begins = [at for at in (root.plan_starts_at, root.next_plan_at) if at is not None]
        assert all(at < root.plan_ends_at for at in begins)


@settings(max_examples=1_000)
@given(holders(), later)
def test_only_the_old_revision_is_exchanged_and_for_the_new_one_alone(root: ATIToken, at: datetime | None) -> None:
    after, _ = moved(root, at)
    assert_can_be_stored(after)
    for _, was, is_now in pairs(root, after):
        assert is_now == was or (was, is_now) == (OLD, NEW)


@settings(max_examples=1_000)
@given(holders())
def test_now_nobody_is_left_on_the_old_revision(root: ATIToken) -> None:
    after, move = moved(root, None)
    assert move is None or not move.is_left
    assert OLD not in {is_now for _, _, is_now in pairs(root, after)}
    assert OLD.pk not in (after.plan_id, after.next_plan_id)


@settings(max_examples=1_000)
@given(holders(), st.integers(1, 5).map(lambda n: NOW + n * HOUR))
def test_from_its_instant_on_the_new_revision_is_in_force_unless_it_says_that_the_tenant_is_left(
    root: ATIToken, at: datetime
) -> None:
    after, move = moved(root, at)
    for probe, was, is_now in pairs(root, after):
        if move is None or move.is_left:
            assert is_now == was
        elif probe >= at:
            assert is_now != OLD
        elif in_force(root, NOW) is OLD:
            assert is_now == was, "it is not in force before"


@settings(max_examples=1_000)
@given(holders(), later)
def test_a_roll_back_gives_every_tenant_what_it_had(root: ATIToken, at: datetime | None) -> None:
    after, _ = moved(root, at)
    if NEW.pk in (after.plan_id, after.next_plan_id):
        moves.backward(after, NEW, OLD, now=NOW)
    assert_can_be_stored(after)
    assert NEW.pk not in (after.plan_id, after.next_plan_id)
    for _, was, is_now in pairs(root, after):
        assert is_now == was


@settings(max_examples=500)
@given(holders(), later)
def test_a_change_planned_to_another_plan_keeps_its_date(root: ATIToken, at: datetime | None) -> None:
    """It is somebody's promise to a customer: never overwritten."""
    folded = copy(root)
    fold_due(folded, NOW)
    after, _ = moved(root, at)
    if folded.next_plan in (OTHER, THIRD):
        assert (after.next_plan, after.next_plan_at) == (folded.next_plan, folded.next_plan_at)


def becomes(move: moves.Move | None) -> str:
    assert move is not None
    return move.becomes


def test_what_becomes_of_a_tenant_is_said_in_words() -> None:
    at = NOW + 5 * HOUR
    root = ATIToken(tenant=ACME, plan=OLD, plan_starts_at=NOW - HOUR)
    assert str(moved(root, None)[1]) == "ACME: PRO r2 now"
    after, move = moved(root, at)
    assert becomes(move) == "PRO r2 from 24 Nov 2026 17:00 UTC"
    back = moves.backward(after, NEW, OLD, now=NOW)
    assert becomes(back) == "stays on PRO r1: its change planned for 24 Nov 2026 17:00 UTC is taken back"

    root.plan_ends_at = NOW + 3 * HOUR
    assert becomes(moved(root, at)[1]) == "keeps PRO r1: its plan ends on 24 Nov 2026 15:00 UTC, before"
    root.plan_ends_at, root.next_plan, root.next_plan_at = None, THIRD, NOW + 9 * HOUR
    kept = "keeps PRO r1 until 24 Nov 2026 21:00 UTC, when it changes to MAX r1 as planned"
    assert moved(root, at)[1] == moves.Move(tenant="ACME", becomes=kept, is_left=True)
    root.plan, root.next_plan = OTHER, OLD
    after, move = moved(root, at)
    assert becomes(move) == "its change planned for 24 Nov 2026 21:00 UTC is to PRO r2"
    back = moves.backward(after, NEW, OLD, now=NOW)
    assert becomes(back) == "its change planned for 24 Nov 2026 21:00 UTC is to PRO r1"
    root.next_plan_at = NOW - 2 * HOUR
    root.plan, root.next_plan = OLD, OTHER
    assert moved(root, at)[1] is None, "it is on the other plan already"
