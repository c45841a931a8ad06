"""Thresholds as pure arithmetic, by property: however usage comes, each is crossed once and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.models import AlertKind, Severity
from alerts.thresholds import Rule, Step, choose, crossed, reached, steps
from plans.charges import Measure, PeriodKind

LIMITS = st.one_of(st.integers(0, 200), st.integers(0, 10**18))
PERCENTS = st.lists(st.integers(1, 1_000), max_size=6)


def rule(
    *percents: int,
    amounts: tuple[int, ...] = (),
    is_own: bool = False,
    feature: str | None = None,
    measure: Measure | None = None,
    period: PeriodKind | None = None,
) -> Rule:
    return Rule(
        is_own=is_own, feature=feature, measure=measure, period=period, percents=tuple(percents), amounts=amounts
    )


def said(found: tuple[Step, ...]) -> list[int]:
    return [step.value for step in found]


@given(limit=LIMITS, percents=PERCENTS, amounts=st.lists(st.integers(1, 10**18), max_size=3), data=st.data())
def test_however_usage_comes_each_threshold_is_crossed_once_and_in_order(
    limit: int, percents: list[int], amounts: list[int], data: st.DataObject
) -> None:
    """Defects 30 and 46: of any bookings exactly one crosses a threshold, absolute ones too."""
    found = steps(rule(*percents, amounts=tuple(amounts)), limit)
    moves = data.draw(st.lists(st.integers(0, max(1, 2 * limit)), max_size=20))
    told: list[Step] = []
    used = 0
    for move in moves:
        told += crossed(found, used, used + move)
        used += move
    assert told == list(reached(found, used))
    assert len(told) == len(set(told))
    assert [step.at for step in told] == sorted(step.at for step in told)


@given(limit=LIMITS, percent=st.integers(1, 1_000))
def test_a_share_is_reached_at_the_smallest_amount_that_is_at_least_that_share(limit: int, percent: int) -> None:
    (step,) = steps(rule(percent), limit)
    assert step.at >= 1
    assert 100 * step.at >= percent * limit
    assert step.at == 1 or 100 * (step.at - 1) < percent * limit


@given(limit=st.integers(1, 10**18), percents=PERCENTS)
def test_nothing_is_reached_before_anything_is_used(limit: int, percents: list[int]) -> None:
    assert reached(steps(rule(*percents), limit), 0) == ()


def test_of_shares_that_the_same_amount_reaches_the_largest_is_told() -> None:
    assert said(steps(rule(50, 80, 95, 100), 1)) == [100]
    assert said(steps(rule(50, 80, 95, 100), 10)) == [50, 80, 100]
    assert said(steps(rule(50, 80, 95, 100), 100)) == [50, 80, 95, 100]


def test_the_first_that_is_used_of_a_limit_of_nothing_reaches_it() -> None:
    assert said(crossed(steps(rule(50, 100), 0), 0, 1)) == [100]


def test_without_a_limit_amounts_alone_are_told() -> None:
    """Defect 46: absolute thresholds, with no limit to be a share of."""
    found = steps(rule(50, 100, amounts=(1_000, 500)), None)
    assert [(step.kind, step.value) for step in found] == [(AlertKind.AMOUNT, 500), (AlertKind.AMOUNT, 1_000)]
    assert said(crossed(found, 499, 1_200)) == [500, 1_000]


@pytest.mark.parametrize(
    ("percent", "severity"),
    [(50, Severity.INFO), (79, Severity.INFO), (80, Severity.WARNING), (95, Severity.WARNING),
     (100, Severity.CRITICAL), (150, Severity.CRITICAL)],
)  # fmt: skip
def test_the_less_is_left_the_more_it_matters(percent: int, severity: Severity) -> None:
    assert steps(rule(percent), 1_000)[0].severity == severity


def test_the_rule_that_names_a_quota_most_closely_holds_and_a_tenants_own_first() -> None:
    general, feature = rule(50), rule(60, feature="EMBEDDINGS")
    own, own_month = rule(70, is_own=True), rule(75, is_own=True, period=PeriodKind.MONTH)
    about = ("EMBEDDINGS", Measure.UNITS, PeriodKind.MONTH)
    assert choose([general], *about) is general
    assert choose([general, feature], *about) is feature
    assert choose([general, feature, own], *about) is own
    assert choose([general, feature, own, own_month], *about) is own_month
    assert choose([feature, own_month], None, Measure.COST, PeriodKind.DAY) is None


def test_a_rule_that_names_no_period_is_about_days_and_months() -> None:
    about = {kind: choose([rule(50)], None, Measure.REQUESTS, kind) is not None for kind in PeriodKind}
    assert about == {
        PeriodKind.MINUTE: False, PeriodKind.DAY: True, PeriodKind.MONTH: True, PeriodKind.OPEN: False,
    }  # fmt: skip
    assert choose([rule(50, period=PeriodKind.MINUTE)], None, Measure.REQUESTS, PeriodKind.MINUTE) is not None


def test_who_has_no_rule_is_told_nothing() -> None:
    assert steps(None, 100) == ()
