"""Encrypting under the first of ENCRYPTION_KEYS whatever another of them encrypts, so that the others can go."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction

from alerts.fields import Sealed, SealedField

TOGETHER = 200
"""Rows in one transaction."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of encrypted texts, one or a list in each row."""

    model: type[models.Model]
    name: str

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.name}"


@dataclass(slots=True)
class Found:
    """How many encrypted texts there are, and how many the first key did not encrypt; `unreadable` names the rows of
    those that no key opens.
    """

    texts: int = 0
    old: int = 0
    unreadable: list[str] = field(default_factory=list)


def columns() -> list[Column]:
    """Those of the whole database, whatever app they are of."""
    return [
        Column(model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, SealedField)
        or (isinstance(field, ArrayField) and isinstance(field.base_field, SealedField))
    ]


def rows() -> int:
    """How many rows have such columns."""
    return sum(column.model._base_manager.count() for column in columns())


def reseal(tell: Callable[[int], None] = lambda rows: None, *, writes: bool = True) -> Found:
    """Encrypts anew what the first key did not encrypt, or with `writes` false only counts it; `tell` hears of rows.

    Each slice is a transaction of its own that locks its rows: stopped anywhere, it goes on where it was when it is
    run again. What no key opens stays as it is. Raises CannotDecrypt where there is no key at all.
    """
    Sealed.of("")
    found = Found()
    for column in columns():
        for slice_ in _slices(column):
            with transaction.atomic():
                _reseal(column, slice_, found, writes=writes)
            tell(len(slice_))
    return found


def _slices(column: Column) -> Iterator[list[Any]]:
    ids = column.model._base_manager.order_by("pk").values_list("pk", flat=True)
    found = list(ids[:TOGETHER])
    while found:
        yield found
        found = list(ids.filter(pk__gt=found[-1])[:TOGETHER])


def _reseal(column: Column, ids: Sequence[Any], found: Found, *, writes: bool) -> None:
    # What somebody changes meanwhile is read after their change, and not overwritten.
    rows = column.model._base_manager.filter(pk__in=ids).order_by("pk")
    for row in rows.select_for_update(no_key=True, of=("self",)) if writes else rows:
        value = getattr(row, column.name)
        texts = value if isinstance(value, list) else [] if value is None else [value]
        anew = [_resealed(text, found, f"{column} of {row.pk}") for text in texts]
        if writes and anew != texts:
            column.model._base_manager.filter(pk=row.pk).update(
                **{column.name: anew if isinstance(value, list) else anew[0]}
            )


def _resealed(sealed: Sealed, found: Found, where: str) -> Sealed:
    found.texts += 1
    if sealed.is_newest:
        return sealed
    anew = sealed.resealed()
    if anew is None:
        found.unreadable.append(where)
        return sealed
    found.old += 1
    return anew
