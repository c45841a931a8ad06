"""Shaping by what is left, as a property of every ask under every budget; 10,000 of them."""

from dataclasses import dataclass, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from enforcement import gates
from enforcement.gates import Passage, Terms
from plans import charges, policies, shaping
from plans.charges import Charge
from plans.models import RolloutGate, RuleKey, Unit
from plans.permits import Shape, Wants
from tests.plans.terms_world import CLASSES, TASK, entitled
from usage.estimates import Estimate

RANK = {code: rank for rank, code in enumerate(CLASSES)}


@dataclass(frozen=True)
class Case:
    """An ask with its first, full permit, and what the limited meters have taken already."""

    terms: Terms
    wants: Wants
    first: Passage
    taken: dict[Charge, int]

    def rooms(self, more: int = 0) -> list[int | None]:
        """What is left for each charge, or `more` than that."""
        return [None if each.limit is None else each.limit - self.taken[each] + more for each in self.first.charged]

    def answer(self, more: int = 0) -> tuple[Shape | None, tuple[Charge, ...]]:
        """What the gatekeeper does: the full permit where it fits comfortably, else the shaped one."""
        rooms = self.rooms(more)
        charged = self.first.charged
        if all(
            room is None or each.amount == 0 or (each.amount <= room and not shaping.is_above(each, room))
            for each, room in zip(charged, rooms, strict=True)
        ):
            return self.first.permit, charged
        second = gates.second(self.terms, self.first, charged, rooms)
        return (second.permit, second.charged) if second else (None, ())


def case(seed: int) -> Case:
    """An ask, a plan and its meters at random: a seed, for a draw of every number is ten times as slow."""
    some = Random(seed)

    def maybe(most: int) -> int | None:
        return some.choice([None, some.randint(0, most)])

    rules = {
        RuleKey.MIN_TOKENS_OUT: some.randint(0, 40),
        RuleKey.MAX_TOKENS_OUT: maybe(40),
        RuleKey.DEGRADE_AT_PERCENT: maybe(100),
        RuleKey.HOLD_PERCENTILE: some.choice([100, 100, 95]),
        RuleKey.CONCURRENCY_LIMIT: maybe(3),
        RuleKey.DAILY_BUDGET: maybe(3_000),
    }
    prices = [(some.randint(0, 9), some.randint(0, 40)) for _ in CLASSES]
    if some.random() < 0.5:
        prices.sort()  # as ranks are meant: dearer classes cost more
    allowed = sorted(some.sample(CLASSES, some.randint(1, len(CLASSES))), key=CLASSES.index)
    world = entitled(
        rates=prices, rules=rules, unit=some.choice([Unit.TOKENS, Unit.REQUESTS]), allowed=allowed,
        allow_downgrade=some.random() < 0.7, includes_money=some.random() < 0.5, budget=maybe(3_000),
        quotas={"daily_quota": maybe(120), "monthly_token_limit": maybe(120)},
    )  # fmt: skip
    wants = Wants(
        input_tokens=some.randint(0, 40), max_output_tokens=some.randint(0, 40),
        model_class=some.choice([None, *allowed]),
    )  # fmt: skip
    typical = Estimate(
        samples=50, computed_at=world.now, input_tokens=(some.randint(0, 40),) * 100,
        output_tokens=(some.randint(0, 40),) * 100,
    )  # fmt: skip
    terms = gates.terms(world, world.catalogue.tasks[TASK], None)
    first = gates.decide(terms, wants, lambda _: typical)
    return Case(terms, wants, first, {each: some.randint(0, each.limit or 0) for each in first.charged})


def quality(permit: Shape | None) -> tuple[int, int]:
    """The documented order of permits: the dearer class, then more output tokens; none is the worst."""
    return (
        (-1, -1) if permit is None or permit.model_class is None else (RANK[permit.model_class], permit.output_tokens)
    )


