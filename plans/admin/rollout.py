"""Roll-out rules: from when gates bind. What has begun stays on record; it can be ended."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import display
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.widgets import UnfoldAdminTextInputWidget

from plans import rollouts
from plans.admin.vocabulary import MODE_COLOURS
from plans.models import RolloutRule
from tenants.admin.asking import Question, ask
from tenants.admin.base import Admin, WordedForm
from tenants.admin.unfolded import action
from tenants.admin.unfolded import display as labelled

_PAST = timedelta(hours=1)


class RolloutForm(WordedForm):
    """From when a gate is watched or binds."""

    class Meta:
        model = RolloutRule
        fields = ("tenant", "gate", "mode", "starts_at", "reason")
        labels = {"starts_at": "From (UTC)"}

    def clean_starts_at(self) -> datetime:
        at: datetime = self.cleaned_data["starts_at"]
        if at < datetime.now(UTC) - _PAST:
            raise forms.ValidationError("That has passed: what was decided since was not decided by it. Enter now.")
        return at


class EndForm(forms.Form):
    """Why a rule is ended."""

    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, label="Why")


@admin.register(RolloutRule)
class RolloutRuleAdmin(Admin):
    """From when gates are watched or bind. Without a row, a gate binds."""

    form = RolloutForm
    list_display = ["gate", "shown_mode", "subject", "starts_at", "ends_at", "reason"]
    list_filter = ["gate", "mode", ("tenant", AutocompleteSelectFilter)]
    list_select_related = ["tenant"]
    list_before_template = "plans/admin/rollout_hint.html"
    search_fields = ["gate", "reason", "tenant__ati_id", "tenant__name"]
    date_hierarchy = "starts_at"
    autocomplete_fields = ["tenant"]
    readonly_fields = ["ends_at"]
    actions_detail = ["end"]
    fieldsets = [
        (
            None,
            {
                "fields": ["tenant", "gate", "mode"],
                "description": "A tenant's own row beats everybody's, and the latest start that has passed beats "
                "earlier ones. “Off” for all gates and everybody is the kill switch: nothing is checked or recorded.",
            },
        ),
        ("When and why", {"fields": ["starts_at", "ends_at", "reason"]}),
    ]  # fmt: skip

    def why_read_only(self, row: RolloutRule) -> str | None:
        if row.starts_at > datetime.now(UTC):
            return None
        if row.ends_at is not None:
            return "It has begun and was ended: it stays on record, so that it can be told what bound when."
        return (
            "It has begun and stays on record, so that it can be told what bound when. Add a rule that takes its "
            "place, or end it."
        )

    def has_end_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whoever may write the rule that takes its place."""
        return self.has_add_permission(request)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:  # noqa: ANN401 - as in Unfold
        rule = self.get_object(request, str(object_id))
        is_running = rule is not None and rule.starts_at <= datetime.now(UTC) and rule.ends_at is None
        return super().get_actions_detail(request, object_id) if is_running else []

    def log_addition(self, request: HttpRequest, obj: RolloutRule, message: Any) -> Any:  # noqa: ANN401 - as in Django
        """Who, when, and why."""
        return super().log_addition(request, obj, f"{obj}: {obj.reason or 'no reason given'}")

    @display(description="For", empty_value="everybody", ordering="tenant__ati_id")
    def subject(self, rule: RolloutRule) -> str | None:
        return str(rule.tenant) if rule.tenant else None

    @labelled(description="Mode", ordering="mode", label=MODE_COLOURS)
    def shown_mode(self, rule: RolloutRule) -> str:
        return rule.mode.capitalize()

    @action(description="End", permissions=["end"], icon="event_busy")
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = Question(
            deed="End {}",
            consequence="From the next request on it is as if it were not there: an earlier rule, everybody's rule or "
            "enforcement takes its place. It stays on record.",
        )
        answer = ask(self, request, self.chosen(request, None, object_id), question, EndForm)
        if isinstance(answer, HttpResponse):
            return answer
        rule = RolloutRule.objects.get(pk=object_id)
        try:
            with transaction.atomic():
                rollouts.end(rule, at=datetime.now(UTC))
                self.log_change(request, rule, f"Ended: {answer.cleaned_data['reason']}")
        except rollouts.Ended as ended:
            messages.error(request, str(ended))
        else:
            messages.success(request, f"{rule} is ended.")
        return self.back_to(object_id)
