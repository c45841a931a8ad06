"""Figures in the console: columns that show them, and a field that takes dollars."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.contrib.admin import display
from django.core.exceptions import ValidationError
from django.db.models import Model

from tenants.figures import UNKNOWN, UNLIMITED, budget, limit, number, usd

__all__ = ["UNKNOWN", "UNLIMITED", "UsdField", "budget", "column", "limit", "number", "text", "usd"]

_NANO = 10**9
_MAX_NANO_USD = 10**18


def column(field: str, header: str, shown: Callable[[Any], str] = number, *, is_sorted: bool = True) -> Any:  # noqa: ANN401 - the stubs of fieldsets know names alone
    """A right-aligned column of a list, or line of a page, that shows `field` by `shown`."""

    def cell(row: Model) -> str:
        return shown(getattr(row, field))

    cell.__name__ = f"{field}_figure"  # the stylesheet aligns by this name
    return display(cell, description=header, ordering=field if is_sorted else None)


def text(field: str, header: str) -> Any:  # noqa: ANN401 - the stubs of fieldsets know names alone
    """A column that shows `field` as it is: the code of a relation, for one, without asking for its row."""

    def cell(row: Model) -> str:
        return str(getattr(row, field) or UNKNOWN)

    cell.__name__ = field
    return display(cell, description=header, ordering=field)


class UsdField(forms.IntegerField):
    """Dollars on the page, nano-USD (an int) in the form's data. At most nine decimals."""

    def __init__(self, *, max_nano_usd: int = _MAX_NANO_USD, **options: Any) -> None:  # noqa: ANN401 - Field's
        super().__init__(**options)
        self.max_nano_usd = max_nano_usd

    def prepare_value(self, value: Any) -> Any:  # noqa: ANN401 - a stored int, or what was typed
        return usd(value).replace(",", "") if isinstance(value, int) else value

    def to_python(self, value: Any) -> int | None:  # noqa: ANN401 - what was typed
        if value in self.empty_values:
            return None
        try:
            nano = Decimal(str(value).replace(",", "").strip()).scaleb(9)
            if not nano.is_finite() or nano != nano.to_integral_value():
                raise InvalidOperation
        except InvalidOperation:
            raise ValidationError("An amount in USD, such as 50 or 0.0025; at most nine decimals.") from None
        if not 0 <= nano <= self.max_nano_usd:
            raise ValidationError(f"Between USD 0 and USD {self.max_nano_usd // _NANO:,}.")
        return int(nano)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {"min": 0, "step": "any"}
