"""The months of the log that are kept in files."""

from datetime import date
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tenants.ids import instant_of, uuid7


class LogArchiveQuerySet(models.QuerySet["LogArchive"]):
    def of(self, id_: UUID) -> Self:
        """The one that took the month of a UUIDv7, which is a log row's or a reservation's."""
        try:
            return self.filter(month=instant_of(id_).date().replace(day=1))
        except OverflowError:  # an id from elsewhere
            return self.none()

    def end(self) -> date | None:
        """The first day that is not archived; None where nothing is."""
        last = self.order_by("-month").values_list("month", flat=True).first()
        return None if last is None else date(last.year + last.month // 12, last.month % 12 + 1, 1)


class LogArchive(models.Model):
    """A month of the log that is kept in files: its rows left the database, and its meters say how much they were."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    month = models.DateField(unique=True)
    rows = models.PositiveBigIntegerField()
    first_id = models.UUIDField(null=True)
    last_id = models.UUIDField(null=True)
    archived_at = models.DateTimeField(db_default=Now())

    objects = LogArchiveQuerySet.as_manager()

    class Meta:
        ordering = ["month"]
        constraints = [
            models.CheckConstraint(
                condition=Q(rows=0, first_id__isnull=True, last_id__isnull=True)
                | Q(rows__gt=0, first_id__isnull=False, last_id__isnull=False),
                name="usage_logarchive_rows_have_ids",
            ),
            models.CheckConstraint(condition=Q(month__day=1), name="usage_logarchive_month_is_its_first_day"),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"
