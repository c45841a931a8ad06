"""Whether a number is unusual against those of the past. Pure.

The robust z-score: how many spreads it lies above the median, the spread being the median absolute deviation times
1.4826, as for a normal distribution (Iglewicz and Hoaglin 1993, “How to Detect and Handle Outliers”), and at least
what counting by chance gives, the square root of the median, and a tenth of it. A few wild hours of the past move
neither median nor deviation.
"""

from collections.abc import Sequence
from math import sqrt
from statistics import median

FEWEST = 8
"""With less of a past than that nothing is said."""
_NORMAL = 1.4826
_UNUSUAL = 6.0
_TIMES = 2


def score(value: int, past: Sequence[int]) -> float | None:
    """How many spreads `value` lies above the median of `past`; None where the past is thin."""
    if len(past) < FEWEST:
        return None
    middle = median(past)
    deviation = median(abs(each - middle) for each in past)
    return float((value - middle) / max(_NORMAL * deviation, sqrt(middle), middle / 10, 1.0))


def is_unusual(value: int, past: Sequence[int]) -> bool:
    """Whether `value` is far above what is usual, and at least twice it."""
    found = score(value, past)
    return found is not None and found >= _UNUSUAL and value >= _TIMES * median(past)


def is_far_off(value: int, past: Sequence[int]) -> bool:
    """Whether `value` is as far from what is usual on either side: at least twice it, or half of it at most."""
    found = score(value, past)
    is_apart = value >= _TIMES * median(past) or _TIMES * value <= median(past) if past else False
    return found is not None and abs(found) >= _UNUSUAL and is_apart
