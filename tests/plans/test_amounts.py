"""Money as text: exact both ways, and nothing but plain decimals."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.money import MAX_AMOUNT_NANO_USD, nano_usd, usd
from tests.plans.prices import USD


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00"),
        (1, "0.000000001"),
        (12_300_000, "0.0123"),
        (43_000_000, "0.043"),
        (100_000_000, "0.10"),
        (50 * USD, "50.00"),
        (-12_300_000, "-0.0123"),
        (MAX_AMOUNT_NANO_USD, "1000000000.00"),
    ],
)
def test_usd_is_a_plain_decimal(amount: int, text: str) -> None:
    assert usd(amount) == text
    assert nano_usd(text, allow_negative=True) == amount


@given(st.integers(-MAX_AMOUNT_NANO_USD, MAX_AMOUNT_NANO_USD))
def test_usd_and_nano_usd_are_inverses(amount: int) -> None:
    text = usd(amount)
    assert nano_usd(text, allow_negative=True) == amount
    assert Decimal(text) * USD == amount


def test_nano_usd_takes_whole_dollars_and_trailing_zeros() -> None:
    assert nano_usd("50") == nano_usd("50.000000000") == 50 * USD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "Infinity",
        "1e3",
        "1.0000000001",
        "1.",
        ".5",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "1,000",
        "0x1",
        "١",
        "1_0",
    ],
)
def test_nano_usd_refuses_what_is_not_an_exact_plain_amount(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        nano_usd(text)


def test_nano_usd_refuses_a_sign_unless_allowed_and_more_than_a_limit_can_hold() -> None:
    """Defect 4: a negative amount is not taken as something else."""
    with pytest.raises(ValueError, match="negative"):
        nano_usd("-1")
    assert nano_usd("-1", allow_negative=True) == -USD
    with pytest.raises(ValueError, match="exceeds"):
        nano_usd("1000000000.000000001")
