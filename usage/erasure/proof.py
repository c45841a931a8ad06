"""What an erasure shows: where it looked, and what it found there."""

from collections.abc import Callable
from dataclasses import dataclass

Tell = Callable[[str], None]
"""Hears which table or file it comes to."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How many rows of the tenant a column, or a file, has, and how many of them name the user."""

    table: str
    column: str
    rows: int
    named: int
