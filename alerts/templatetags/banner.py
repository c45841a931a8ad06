"""What is critical and still holds, on top of each page of a tenant: `{% load banner %}`."""

from typing import Any

from django import template
from django_htmx.middleware import HtmxDetails

from alerts import queries
from alerts.models import Severity
from alerts.pages.listing import told

_SHOWN = 2
register = template.Library()


@register.inclusion_tag("alerts/banner.html", takes_context=True)
def critical_alerts(context: template.Context) -> dict[str, Any]:
    """The latest of them, by one query; none for a part of a page, which is put into one that has them."""
    viewer = context["viewer"]
    if HtmxDetails(context["request"]):
        return {"alerts": []}
    rows = queries.alerts(viewer.sight).open().filter(severity=Severity.CRITICAL).order_by("-id")[: _SHOWN + 1]
    found = told(viewer, rows)
    return {"alerts": found[:_SHOWN], "has_more": len(found) > _SHOWN, "viewer": viewer}
