"""What counts as unusual, as pure arithmetic."""

from hypothesis import given
from hypothesis import strategies as st

from alerts.unusual import FEWEST, is_far_off, is_unusual, score

PAST = st.lists(st.integers(0, 10**12), min_size=FEWEST, max_size=40)


def test_a_thin_past_says_nothing() -> None:
    assert score(10**9, [1] * (FEWEST - 1)) is None
    assert not is_unusual(10**9, [1] * (FEWEST - 1))


def test_far_above_a_steady_past_is_unusual_and_chance_is_not() -> None:
    steady = [100, 104, 98, 101, 97, 103, 99, 102]
    assert is_unusual(300, steady)
    assert not is_unusual(130, steady)
    assert is_unusual(40, [0] * 20)
    assert not is_unusual(5, [0] * 20)


def test_a_few_wild_hours_of_the_past_hide_nothing() -> None:
    assert is_unusual(1_000, [100] * 10 + [50_000, 60_000])


@given(past=PAST)
def test_what_is_usual_is_never_unusual(past: list[int]) -> None:
    middle = sorted(past)[len(past) // 2]
    assert not is_unusual(middle, past)


@given(past=PAST, value=st.integers(0, 10**12), more=st.integers(0, 10**12))
def test_more_is_never_less_unusual(past: list[int], value: int, more: int) -> None:
    assert not is_unusual(value, past) or is_unusual(value + more, past)


@given(past=PAST, value=st.integers(0, 10**12))
def test_what_is_unusual_is_far_off_and_so_is_what_lies_as_far_below(past: list[int], value: int) -> None:
    assert is_far_off(value, past) or not is_unusual(value, past)
    steady = [10**6 + each % 1_000 for each in past]
    assert is_far_off(10**3, steady)
    assert not is_far_off(9 * 10**5, steady)
    assert not is_far_off(value, steady[: FEWEST - 1])