@settings(max_examples=10_000, deadline=None)
@given(st.integers(0, 2**64), st.integers(0, 200))
def test_the_best_permit_that_fits_is_granted_and_never_more_than_was_asked_or_is_left(seed: int, more: int) -> None:
    """Defect 36: the last call does not overspend, for it is *permitted* less, and holds what it is permitted."""
    asked = case(seed)
    full = asked.first.permit
    if full is None:
        assert asked.first.refusal is not None
        return
    permit, charged = asked.answer()
    rooms = asked.rooms()

    full_fits = all(
        room is None or charge.amount <= room for charge, room in zip(asked.first.charged, rooms, strict=True)
    )
    assert permit is not None or not full_fits, "refused what would have fitted"
    if permit is not None:
        promise = asked.terms.promise
        assert promise is not None
        assert permit.model_class in promise.allowed
        assert quality(permit) <= quality(full)
        assert permit.output_tokens <= full.output_tokens
        assert permit.input_tokens == full.input_tokens
        if asked.first.permit != permit:
            assert permit.output_tokens >= min(full.output_tokens, asked.terms.caps[RuleKey.MIN_TOKENS_OUT].value or 0)
            assert promise.allow_downgrade or permit.model_class == full.model_class
        for charge, room in zip(charged, rooms, strict=True):
            assert room is None or charge.amount == 0 or charge.amount <= room
        hold = permit.hold
        assert hold.input_tokens <= permit.input_tokens
        assert hold.output_tokens <= permit.output_tokens
        if permit.typical is None:
            assert (hold.input_tokens, hold.output_tokens, hold.cost) == (
                permit.input_tokens, permit.output_tokens, permit.cost,
            )  # fmt: skip
        elif not permit.typical.includes_money:
            assert hold.cost == permit.cost

    assert quality(permit) <= quality(asked.answer(more)[0]), "more budget gave a worse permit"
    assert permit == first_that_fits(asked)


def first_that_fits(asked: Case) -> Shape | None:
    """Every permit in the documented order, by trying each; the steps as the found one has them."""
    full, terms = asked.first.permit, asked.terms
    assert full is not None
    rooms = asked.rooms()
    found, _ = asked.answer()
    if found is full:
        return full
    degraded = any(shaping.is_above(charge, room) for charge, room in zip(asked.first.charged, rooms, strict=True))
    cheaper = policies.cheaper_classes(terms.entitled, terms.task, terms.promise, full)
    classes = [code for code in (full.model_class, *cheaper) if code is not None]
    if terms.promise is None or not terms.promise.allow_downgrade:
        classes = classes[:1]
    elif degraded:
        classes = classes[1:]
    fewest = min(terms.caps[RuleKey.MIN_TOKENS_OUT].value or 0, full.output_tokens)
    for model_class in classes:
        for tokens in range(full.output_tokens, fewest - 1, -1):
            tried = policies.reshape(terms.entitled, terms.task, full, model_class=model_class, output_tokens=tokens)
            fits = all(
                room is None or not 0 < charges.amount_of(charge.measure, tried) > room
                for charge, room in zip(asked.first.charged, rooms, strict=True)
            )
            if fits:
                return replace(tried, shaped=found.shaped if found else ())
    return None


def at(world_rules: dict[RuleKey, int | None], wants: Wants, left: int, **options: object) -> Passage | None:
    """What a budget with so much left of 100,000 permits of an ask."""
    world = entitled(budget=100_000, rules=world_rules, **options)  # type: ignore[arg-type]  # passed through
    terms = gates.terms(world, world.catalogue.tasks[TASK], None)
    first = gates.decide(terms, wants, lambda _: None)
    rooms = [left if each.gate == RolloutGate.BUDGET and each.limit else None for each in first.charged]
    return gates.second(terms, first, first.charged, rooms)


def steps(passage: Passage | None) -> list[tuple[str, object, object, str]] | None:
    if passage is None or passage.permit is None:
        return None
    return [(each.param, each.asked, each.granted, each.because) for each in passage.permit.shaped]


ASKED = Wants(input_tokens=100, max_output_tokens=1000, model_class="PRO_L")
# 100 input tokens and 1,000 output tokens cost 32,800 nano-USD in PRO_L, 16,400 in PRO_M, 8,200 in BASE_M, 4,100.


def test_fewer_output_tokens_come_first() -> None:
    assert steps(at({}, ASKED, 32_799)) == [("max_tokens_out", 1000, 999, "BUDGET")]
    assert steps(at({}, ASKED, 800 + 256 * 32)) == [("max_tokens_out", 1000, 256, "BUDGET")]


def test_then_a_cheaper_class_in_full_where_it_fits() -> None:
    assert steps(at({RuleKey.MIN_TOKENS_OUT: 600}, ASKED, 16_400)) == [("model_class", "PRO_L", "PRO_M", "BUDGET")]


