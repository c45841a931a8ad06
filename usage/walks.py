"""Long lists read piece by piece: each piece one short query, so that no snapshot and no cursor stays open."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)

SLICE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[Row]):
    """The `rows` that are asked for, `among` those that an index gives in the order of their ids.

    However few of many are asked for, a stretch of the others is passed over in one short query. `is_all`: nothing
    but ids tells the two apart.
    """

    rows: QuerySet[Row]
    among: QuerySet[Row]
    is_all: bool


def newest_first(found: Found[Row]) -> Iterator[list[Row]]:
    """All rows in slices of at most SLICE, some of them empty, by two queries each.

    Ids grow with time and the walk goes down: what is written meanwhile is never reached.
    """
    among, rows = found.among.order_by("-id"), found.rows.order_by("-id")
    passed: dict[str, Any] = {}
    while True:
        last = among.filter(**passed).values_list("id", flat=True)[SLICE - 1 : SLICE].first()
        if last is None:
            yield list(rows.filter(**passed))
            return
        yield list(rows.filter(**passed, id__gte=last))
        passed = {"id__lt": last}


def by_key(rows: QuerySet[Row], field: str) -> Iterator[list[Row]]:
    """All rows in slices of SLICE, ordered by a field that is unique and never changes."""
    passed: dict[str, Any] = {}
    while True:
        found = list(rows.filter(**passed).order_by(field)[:SLICE])
        yield found
        if len(found) < SLICE:
            return
        passed = {f"{field}__gt": getattr(found[-1], field)}
