"""The query parameters of the reads: strict, so that a typing error never shows more than was asked for."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import django_filters
from django import forms
from django.db.models import Model, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from plans import entitlements
from plans.codes import Code
from usage.models import Denial, LogStatus, UsageLog
from usage.queries import first_id_at

Row = TypeVar("Row", bound=Model)

_MOST_CHARACTERS = 2_000
_MILLISECOND = timedelta(milliseconds=1)
INSTANT_HINT = "An instant such as 2026-11-24T10:00:00Z (in an address “+” is written %2B)."


def require_known(request: Request, known: Collection[str]) -> None:
    """Raises ValidationError for a parameter that is not read here, comes twice, is empty or cannot be stored."""
    for name, values in request.query_params.lists():
        if name not in known:
            raise ValidationError({_named(name): f"It is not known here. Known: {', '.join(sorted(known))}."})
        if len(values) > 1:
            raise ValidationError({name: "Send it once."})
        if not values[0]:
            raise ValidationError({name: "Leave it out or give it a value."})
        if "\x00" in values[0] or len(values[0]) > _MOST_CHARACTERS:
            raise ValidationError({name: f"At most {_MOST_CHARACTERS:,} characters, none of them NUL."})


def _named(name: str) -> str:
    return name[:64].replace("\x00", "") or "query"


def instant(text: str) -> datetime:
    """An RFC 3339 instant, in UTC. ValueError for anything else, or a year outside 1970 to 9998."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or not 1970 < at.year < 9999:
        raise ValueError(text)
    return at.astimezone(UTC)


class _InstantField(forms.Field):
    def to_python(self, value: Any) -> datetime | None:  # noqa: ANN401 - Django's own signature
        if not value:
            return None
        try:
            return instant(value)
        except ValueError:
            raise forms.ValidationError(INSTANT_HINT) from None


class _InstantFilter(django_filters.Filter):
    field_class = _InstantField


class _CodeField(forms.CharField):
    """One of the codes known now; an unknown one is answered with their list."""

    def __init__(self, known: Callable[[], Collection[str]], **options: Any) -> None:  # noqa: ANN401 - Django's own
        super().__init__(**options)
        self.known = known

    def validate(self, value: Any) -> None:  # noqa: ANN401 - Django's own signature
        super().validate(value)
        known = self.known()
        if value and value not in known:
            raise forms.ValidationError(f"{value} is not known. Known: {', '.join(known)}.")


class _CodeFilter(django_filters.CharFilter):
    field_class = _CodeField


def _text(field: str, most: int) -> django_filters.CharFilter:
    return django_filters.CharFilter(field, max_length=most, strip=False)


def _features() -> Collection[str]:
    return entitlements.catalogue().features


def _tasks() -> Collection[str]:
    return entitlements.catalogue().tasks


def _classes() -> Collection[str]:
    return entitlements.catalogue().classes


class LogFilter(django_filters.FilterSet):
    """Of the log: exact matches, and the time of booking in [recorded_at_after, recorded_at_before)."""

    user = _text("user_key", 128)
    feature = _CodeFilter("feature_id", known=_features)
    task = _CodeFilter("task_id", known=_tasks)
    model_class = _CodeFilter("model_class_id", known=_classes)
    api_code = _text("api_code", 64)
    status = _CodeFilter("status", known=lambda: LogStatus.values)
    late = _CodeFilter(method="filter_late", known=lambda: ("true", "false"))
    recorded_at_after = _InstantFilter(method="filter_after")
    recorded_at_before = _InstantFilter(method="filter_before")

    class Meta:
        model = UsageLog
        fields: list[str] = []

    def filter_late(self, rows: QuerySet[UsageLog], name: str, value: str) -> QuerySet[UsageLog]:
        return rows.filter(late=value == "true")

    # An id holds its row's instant in milliseconds: bounded by it too, only the partitions in question are read.
    def filter_after(self, rows: QuerySet[UsageLog], name: str, at: datetime) -> QuerySet[UsageLog]:
        return rows.filter(recorded_at__gte=at, id__gte=first_id_at(at))

    def filter_before(self, rows: QuerySet[UsageLog], name: str, at: datetime) -> QuerySet[UsageLog]:
        return rows.filter(recorded_at__lt=at, id__lt=first_id_at(at + _MILLISECOND))


class DenialFilter(django_filters.FilterSet):
    """Of the refusals: exact matches."""

    user = _text("user_key", 128)
    feature = _CodeFilter("feature_id", known=_features)
    task = _CodeFilter("task_id", known=_tasks)
    code = _CodeFilter("code", known=lambda: [code.value for code in Code if code is not Code.OK])

    class Meta:
        model = Denial
        fields: list[str] = []


def filtered(by: type[django_filters.FilterSet], request: Request, rows: QuerySet[Row]) -> QuerySet[Row]:
    """The rows that the request's parameters leave. Raises ValidationError, naming each that is wrong."""
    found = by(data=request.query_params, queryset=rows)
    if not found.is_valid():
        wrong = found.form.errors.get_json_data().items()
        raise ValidationError({name: [error["message"] for error in errors] for name, errors in wrong})
    left: QuerySet[Row] = found.qs
    return left