def test_then_a_cheaper_class_with_fewer_tokens() -> None:
    assert steps(at({}, ASKED, 800 + 256 * 32 - 1)) == [
        ("model_class", "PRO_L", "PRO_M", "BUDGET"), ("max_tokens_out", 1000, 536, "BUDGET"),
    ]  # fmt: skip


def test_a_class_is_skipped_where_even_its_fewest_tokens_do_not_fit() -> None:
    assert steps(at({}, ASKED, 100 + 256 * 4)) == [
        ("model_class", "PRO_L", "BASE_S", "BUDGET"), ("max_tokens_out", 1000, 256, "BUDGET"),
    ]  # fmt: skip


def test_then_it_is_refused() -> None:
    assert at({}, ASKED, 100 + 256 * 4 - 1) is None


def test_a_plan_that_allows_no_downgrade_gets_fewer_tokens_or_nothing() -> None:
    assert steps(at({}, ASKED, 800 + 256 * 32, allow_downgrade=False)) == [("max_tokens_out", 1000, 256, "BUDGET")]
    assert at({}, ASKED, 800 + 256 * 32 - 1, allow_downgrade=False) is None


def test_who_asks_for_fewer_than_the_floor_gets_all_or_nothing() -> None:
    little = replace(ASKED, max_output_tokens=10, model_class="BASE_S")
    assert at({}, little, 139) is None
    assert steps(at({}, little, 140)) == []


def test_a_class_that_ranks_lower_but_costs_more_is_no_downgrade() -> None:
    dear_base = ((1, 4), (2, 40), (4, 16), (8, 32))
    assert steps(at({RuleKey.MIN_TOKENS_OUT: 1000}, replace(ASKED, model_class="PRO_M"), 8_199, rates=dear_base)) == [
        ("model_class", "PRO_M", "BASE_S", "BUDGET")
    ]


def test_a_meter_that_no_smaller_permit_helps_refuses() -> None:
    world = entitled(rules={RuleKey.CONCURRENCY_LIMIT: 1})
    terms = gates.terms(world, world.catalogue.tasks[TASK], None)
    first = gates.decide(terms, ASKED, lambda _: None)
    rooms = [0 if each.gate == RolloutGate.CONCURRENCY else None for each in first.charged]
    assert gates.second(terms, first, first.charged, rooms) is None


def test_above_the_comfortable_level_the_next_cheaper_class_is_given_in_full() -> None:
    rules: dict[RuleKey, int | None] = {RuleKey.DEGRADE_AT_PERCENT: 80}
    assert steps(at(rules, ASKED, 20_000 + 32_799)) == [("model_class", "PRO_L", "PRO_M", "DEGRADE_AT_PERCENT")]
    assert steps(at(rules, ASKED, 16_399)) == [
        ("model_class", "PRO_L", "PRO_M", "DEGRADE_AT_PERCENT"), ("max_tokens_out", 1000, 999, "BUDGET"),
    ]  # fmt: skip


def test_the_cheapest_class_has_no_comfortable_level() -> None:
    world = entitled(budget=100, rules={RuleKey.DEGRADE_AT_PERCENT: 0})
    terms = gates.terms(world, world.catalogue.tasks[TASK], None)
    first = gates.decide(terms, replace(ASKED, model_class="BASE_S"), lambda _: None)
    assert [each.degrade_above for each in first.charged if each.limit is not None] == [None]


def test_only_what_is_used_up_for_good_has_a_comfortable_level() -> None:
    """Not concurrency and rates, which are free again in a moment; nor what is only observed."""
    rules = {RuleKey.DEGRADE_AT_PERCENT: 50, RuleKey.CONCURRENCY_LIMIT: 10, RuleKey.REQUESTS_PER_MINUTE: 10}
    world = entitled(rules=rules, quotas={"daily_quota": 10})
    terms = gates.terms(world, world.catalogue.tasks[TASK], None)
    levels = {
        each.gate: each.degrade_above for each in gates.decide(terms, ASKED, lambda _: None).charged if each.limit
    }
    assert levels == {RolloutGate.CONCURRENCY: None, RolloutGate.RATES: None, RolloutGate.DAILY_QUOTA: 5}
