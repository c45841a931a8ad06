"""The limits of each user that the tenant's admins set."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.validators import ProhibitNullCharactersValidator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from plans import entitlements, user_limits
from plans.models import MAX_LIMIT, Feature, RuleKey, Unit
from plans.user_limits import UserLimit
from usage import standings
from usage.pages.cards import UNITS
from usage.pages.viewer import TenantPage, Viewer

_PERIODS = {RuleKey.USER_DAILY_QUOTA: "a day", RuleKey.USER_MONTHLY_QUOTA: "a period"}


def _unit(feature: Feature | None) -> str:
    return UNITS[Unit(feature.unit)] if feature else ""


class _FeatureField(forms.ModelChoiceField[Feature]):
    def label_from_instance(self, obj: Feature) -> str:
        return f"{obj.name}, in {_unit(obj)}"


class LimitForm(forms.Form):
    """A limit of one user, or of each."""

    user_key = forms.CharField(
        label="User", max_length=128, required=False, strip=False, validators=[ProhibitNullCharactersValidator()],
        help_text="As your services name them; of a person here, the id on their page. Empty for each user.",
    )  # fmt: skip
    feature = _FeatureField(Feature.objects.none(), empty_label=None)
    key = forms.ChoiceField(label="Over", choices=[(key.value, said) for key, said in _PERIODS.items()])
    value = forms.IntegerField(label="At most", min_value=0, max_value=MAX_LIMIT, help_text="0 lets nothing through.")

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(*args, **kwargs)
        entitled = entitlements.of(viewer.tenant.id, viewer.now)
        codes = {task.feature for task in standings.tasks_of(entitled)}
        feature = self.fields["feature"]
        assert isinstance(feature, _FeatureField)  # noqa: S101 - declared above
        feature.queryset = Feature.objects.filter(code__in=codes).order_by("name")


class LimitsPage(TenantPage):
    """The limits, and a form for another one."""

    page = "people"
    is_for_managers = True

    def get(self, request: HttpRequest) -> HttpResponse:
        user = request.GET.get("user", "").replace("\x00", "")
        return self._page(LimitForm(self.viewer, initial={"user_key": user}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = LimitForm(self.viewer, request.POST)
        if not form.is_valid():
            return self._page(form, status=422)
        given = form.cleaned_data
        limit = UserLimit(
            user_key=given["user_key"] or None, feature=given["feature"], key=RuleKey(given["key"]),
            value=given["value"],
        )  # fmt: skip
        user_limits.put(self.viewer.tenant, limit, by=self.viewer.user)
        messages.success(request, "The limit binds from the next call on.")
        return redirect("pages:limits", self.viewer.tenant.ati_id)

    def _page(self, form: LimitForm, status: int = 200) -> HttpResponse:
        rules = list(user_limits.of(self.viewer.tenant))
        names = self.viewer.names(rule.user_key for rule in rules if rule.user_key)
        return self.show(
            "usage/limits.html",
            status=status,
            form=form,
            limits=[
                (rule, names.get(rule.user_key or "", rule.user_key), _unit(rule.feature), _PERIODS[RuleKey(rule.key)])
                for rule in rules
            ],
        )


class LimitRemoval(TenantPage):
    """Takes a limit away; asked for by a form alone."""

    page = "people"
    is_for_managers = True

    def post(self, request: HttpRequest, rule_id: UUID) -> HttpResponse:
        rule = user_limits.of(self.viewer.tenant).filter(pk=rule_id).first()
        if rule is None:
            raise Http404
        user_limits.remove(rule, by=self.viewer.user)
        messages.success(request, "The limit is gone.")
        return redirect("pages:limits", self.viewer.tenant.ati_id)
