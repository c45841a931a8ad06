"""People."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from tenants.admin.base import Admin, WordedForm
from tenants.admin.unfolded import AdminPasswordChangeForm, UserChangeForm, UserCreationForm, display
from tenants.models import Role, User, UserStatus

_STATUS_COLOURS = {UserStatus.ACTIVE.label: "success", UserStatus.SUSPENDED.label: "danger"}


class PersonAddForm(UserCreationForm, WordedForm):
    """A person with a first password, or without one."""

    class Meta:
        model = User
        fields = ("email", "name", "tenant", "role")

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        # The console is all that a super admin has, and every permission with it.
        self.instance.is_superuser = cleaned.get("role") == Role.SUPER_ADMIN
        return cleaned


class PersonForm(UserChangeForm, WordedForm):  # type: ignore[type-arg]  # generic in the stubs alone
    """A person already there. They stay in their tenant, and a super admin stays one."""

    class Meta:
        model = User
        fields = ("email", "name", "role", "is_shown_all_usage", "status", "password")

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(*args, **kwargs)
        role = self.fields.get("role")
        if isinstance(role, forms.ChoiceField):
            is_super = self.instance.tenant_id is None
            role.choices = [choice for choice in Role.choices if (choice[0] == Role.SUPER_ADMIN) == is_super]

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


@admin.register(User)
class UserAdmin(DjangoUserAdmin, Admin):  # type: ignore[type-arg,misc]  # as Unfold says; arguments named apart
    """Who logs in. Nobody is deleted: what they did would lose its author."""

    form = PersonForm
    add_form = PersonAddForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["email", "name", "tenant", "role", "shown_status", "last_login", "created_at"]
    list_filter = ["role", "status", ("tenant", AutocompleteSelectFilter)]
    list_select_related = ["tenant"]
    search_fields = ["email", "name", "tenant__ati_id"]
    ordering = ["email"]
    date_hierarchy = "created_at"
    filter_horizontal = []
    autocomplete_fields = ["tenant"]
    readonly_fields = ["signup_token", "last_login", "created_at"]
    add_fieldsets = [
        (None, {"fields": ["email", "name"]}),
        (
            "What they may do",
            {
                "fields": ["tenant", "role"],
                "description": "Somebody of a tenant sees that tenant alone. A super admin belongs to none and sees "
                "and changes everything here.",
            },
        ),
        (
            "Password",
            {
                "fields": ["usable_password", "password1", "password2"],
                "description": "Hand it over safely. Without one they cannot log in.",
            },
        ),
    ]  # fmt: skip
    fieldsets = [
        (None, {"fields": ["email", "name", "password"]}),
        (
            "What they may do",
            {
                "fields": ["tenant", "role", "is_shown_all_usage", "status"],
                "description": "A suspended person cannot log in, and their tokens answer 401 at once.",
            },
        ),
        ("History", {"fields": ["signup_token", "last_login", "created_at"]}),
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        return [*self.readonly_fields, "tenant"] if obj else list(self.readonly_fields)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return False

    @display(description="Status", ordering="status", label=_STATUS_COLOURS)
    def shown_status(self, user: User) -> str:
        return UserStatus(user.status).label
