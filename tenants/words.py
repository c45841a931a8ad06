"""How lists read in a sentence."""

from collections.abc import Sequence


def first_of(names: Sequence[str], most: int) -> str:
    """The first of the names, and how many more there are: “ACME, GLOBEX and 12 more”."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
