"""Service keys: issued and rotated here with their secret shown once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter, display
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminIntegerFieldWidget

from tenants import tokens
from tenants.admin.asking import Question, ask, show_secret
from tenants.admin.base import Admin, WordedForm
from tenants.admin.figures import column
from tenants.admin.token import public_part
from tenants.admin.unfolded import action
from tenants.admin.unfolded import display as labelled
from tenants.models import Scope, ServiceKey

_ISSUED = "issued"
_WHAT_NEXT = "The service sends it as “Authorization: Bearer …”. Put it into the service's secret store."
_COLOURS = {"Works": "success", "Ends": "warning", "Revoked": "danger", "Expired": "danger"}


class KeyForm(WordedForm):
    """What a key may do and how often."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What the key may do; give only what is needed.",
    )

    class Meta:
        model = ServiceKey
        fields = ("name", "scopes", "tenant", "calls_per_second", "expires_at")

    def check_constraints(self) -> None:
        """The fields say all that the row's constraints say."""

    def issue(self) -> tokens.Issued[ServiceKey]:
        """Issue what the valid form asks for."""
        asked = self.cleaned_data
        return tokens.issue_key(
            asked["name"], [Scope(scope) for scope in asked["scopes"]], tenant=asked["tenant"],
            calls_per_second=asked["calls_per_second"], expires_at=asked["expires_at"],
        )  # fmt: skip


class GraceForm(forms.Form):
    """How long the old key works beside the new one."""

    grace_hours = forms.IntegerField(
        label="Grace (hours)",
        min_value=0,
        max_value=90 * 24,
        initial=24,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="So long both keys work; 0 = the old one stops at once.",
    )


class StateFilter(SimpleListFilter):
    """Keys that authenticate now, or no longer."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [("usable", "Works"), ("over", "Revoked or expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ServiceKey]) -> QuerySet[ServiceKey]:
        now = datetime.now(UTC)
        over = Q(revoked_at__lte=now) | Q(expires_at__lte=now)
        if self.value() == "usable":
            return queryset.exclude(over)
        return queryset.filter(over) if self.value() == "over" else queryset


@admin.register(ServiceKey)
class ServiceKeyAdmin(Admin):
    """The credentials of services."""

    form = KeyForm
    list_display = [
        "name", "__str__", "shown_state", "shown_scopes", "tenant", column("calls_per_second", "Calls/s"),
        "last_used_on", "until",
    ]  # fmt: skip
    list_filter = [StateFilter, ("tenant", AutocompleteSelectFilter)]
    list_select_related = ["tenant"]
    search_fields = ["name", "prefix", "tenant__ati_id"]
    search_help_text = "Name, public part of the key, or tenant"
    date_hierarchy = "created_at"
    autocomplete_fields = ["tenant"]
    actions = ["revoke"]
    actions_detail = ["rotate", "revoke"]
    readonly_fields = ["shown_state", "revoked_at", "replaces", "last_used_on", "created_at"]
    add_fieldsets = [
        (None, {"fields": ["name", "tenant"]}),
        ("What it may do", {"fields": ["scopes", "calls_per_second", "expires_at"]}),
    ]  # fmt: skip
    fieldsets = [
        (None, {"fields": ["name", "tenant", "shown_state"]}),
        (
            "What it may do",
            {"fields": ["scopes", "calls_per_second", "expires_at"], "description": "Binds with the next request."},
        ),
        ("History", {"fields": ["replaces", "revoked_at", "last_used_on", "created_at"]}),
    ]  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return super().get_search_results(request, queryset, public_part(search_term))

    def get_readonly_fields(self, request: HttpRequest, obj: ServiceKey | None = None) -> list[str]:
        # A key keeps its tenant: another one would let a service read what it was not given for.
        return [*self.readonly_fields, "tenant"] if obj else list(self.readonly_fields)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return False

    @labelled(description="State", label=_COLOURS)
    def shown_state(self, key: ServiceKey) -> str:
        now = datetime.now(UTC)
        if key.revoked_at is not None:
            return "Revoked" if key.revoked_at <= now else "Ends"
        return "Expired" if key.expires_at is not None and key.expires_at <= now else "Works"

    @display(description="Until", empty_value="–")
    def until(self, key: ServiceKey) -> datetime | None:
        return min((at for at in (key.revoked_at, key.expires_at) if at is not None), default=None)

    @display(description="Scopes")
    def shown_scopes(self, key: ServiceKey) -> str:
        return ", ".join(key.scopes)

    def save_model(self, request: HttpRequest, obj: ServiceKey, form: Any, change: bool) -> None:  # noqa: ANN401
        if change:
            obj.save(update_fields=[name for name in form.changed_data if name in form.fields])
            return
        issued = form.issue()
        vars(obj).update(vars(issued.record))
        setattr(request, _ISSUED, issued)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With one button: the page that follows shows the secret."""
        one_button = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **one_button})

    def response_add(self, request: HttpRequest, obj: ServiceKey, post_url_continue: str | None = None) -> HttpResponse:
        return show_secret(self, request, getattr(request, _ISSUED), _WHAT_NEXT)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:  # noqa: ANN401 - as in Unfold
        key = self.get_object(request, str(object_id))
        if key is None or (key.revoked_at is not None and key.revoked_at <= datetime.now(UTC)):
            return []
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return offered

    @action(description="Revoke", permissions=["change"], icon="block")
    def revoke(
        self, request: HttpRequest, queryset: QuerySet[ServiceKey] | None = None, object_id: str | None = None
    ) -> HttpResponse | None:
        chosen = self.chosen(request, queryset, object_id)
        question = Question(
            deed="Revoke {}", consequence="The services that use it get 401 from the next request on, for good."
        )
        answer = ask(self, request, chosen, question)
        if isinstance(answer, HttpResponse):
            return answer
        now = datetime.now(UTC)
        keys = list(chosen)
        for key in keys:
            tokens.revoke_key(key, now=now)
            self.log_change(request, key, "Revoked.")
        messages.success(request, f"{len(keys):,} {'is' if len(keys) == 1 else 'are'} revoked now.")
        return self.back_to(object_id)

    @action(description="Rotate", permissions=["change"], icon="autorenew")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chosen = self.chosen(request, None, object_id)
        key = chosen.get()
        question = Question(
            deed="Rotate {}",
            consequence="A new key like this one is issued; this one works on until its grace is over.",
            is_destructive=False,
        )
        answer = ask(self, request, chosen, question, GraceForm)
        if isinstance(answer, HttpResponse):
            return answer
        grace = timedelta(hours=answer.cleaned_data["grace_hours"])
        try:
            issued = tokens.rotate_key(key, now=datetime.now(UTC), grace=grace)
        except tokens.TokenError as refusal:
            messages.error(request, str(refusal))
            return self.back_to(object_id)
        self.log_change(request, key, f"Rotated: {issued.record} takes its place.")
        self.log_addition(request, issued.record, f"Rotated from {key}.")
        return show_secret(self, request, issued, _WHAT_NEXT)
