"""Reservations."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter

from plans.charges import PeriodKind
from tenants.admin.figures import column, text, usd
from tenants.admin.unfolded import display as labelled
from usage.admin.base import LedgerAdmin, WhenFilter, amount, as_uuid, link, measured, table, why_link
from usage.models import ReservationStatus, UsageMeter, UsageReservation

_COLOURS = {
    ReservationStatus.OPEN.label: "info", ReservationStatus.COMMITTED.label: "success",
    ReservationStatus.RELEASED.label: "default", ReservationStatus.EXPIRED.label: "warning",
}  # fmt: skip
_HELD = column("held_cost", "Held (USD)", usd)
_BOOKED = column("cost", "Booked (USD)", usd)


@admin.register(UsageReservation)
class UsageReservationAdmin(LedgerAdmin):
    """What operations were promised, and what became of it."""

    list_display = [
        "id", "tenant", text("task_id", "Task"), "shown_status", text("model_class_id", "Class"),
        _HELD, _BOOKED, "expires_at", "ended_at",
    ]  # fmt: skip
    list_filter = [
        ("tenant", AutocompleteSelectFilter), WhenFilter, "status", ("feature", RelatedDropdownFilter),
        ("task", RelatedDropdownFilter), ("model_class", RelatedDropdownFilter),
    ]  # fmt: skip
    list_select_related = ["tenant"]
    search_fields = ["idempotency_key"]
    search_help_text = "Reservation id, or exact idempotency key, user key or correlation id"
    fieldsets = [
        (
            None,
            {
                "fields": ["id", "tenant", "user_key", "feature", "task", "model_class", "plan", "status", "why"],
                "description": "Nothing here can be edited: services commit and release, the keeper lets holds expire.",
            },
        ),
        (
            "Holds",
            {
                "fields": ["held", _HELD, _BOOKED],
                "description": "What it holds on each meter, and what the log booked of it.",
            },
        ),
        ("Time", {"fields": ["expires_at", "ended_at", "attempt"]}),
        ("Caller", {"fields": ["idempotency_key", "correlation_id", "metadata"]}),
        ("Asked and answered", {"fields": ["ask", "decision", "result"]}),
    ]  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(idempotency_key=term) | Q(user_key=term) | Q(correlation_id=term)
        reservation = as_uuid(term)
        return queryset.filter(found | Q(pk=reservation) if reservation else found), False

    @labelled(description="Status", ordering="status", label=_COLOURS)
    def shown_status(self, reservation: UsageReservation) -> str:
        return ReservationStatus(reservation.status).label

    @display(description="Meters")
    def held(self, reservation: UsageReservation) -> SafeString:
        lines = zip(
            reservation.meters, reservation.measures, reservation.periods, reservation.amounts, reservation.booked,
            strict=True,
        )  # fmt: skip
        return table(
            ["Meter", "Promised", "Booked"],
            [
                [
                    link(UsageMeter, meter, f"{measured(measure)}, {PeriodKind(period).label.lower()}"),
                    amount(measure, promised),
                    amount(measure, booked),
                ]
                for meter, measure, period, promised, booked in lines
            ],
        )

    @display(description="Why")
    def why(self, reservation: UsageReservation) -> SafeString:
        return why_link(reservation, reservation.id)
