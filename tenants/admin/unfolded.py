"""Unfold, with types: it comes without, and what it builds on has them in Django's stubs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from django.contrib import admin
    from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm, UserChangeForm
    from django.http import HttpRequest

    F = TypeVar("F", bound=Callable[..., Any])
    UserCreationForm = AdminUserCreationForm[Any]

    class ModelAdmin(admin.ModelAdmin[Any]):
        """What Unfold adds to Django's."""

        list_fullwidth: bool
        list_filter_submit: bool
        warn_unsaved_form: bool
        change_form_outer_before_template: str | None
        add_fieldsets: Any
        actions_detail: Sequence[str]
        readonly_preprocess_fields: Mapping[str, Callable[[str], str]]

        def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]: ...  # noqa: ANN401

    class TabularInline(admin.TabularInline[Any, Any]):
        """What Unfold adds to Django's."""

        hide_title: bool
        readonly_preprocess_fields: Mapping[str, Callable[[str], str]]

    def action(*, description: str, permissions: Sequence[str], icon: str) -> Callable[[F], F]:
        """Make a method an action of a list, of a page or of both."""

    def display(
        *, description: str, ordering: str | None = None, label: Mapping[Any, str] | bool | None = None
    ) -> Callable[[F], F]:
        """Make a method a column; with `label` it is a coloured word."""

else:
    from unfold.admin import ModelAdmin, TabularInline
    from unfold.decorators import action, display
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

__all__ = [
    "AdminPasswordChangeForm", "ModelAdmin", "TabularInline", "UserChangeForm", "UserCreationForm", "action", "display",
]  # fmt: skip
