"""ATI tokens: issued here with their secret shown once."""

import re
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter, display
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from tenants import tokens
from tenants.admin.asking import Question, ask, show_secret
from tenants.admin.base import Admin
from tenants.admin.figures import number
from tenants.admin.token_forms import IssueForm, PlanForm, RenewForm, active_plans
from tenants.admin.unfolded import action
from tenants.admin.unfolded import display as labelled
from tenants.models import ATIToken, TokenStatus

_STATE_COLOURS = {
    "Active": "success", "Issued": "info", "Suspended": "warning", "Used up": "warning",
    "Expired": "danger", "Revoked": "danger",
}  # fmt: skip
_PASTED = re.compile(r"(?:ati_|mk_)([0-9a-f]{16})(?:_.*)?")
_ISSUED = "issued"


def public_part(search_term: str) -> str:
    """What of a pasted credential may be searched for: the public part, never the secret behind it."""
    pasted = _PASTED.fullmatch(search_term.strip())
    return pasted[1] if pasted else search_term


class KindFilter(SimpleListFilter):
    """Root tokens, invitations, or the credentials of people."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        return [("root", "Root"), ("invitation", "Invitation"), ("user", "Of a user")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ATIToken]) -> QuerySet[ATIToken]:
        if self.value() == "root":
            return queryset.filter(id=F("root"))
        if self.value() == "invitation":
            return queryset.filter(user=None).exclude(id=F("root"))
        return queryset.filter(user__isnull=False) if self.value() == "user" else queryset


@admin.register(ATIToken)
class ATITokenAdmin(Admin):
    """A tenant's root token with its plan, its invitations, and the credentials of its people."""

    list_display = [
        "__str__", "tenant", "kind", "state", "plan_code", "uses_figure", "expires_at",
    ]  # fmt: skip
    list_filter = [KindFilter, "status", ("tenant", AutocompleteSelectFilter)]
    search_fields = ["fingerprint", "name", "tenant__ati_id", "tenant__name", "user__email"]
    search_help_text = "Fingerprint, name, tenant or e-mail"
    date_hierarchy = "created_at"
    autocomplete_fields = ["tenant", "user"]
    limit_fields = ("max_uses",)
    actions = ["suspend", "revive", "revoke"]
    actions_detail = ["renew", "change_plan", "suspend", "revive", "revoke"]
    readonly_fields = [
        "tenant", "user", "kind", "state", "plan_code", "plan", "plan_starts_at", "next_plan", "next_plan_at",
        "usage_count", "created_at",
    ]  # fmt: skip
    add_fieldsets = [
        (
            "For whom",
            {
                "fields": ["tenant", "user", "name"],
                "description": "With a person it authenticates that person's calls. Without one it is an invitation "
                "to sign up. A tenant's first token is its root token: whoever signs up with it first is the OWNER.",
            },
        ),
        ("How long", {"fields": ["expires_at", "max_uses"]}),
        (
            "Plan",
            {
                "fields": ["plan", "plan_starts_at", "plan_ends_at"],
                "description": "For a root token only; every other token of the tenant inherits it. Without a start "
                "it begins at once.",
            },
        ),
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ATIToken]:
        found: QuerySet[ATIToken] = super().get_queryset(request)
        return found.select_related("tenant", "user", "root__plan", "root__next_plan", "plan", "next_plan")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return super().get_search_results(request, queryset, public_part(search_term))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: ANN401
        return super().get_form(request, obj, change, **({} if obj else {"form": IssueForm}) | kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: ATIToken | None = None) -> list[str]:
        return list(self.readonly_fields) if obj else []

    def get_fieldsets(self, request: HttpRequest, obj: ATIToken | None = None) -> list[Any]:
        if obj is None:
            return self.add_fieldsets
        whose = ["tenant", "kind", "name", "state", "created_at"]
        if obj.user_id is not None:
            return [
                (None, {"fields": [*whose, "user"]}),
                ("How long", {"fields": ["expires_at"]}),
                ("Plan", {"fields": ["plan_code"], "description": "Inherited from the tenant's root token."}),
            ]
        uses = ["expires_at", "max_uses", "usage_count"]
        how_long = "An expired or used-up invitation signs nobody up; it never locks out those who joined."
        if not obj.is_root:
            return [
                (None, {"fields": whose}),
                ("How long", {"fields": uses, "description": how_long}),
                ("Plan", {"fields": ["plan_code"], "description": "Inherited from the tenant's root token."}),
            ]
        return [
            (None, {"fields": whose}),
            ("How long", {"fields": uses, "description": how_long}),
            (
                "Plan",
                {
                    "fields": ["plan", "plan_starts_at", "next_plan", "next_plan_at", "plan_ends_at"],
                    "description": "The plan of the whole tenant. “Change plan” puts it on another, now or later; at "
                    "the end, whichever is then in force ends.",
                },
            ),
        ]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:  # noqa: ANN401
        if db_field.name == "plan":
            kwargs["queryset"] = active_plans()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return False

    @display(description="Kind, or whose")
    def kind(self, token: ATIToken) -> str:
        if token.is_root:
            return "Root"
        if token.user is not None:
            return str(token.user)
        return f"Invitation · {token.name}" if token.name else "Invitation"

    @labelled(description="State", ordering="status", label=_STATE_COLOURS)
    def state(self, token: ATIToken) -> str:
        return token.state(datetime.now(UTC)).replace("_", " ").capitalize()

    @display(description="Sign-ups", ordering="usage_count", empty_value="–")
    def uses_figure(self, token: ATIToken) -> str | None:
        if token.user_id is not None:
            return None
        return number(token.usage_count) + (f" of {number(token.max_uses)}" if token.max_uses is not None else "")

    @display(description="Plan", empty_value="none in force")
    def plan_code(self, token: ATIToken) -> str | None:
        return token.plan_tier(datetime.now(UTC))

    def save_model(self, request: HttpRequest, obj: ATIToken, form: Any, change: bool) -> None:  # noqa: ANN401
        if change:
            obj.save(update_fields=[name for name in form.changed_data if name in form.fields])
            return
        issued = form.issue(datetime.now(UTC))
        vars(obj).update(vars(issued.record))
        setattr(request, _ISSUED, issued)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With one button: the page that follows shows the secret."""
        one_button = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **one_button})

    def response_add(self, request: HttpRequest, obj: ATIToken, post_url_continue: str | None = None) -> HttpResponse:
        issued: tokens.Issued[ATIToken] = getattr(request, _ISSUED)
        return show_secret(self, request, issued, _what_next(issued.record))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:  # noqa: ANN401 - as in Unfold
        token = self.get_object(request, str(object_id))
        if token is None:
            return []
        hidden = set() if token.is_root else {"change_plan"}
        hidden |= {"suspend"} if token.status == TokenStatus.SUSPENDED else {"revive"}
        if token.status == TokenStatus.REVOKED:
            hidden |= {"renew", "suspend", "revive", "revoke"}
        names = {f"tenants_atitoken_{name}" for name in hidden}
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return [one for one in offered if one.action_name not in names]

    @action(description="Suspend", permissions=["change"], icon="pause")
    def suspend(
        self, request: HttpRequest, queryset: QuerySet[ATIToken] | None = None, object_id: str | None = None
    ) -> HttpResponse | None:
        question = Question(
            deed="Suspend {}",
            consequence="It signs nobody up and its calls answer 401 from the next request on, until it is activated. "
            "Those who joined with it keep working.",
        )
        return self._set_status(request, queryset, object_id, TokenStatus.SUSPENDED, question)

    @action(description="Activate", permissions=["change"], icon="play_arrow")
    def revive(
        self, request: HttpRequest, queryset: QuerySet[ATIToken] | None = None, object_id: str | None = None
    ) -> HttpResponse | None:
        question = Question(
            deed="Activate {}", consequence="It works again, until it expires or is used up.", is_destructive=False
        )
        return self._set_status(request, queryset, object_id, TokenStatus.ACTIVE, question)

    @action(description="Revoke", permissions=["change"], icon="block")
    def revoke(
        self, request: HttpRequest, queryset: QuerySet[ATIToken] | None = None, object_id: str | None = None
    ) -> HttpResponse | None:
        question = Question(
            deed="Revoke {}",
            consequence="It stops working with the next request, for good. Those who joined with it keep working, and "
            "a root token's plan stays in force.",
        )
        return self._set_status(request, queryset, object_id, TokenStatus.REVOKED, question)

    def _set_status(
        self,
        request: HttpRequest,
        queryset: QuerySet[ATIToken] | None,
        object_id: str | None,
        status: TokenStatus,
        question: Question,
    ) -> HttpResponse | None:
        chosen = self.chosen(request, queryset, object_id)
        answer = ask(self, request, chosen, question)
        if isinstance(answer, HttpResponse):
            return answer
        done = 0
        for token in chosen:
            try:
                tokens.set_status(token, status)
            except tokens.TokenError as refusal:
                messages.error(request, f"{token}: {refusal}")
            else:
                self.log_change(request, token, f"{status.label}.")
                done += 1
        if done:
            messages.success(request, f"{done:,} {'is' if done == 1 else 'are'} {status.label.lower()} now.")
        return self.back_to(object_id)

    @action(description="Renew", permissions=["change"], icon="autorenew")
    def renew(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chosen = self.chosen(request, None, object_id)
        question = Question(
            deed="Renew {}", consequence="A new secret takes the place of the present one, which stops working at once."
        )
        answer = ask(self, request, chosen, question, RenewForm)
        if isinstance(answer, HttpResponse):
            return answer
        issued = tokens.renew(chosen.get(), expires_at=answer.cleaned_data["expires_at"])
        self.log_change(request, issued.record, "Renewed.")
        return show_secret(self, request, issued, _what_next(issued.record))

    @action(description="Change plan", permissions=["change"], icon="swap_horiz")
    def change_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chosen = self.chosen(request, None, object_id)
        root = chosen.get()
        question = Question(
            deed=f"Change the plan of {root.tenant}",
            consequence=f"{root.tenant} is on {root.plan}. All its people and tokens follow the root token, from the "
            "instant you give.",
            is_destructive=False,
        )
        answer = ask(self, request, chosen, question, PlanForm)
        if isinstance(answer, HttpResponse):
            return answer
        plan, at = answer.cleaned_data["plan"], answer.cleaned_data["at"]
        try:
            tokens.change_plan(root, plan, now=datetime.now(UTC), at=at)
        except tokens.TokenError as refusal:
            messages.error(request, str(refusal))
        else:
            self.log_change(request, root, f"Plan {plan}{f' from {at:%Y-%m-%d %H:%M} UTC' if at else ''}.")
            messages.success(request, f"{root.tenant} is on {plan} {f'from {at:%d %b %Y %H:%M} UTC' if at else 'now'}.")
        return self.back_to(object_id)


def _what_next(token: ATIToken) -> str:
    if token.user is not None:
        return f"It authenticates the calls of {token.user}: Authorization: Bearer …"
    if token.is_root:
        return f"Send it to {token.tenant}: whoever signs up with it first is the OWNER. It authenticates no call."
    return f"Send it to those who shall sign up to {token.tenant}. It authenticates no call."
