"""Messages, and whether they arrived."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter, display
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from alerts import deliveries
from alerts.models import ChannelKind, Delivery, DeliveryState
from tenants.admin.asking import Question, ask
from tenants.admin.unfolded import action
from tenants.admin.unfolded import display as labelled
from tenants.words import counted
from usage.admin.base import LedgerAdmin, WhenFilter

_COLOURS = {
    DeliveryState.SENT.label: "success", DeliveryState.FAILED.label: "warning", DeliveryState.DEAD.label: "danger",
    DeliveryState.SENDING.label: "info",
}  # fmt: skip


class KindFilter(SimpleListFilter):
    """Messages by the way that they go."""

    title = "how"
    parameter_name = "how"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [(kind.value, kind.label) for kind in ChannelKind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        return queryset if self.value() is None else queryset.filter(channel__kind=self.value())


@admin.register(Delivery)
class DeliveryAdmin(LedgerAdmin):
    """Each message to each channel, and how far it is."""

    list_display = [
        "created_at", "channel", "told", "what", "shown_state", "attempts", "next_attempt_at", "sent_at", "last_error",
    ]  # fmt: skip
    list_filter = [("tenant", AutocompleteSelectFilter), WhenFilter, "state", KindFilter]
    list_select_related = ["channel", "alert", "tenant"]
    search_fields = ["channel__name"]
    actions = ["resend"]
    actions_detail = ["resend"]

    def has_resend_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Nothing else of a message can be changed."""
        return request.user.has_perm("alerts.change_delivery")

    @display(description="Told to", ordering="tenant__ati_id")
    def told(self, delivery: Delivery) -> str:
        return str(delivery.tenant) if delivery.tenant else "super admins"

    @labelled(description="State", ordering="state", label=_COLOURS)
    def shown_state(self, delivery: Delivery) -> str:
        return str(delivery.get_state_display())

    @display(description="About")
    def what(self, delivery: Delivery) -> str:
        return str(delivery.alert.get_kind_display() if delivery.alert else delivery.event)

    @action(description="Send again", permissions=["resend"], icon="send")
    def resend(
        self, request: HttpRequest, queryset: QuerySet[Delivery] | None = None, object_id: str | None = None
    ) -> HttpResponse | None:
        chosen = self.chosen(request, queryset, object_id)
        question = Question(
            deed="Send {} again",
            consequence="It goes out within a second under the id that it has, by which a receiver can tell that it "
            "had it before. What is being sent right now is left alone.",
            is_destructive=False,
        )
        answer = ask(self, request, chosen, question)
        if isinstance(answer, HttpResponse):
            return answer
        count = deliveries.resend(Delivery.objects.filter(pk__in=[each.pk for each in chosen]), datetime.now(UTC))
        messages.success(request, f"{counted(count, 'message')} will be sent again.")
        return self.back_to(object_id)
