"""Figures in templates, as people read them: `{% load figures %}`."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import template

from tenants import figures
from tenants.words import duration

register = template.Library()

register.filter("number", figures.number)
register.filter("limit", figures.limit)
register.filter("usd", figures.usd)
_CENT = 10**7


@register.filter
def dollars(nano: int | None) -> str:
    """Nano-USD with two decimals, for cards; less than a cent that is not nothing as “< 0.01”."""
    if nano is None:
        return figures.UNKNOWN
    if 0 < nano < _CENT:
        return "< 0.01"
    return f"{nano / 10**9:,.2f}"


@register.filter
def percent(part: int | None, whole: int | None) -> str:
    """A share with one decimal, “78.2 %”; “–” where there is no whole."""
    return f"{100 * part / whole:.1f} %" if part is not None and whole else figures.UNKNOWN


@register.filter
def lasting(span: timedelta | None) -> str:
    """A time span in words: “5 h 12 min”."""
    return figures.UNKNOWN if span is None else duration(span)


@register.filter
def time_until(at: datetime | None, now: datetime) -> str:
    """How long it is from `now` to `at`, in words."""
    return figures.UNKNOWN if at is None else duration(at - now)


@register.simple_tag(takes_context=True)
def with_query(context: template.Context, **changes: Any) -> str:  # noqa: ANN401 - whatever a template has
    """The query string of this page with some parameters changed; None takes one out. The page starts anew."""
    query = context["request"].GET.copy()
    query.pop("cursor", None)
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = str(value)
    return f"?{query.urlencode()}"


@register.filter
def named(names: Mapping[str, str], key: str) -> str:
    """The name of a key, or the key itself."""
    return names.get(key, key)
