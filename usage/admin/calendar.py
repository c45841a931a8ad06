"""A tenant's calendar on its page: changed here, where the end of its running month is known."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from plans import calendars
from plans.admin.tenant import FirstCycleTenantAdmin
from tenants.admin.asking import Question, ask
from tenants.admin.unfolded import action
from tenants.models import Tenant


class CalendarForm(forms.Form):
    """The calendar from the change on."""

    timezone = forms.CharField(
        widget=UnfoldAdminTextInputWidget, help_text="Such as Europe/Berlin: days and months begin at midnight there."
    )
    anchor_day = forms.IntegerField(
        min_value=1,
        max_value=31,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="The day its month begins; in a shorter month the last day.",
    )

    def clean_timezone(self) -> str:
        zone = str(self.cleaned_data["timezone"])
        Tenant._meta.get_field("timezone").run_validators(zone)
        return zone


class CalendarTenantAdmin(FirstCycleTenantAdmin):
    """Tenants, with the change of their calendar."""

    actions_detail = [*FirstCycleTenantAdmin.actions_detail, "change_calendar"]

    @action(description="Change calendar", permissions=["change"], icon="calendar_month")
    def change_calendar(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chosen = self.chosen(request, None, object_id)
        tenant: Tenant = chosen.get()
        question = Question(
            deed="Change the calendar of {}",
            consequence=f"{tenant} has {tenant.timezone} with months from day {tenant.billing_anchor_day}. The change "
            "takes effect at the end of the running month, in place of one still to come.",
            is_destructive=False,
        )
        answer = ask(self, request, chosen, question, CalendarForm)
        if isinstance(answer, HttpResponse):
            return answer
        asked: dict[str, Any] = answer.cleaned_data
        at = calendars.change_calendar(
            tenant, timezone=asked["timezone"], anchor_day=asked["anchor_day"], now=datetime.now(UTC)
        )
        change = f"{asked['timezone']}, months from day {asked['anchor_day']}, from {at:%d %b %Y %H:%M} UTC"
        self.log_change(request, tenant, f"Calendar: {change}.")
        messages.success(request, f"{tenant}: {change}.")
        return self.back_to(object_id)


admin.site.unregister(Tenant)
admin.site.register(Tenant, CalendarTenantAdmin)
