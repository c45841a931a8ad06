"""What a new tenant's page has of plans: the watch over its first cycle."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldBooleanWidget

from plans import rollouts
from tenants.admin.base import WordedForm
from tenants.admin.tenant import TenantAdmin
from tenants.models import Tenant


class NewTenantForm(WordedForm):
    """A tenant about to be made."""

    first_cycle = forms.BooleanField(
        required=False,
        label="First cycle: watch the daily quota",
        widget=UnfoldBooleanWidget,
        help_text="Until its running month ends, its daily quotas refuse nothing and say what they would have refused; "
        "from then on they bind. Writes two roll-out rules.",
    )


class FirstCycleTenantAdmin(TenantAdmin):
    """Tenants, with the watch over a new one's first cycle."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ANN401 - as in Django
        """The watch is offered to those who may write its rules."""
        found = super().get_fieldsets(request, obj)
        if obj is not None or not _may_watch(request):
            return found
        return [
            (title, {**options, "fields": [*options["fields"], "first_cycle"]} if title == "Enforcement" else options)
            for title, options in found
        ]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: ANN401
        if not change and _may_watch(request):
            kwargs["form"] = NewTenantForm
        return super().get_form(request, obj, change=change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:  # noqa: ANN401
        super().save_model(request, obj, form, change)
        if form.cleaned_data.get("first_cycle"):
            for rule in rollouts.first_cycle(obj, now=datetime.now(UTC)):
                self.log_addition(request, rule, f"{rule}: {rule.reason}")


def _may_watch(request: HttpRequest) -> bool:
    return request.user.has_perm("plans.add_rolloutrule")
