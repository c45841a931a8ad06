"""What every page of the console has in common.

The database's refusals are said in words on the form, a row that cannot change says why, money and limits look
alike everywhere, and rows are deleted one at a time on a page that says what goes with them.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.utils import unquote
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import DatabaseError, connection
from django.db.models import Field, Model, QuerySet
from django.forms.models import InlineForeignKeyField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold import widgets

from tenants.admin.figures import UNLIMITED, UsdField, budget, limit
from tenants.admin.refusals import SENTENCES, Refusal, refusal_of
from tenants.admin.unfolded import ModelAdmin, TabularInline
from tenants.tokens import TokenError

_REFUSAL = "refusal"
_MAX_NANO_USD = 10**18

if TYPE_CHECKING:

    class _Fields(BaseModelAdmin[Any]):
        def __init__(self, model: Any, admin_site: Any) -> None: ...  # noqa: ANN401

else:
    _Fields = object


class WordedForm(forms.ModelForm[Any]):
    """A form whose broken constraints are said in the words of SENTENCES, at the field they are about.

    Constraints are checked on the whole row, not on the fields of the form alone.
    """

    def _post_clean(self) -> None:
        # Django would check them too, and name the constraint to people.
        self.instance.validate_constraints = lambda exclude=None: None
        try:
            super()._post_clean()  # type: ignore[misc]  # the stubs lack it
        finally:
            del self.instance.validate_constraints
        self.check_constraints()

    def check_constraints(self) -> None:
        """Add an error for each constraint that the row would break."""
        if not (self.has_changed() or self.instance._state.adding):
            return
        # A parent about to be made has no key yet that a constraint could look at.
        unmade = {name for name, field in self.fields.items() if _awaits_parent(field)}
        for constraint in self.instance._meta.constraints:
            try:
                constraint.validate(type(self.instance), self.instance, exclude=unmade | set(self.errors))
            except ValidationError as error:
                refusal = SENTENCES.get(constraint.name)
                if refusal is None:
                    self.add_error(None, error.messages)
                elif refusal.field not in self.errors:
                    self.add_error(refusal.field if refusal.field in self.fields else None, refusal.sentence)


def _awaits_parent(field: forms.Field) -> bool:
    return isinstance(field, InlineForeignKeyField) and field.parent_instance.pk is None


class FigureFields(_Fields):
    """Form fields of money in USD, and a word in the empty field of a limit."""

    readonly_preprocess_fields: Mapping[str, Callable[[str], str]]
    usd_fields: ClassVar[tuple[str, ...]] = ()
    limit_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: Any, admin_site: Any) -> None:  # noqa: ANN401 - a model and a site
        super().__init__(model, admin_site)
        shown = {name: limit if name not in self.usd_fields else budget for name in self.usd_fields + self.limit_fields}
        # Where a page is read-only, Unfold passes the stored number through these.
        self.readonly_preprocess_fields = {name: _reshown(shown[name]) for name in shown}

    def formfield_for_dbfield(
        self,
        db_field: Field[Any, Any],
        request: HttpRequest,
        **kwargs: Any,  # noqa: ANN401
    ) -> forms.Field | None:
        if db_field.name in self.usd_fields:
            ceiling = min(v.limit_value for v in db_field.validators if isinstance(v, MaxValueValidator))
            kwargs |= {
                "form_class": UsdField,
                "widget": widgets.UnfoldAdminDecimalFieldWidget,
                "max_nano_usd": min(ceiling, _MAX_NANO_USD),
            }
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in self.limit_fields:
            field.widget.attrs["placeholder"] = UNLIMITED
        return field


def _reshown(shown: Callable[[int | None], str]) -> Callable[[str], str]:
    def again(text: str) -> str:
        return shown(int(text) if text.isdigit() else None)

    return again


class Admin(FigureFields, ModelAdmin):
    """The pages of one model."""

    form = WordedForm
    list_per_page = 50
    list_fullwidth = True
    list_filter_submit = True
    warn_unsaved_form = True
    change_form_outer_before_template: str | None = "tenants/admin/why_read_only.html"

    class Media:
        css = {"all": ["tenants/console.css"]}

    def why_read_only(self, row: Any) -> str | None:  # noqa: ANN401 - a row of the model
        """Why this row cannot be changed or deleted here; None where it can."""
        return None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return super().has_change_permission(request, obj) and self._is_open(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return super().has_delete_permission(request, obj) and self._is_open(obj)

    def _is_open(self, row: Any) -> bool:  # noqa: ANN401 - None, a row, or Unfold's id of one
        return not isinstance(row, Model) or self.why_read_only(row) is None

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: ANN401
        form = super().get_form(request, obj, change=change, **kwargs)
        refusal: Refusal | None = getattr(request, _REFUSAL, None)
        if refusal is None:
            return form

        sentence, field = refusal

        class RefusedForm(form):  # type: ignore[misc,valid-type]  # a class made by get_form
            def _post_clean(self) -> None:
                super()._post_clean()
                self.add_error(field if field in self.fields else None, sentence)

        return RefusedForm

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - as in Unfold
        """The form once more, with the reason on it, where the database (or a token's rule) refuses it."""
        context = dict(extra_context or {})
        row = self.get_object(request, unquote(object_id)) if object_id else None
        if row is not None:
            context["why_read_only"] = self.why_read_only(row)
        try:
            return super().changeform_view(request, object_id, form_url, context)
        except (DatabaseError, TokenError) as error:
            refusal = refusal_of(error)
            if refusal is None or request.method != "POST":
                raise
            setattr(request, _REFUSAL, refusal)
            return super().changeform_view(request, object_id, form_url, context)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: ANN401
        super().save_related(request, form, formsets, change)
        # Deferred keys speak now, before anybody reads that it was saved.
        connection.check_constraints()

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:  # noqa: ANN401 - as in Django
        """What goes with a row is the models' business: a page that deletes nothing itself is no obstacle."""
        listed, counts, _lacking, protected = super().get_deleted_objects(objs, request)
        return listed, counts, set(), protected

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except DatabaseError as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            messages.error(request, refusal.sentence)
            return self.back_to(object_id)

    def chosen(self, request: HttpRequest, queryset: QuerySet[Any] | None, object_id: str | None) -> QuerySet[Any]:
        """The rows an action is about: those ticked in the list, or the one whose page is open (404: none)."""
        if queryset is not None:
            return queryset
        row = self.get_object(request, unquote(object_id or ""))
        if row is None:
            raise Http404
        return self.get_queryset(request).filter(pk=row.pk)

    def back_to(self, object_id: str | UUID | None) -> HttpResponseRedirect:
        """To the page of a row, or to the list."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        if object_id is None:
            return HttpResponseRedirect(reverse(f"{name}_changelist"))
        return HttpResponseRedirect(reverse(f"{name}_change", args=[object_id]))


class ReadOnlyAdmin(Admin):
    """Pages to look at; nothing can be added, changed or deleted."""

    change_form_outer_before_template: str | None = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return False


class Inline(FigureFields, TabularInline):
    """Rows of a child on its parent's page."""

    form = WordedForm
    extra = 0
    hide_title = True
    show_change_link = False
