"""What is asked when an ATI token is issued, renewed or put on another plan."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import ForeignKey, QuerySet
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSplitDateTimeWidget

from tenants import tokens
from tenants.admin.base import WordedForm
from tenants.models import ATIToken

if TYPE_CHECKING:
    from plans.models import Plan


def active_plans() -> "QuerySet[Plan]":
    """The plans that a root token may be put on."""
    field = ATIToken._meta.get_field("plan")
    assert isinstance(field, ForeignKey)  # noqa: S101 - for the type checker
    plan: type[Plan] = field.remote_field.model  # type: ignore[assignment]  # named by a string
    return plan._default_manager.filter(status="ACTIVE")


class IssueForm(WordedForm):
    """What a new token is for. Without a person it is an invitation; a tenant's first carries the plan."""

    class Meta:
        model = ATIToken
        fields = (
            "tenant", "user", "name", "expires_at", "max_uses", "plan", "plan_starts_at", "plan_ends_at",
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        tenant, user = cleaned.get("tenant"), cleaned.get("user")
        if tenant is None:
            return cleaned
        if user is not None and user.tenant_id != tenant.pk:
            self.add_error("user", f"{user} is not one of {tenant}'s people.")
        if tenant.root_token_id is None:
            if cleaned.get("plan") is None and "plan" not in self.errors:
                self.add_error("plan", f"{tenant} has no root token yet. This will be it: choose its plan.")
            if user is not None:
                self.add_error("user", "A tenant's first token is its root token, which is an invitation.")
        elif any(cleaned.get(name) for name in ("plan", "plan_starts_at", "plan_ends_at")):
            self.add_error(
                "plan", f"{tenant} has its root token, which carries the plan. Leave this empty, or change it there."
            )
        if user is not None and cleaned.get("max_uses") is not None:
            self.add_error("max_uses", "Only an invitation counts its uses.")
        return cleaned

    def check_constraints(self) -> None:
        """The row is made when it is issued; `clean` says the same in words."""

    def issue(self, now: datetime) -> tokens.Issued[ATIToken]:
        """Issue what the valid form asks for."""
        asked = self.cleaned_data
        if asked["user"] is not None:
            return tokens.issue_for_user(asked["user"], name=asked["name"], expires_at=asked["expires_at"])
        if asked["plan"] is not None:
            return tokens.issue_root(
                asked["tenant"], asked["plan"], starts_at=asked["plan_starts_at"] or now,
                ends_at=asked["plan_ends_at"], expires_at=asked["expires_at"], max_uses=asked["max_uses"],
            )  # fmt: skip
        return tokens.issue_invitation(
            asked["tenant"], name=asked["name"], expires_at=asked["expires_at"], max_uses=asked["max_uses"]
        )


class RenewForm(forms.Form):
    """When the renewed token expires."""

    expires_at = forms.SplitDateTimeField(
        label="Expires at (UTC)",
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="Empty = never.",
    )


class PlanForm(forms.Form):
    """Another plan, and from when."""

    plan = forms.ModelChoiceField(ATIToken.objects.none(), widget=UnfoldAdminSelectWidget, empty_label="Choose")
    at = forms.SplitDateTimeField(
        label="From (UTC)",
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="Empty = at once.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(*args, **kwargs)
        self.fields["plan"].queryset = active_plans()  # type: ignore[attr-defined]  # it is a ModelChoiceField
