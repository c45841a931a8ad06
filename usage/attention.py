"""What an operator should look at in the log: few rows, found by an index, counted up to a bound."""

from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import Exists, OuterRef

from usage.models import Certainty, LogStatus, UsageLog
from usage.queries import first_id_at

MOST = 1_000
"""Counted up to here."""
_LOOKED_AT = 5_000
UNSURE = (Certainty.ESTIMATED, Certainty.UNKNOWN)


class Unsure(NamedTuple):
    """Calls whose cost is not the last word: how many, and the models that they named."""

    calls: int
    models: tuple[str, ...]


def unsure_calls(since: datetime) -> Unsure:
    """Calls of all tenants, booked since then, that are estimated or unknown and were not corrected.

    Only the newest of them are looked at, whether corrected or not.
    """
    newest = UsageLog.objects.filter(certainty__in=UNSURE, id__gte=first_id_at(since)).order_by("-id")
    corrected = UsageLog.objects.filter(
        tenant=OuterRef("tenant"), refers_to=OuterRef("id"), certainty__in=[Certainty.FINAL, Certainty.PARTIAL]
    )
    rows = UsageLog.objects.filter(
        ~Exists(corrected), id__in=newest.values("id")[:_LOOKED_AT], id__gte=first_id_at(since),
        status__in=[LogStatus.COMPLETED, LogStatus.FAILED],
    )  # fmt: skip
    named = list(rows.values_list("model", flat=True)[:MOST])
    return Unsure(len(named), tuple(sorted({model for model in named if model is not None})))


def stray_rows() -> int:
    """Rows of the log that no month's partition took: the partition of their month cannot be made any more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT 1 FROM usage_usagelog_default LIMIT %s) AS stray", [MOST])
        return int(cursor.fetchone()[0])
