"""The query parameters of the reads: strict, so that a typing error never shows more than was asked for."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import django_filters
from django import forms
from django.core.validators import EMPTY_VALUES
from django.db.models import Model, QuerySet
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from plans import entitlements
from plans.codes import Code
from usage import queries
from usage.models import Denial, LogStatus, UsageLog
from usage.queries import first_id_at
from usage.sight import Sight
from usage.walks import Found

Row = TypeVar("Row", bound=Model)

_MOST_CHARACTERS = 2_000
_MILLISECOND = timedelta(milliseconds=1)
_MINUTE = timedelta(minutes=1)
_AHEAD = timedelta(minutes=5)  # an event may lie so far ahead of the clock
INSTANT_HINT = "An instant such as 2026-11-24T10:00:00Z (in an address “+” is written %2B)."


def require_known(sent: QueryDict, known: Collection[str]) -> None:
    """Raises ValidationError for a parameter that is not read here, comes twice, is empty or cannot be stored."""
    for name, values in sent.lists():
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
    """Of the log: exact matches, and the times of booking and of occurrence in [after, before)."""

    user = _text("user_key", 128)
    feature = _CodeFilter("feature_id", known=_features)
    task = _CodeFilter("task_id", known=_tasks)
    model_class = _CodeFilter("model_class_id", known=_classes)
    api_code = _text("api_code", 64)
    status = _CodeFilter("status", known=lambda: LogStatus.values)
    late = _CodeFilter(method="filter_late", known=lambda: ("true", "false"))
    recorded_at_after = _InstantFilter("recorded_at", lookup_expr="gte")
    recorded_at_before = _InstantFilter("recorded_at", lookup_expr="lt")
    occurred_at_after = _InstantFilter("occurred_at", lookup_expr="gte")
    occurred_at_before = _InstantFilter("occurred_at", lookup_expr="lt")

    class Meta:
        model = UsageLog
        fields: list[str] = []

    def filter_late(self, rows: QuerySet[UsageLog], name: str, value: str) -> QuerySet[UsageLog]:
        return rows.filter(late=value == "true")


class DenialFilter(django_filters.FilterSet):
    """Of the refusals: exact matches, and when it was last refused so in [after, before)."""

    user = _text("user_key", 128)
    feature = _CodeFilter("feature_id", known=_features)
    task = _CodeFilter("task_id", known=_tasks)
    code = _CodeFilter("code", known=lambda: [code.value for code in Code if code is not Code.OK])
    at_after = _InstantFilter("last_at", lookup_expr="gte")
    at_before = _InstantFilter("last_at", lookup_expr="lt")

    class Meta:
        model = Denial
        fields: list[str] = []


def logs(sight: Sight, sent: QueryDict) -> Found[UsageLog]:
    """The log in sight, as the parameters of LogFilter leave it. Raises ValidationError, naming each that is wrong."""
    return _filtered(LogFilter, sight, sent, queries.logs(sight), UsageLog.objects.for_tenant(sight.tenant.id))


def denials(sight: Sight, sent: QueryDict) -> Found[Denial]:
    """The refusals in sight, as the parameters of DenialFilter leave them. Raises ValidationError likewise."""
    return _filtered(DenialFilter, sight, sent, queries.denials(sight), Denial.objects.for_tenant(sight.tenant.id))


def _filtered(
    by: type[django_filters.FilterSet], sight: Sight, sent: QueryDict, rows: QuerySet[Row], among: QuerySet[Row]
) -> Found[Row]:
    chosen = by(data=sent, queryset=rows)
    if not chosen.is_valid():
        wrong = chosen.form.errors.get_json_data().items()
        raise ValidationError({name: [error["message"] for error in errors] for name, errors in wrong})
    given = {name: value for name, value in chosen.form.cleaned_data.items() if value not in EMPTY_VALUES}
    for after, before in _RANGES:
        if after in given and before in given and given[after] >= given[before]:
            raise ValidationError({before: f"It must come after {after}."})
    bounds = _bounds(given)
    left: QuerySet[Row] = chosen.filter_queryset(rows.filter(**bounds))
    is_all = sight.user is None and given.keys() <= _OF_IDS
    return Found(rows=left, among=among.filter(**bounds), is_all=is_all)


_RANGES = tuple((f"{name}_after", f"{name}_before") for name in ("recorded_at", "occurred_at", "at"))

_OF_IDS = {"recorded_at_after", "recorded_at_before", "at_after", "at_before"}


def _bounds(given: Mapping[str, Any]) -> dict[str, UUID]:
    """What instants say about ids, which hold that of booking in milliseconds: only those partitions are read.

    Nothing is booked long before it occurs; how long after is not known. A refusal's is of its minute.
    """
    bounds = {}
    if "at_after" in given:
        bounds["id__gte"] = first_id_at(given["at_after"] - _MINUTE)
    if "at_before" in given:
        bounds["id__lt"] = first_id_at(given["at_before"] + _MILLISECOND)
    if "recorded_at_after" in given:
        bounds["id__gte"] = first_id_at(given["recorded_at_after"])
    if "occurred_at_after" in given:
        bounds["id__gt"] = first_id_at(given["occurred_at_after"] - _AHEAD)
    if "recorded_at_before" in given:
        bounds["id__lt"] = first_id_at(given["recorded_at_before"] + _MILLISECOND)
    return bounds
