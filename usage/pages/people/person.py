"""One person: their role, whether they may log in, and their tokens."""

from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from plans import people
from plans.people import ChangeRefused, Standing
from tenants.models import ATIToken, Role, User, UserStatus
from usage.pages.people.listing import Used, used_by
from usage.pages.viewer import TenantPage


class RoleForm(forms.ModelForm[User]):
    """What somebody may do and see."""

    class Meta:
        model = User
        fields = ("role", "is_shown_all_usage")
        labels: ClassVar[dict[str, str]] = {"is_shown_all_usage": "Shown everybody's usage"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(*args, **kwargs)
        role = self.fields["role"]
        assert isinstance(role, forms.ChoiceField)  # noqa: S101 - the model's choices
        role.choices = [(each.value, each.label) for each in people.GIVEN]


class StatusForm(forms.Form):
    """Suspending or reviving somebody, asked once."""

    status = forms.ChoiceField(choices=UserStatus.choices, widget=forms.HiddenInput)
    sure = forms.BooleanField(error_messages={"required": "Tick the box to say that you mean it."})


class PersonPage(TenantPage):
    """A person of the tenant; both of its forms come back here."""

    page = "people"
    is_for_managers = True

    def get(self, request: HttpRequest, person_id: UUID) -> HttpResponse:
        return self._page(self._person(person_id))

    def post(self, request: HttpRequest, person_id: UUID) -> HttpResponse:
        person = self._person(person_id)
        to: dict[str, Any]
        if "status" in request.POST:
            status_form = StatusForm(request.POST)
            if not status_form.is_valid():
                return self._page(person, status_form=status_form)
            to = {"status": UserStatus(status_form.cleaned_data["status"])}
        else:
            role_form = RoleForm(request.POST, instance=self._person(person_id))
            if not role_form.is_valid():
                return self._page(person, role_form=role_form)
            to = role_form.cleaned_data | {"role": Role(role_form.cleaned_data["role"])}
        try:
            people.change(person, **to, by=self.viewer.user, now=self.viewer.now)
        except ChangeRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, f"{person.get_full_name()} is now {_told(Standing.of(person))}.")
        return redirect("pages:person", self.viewer.tenant.ati_id, person.pk)

    def _person(self, person_id: UUID) -> User:
        found = self.viewer.tenant.users.filter(pk=person_id).first()
        if found is None:
            raise Http404
        return found

    def _page(
        self, person: User, *, role_form: RoleForm | None = None, status_form: StatusForm | None = None
    ) -> HttpResponse:
        is_suspended = person.status == UserStatus.SUSPENDED
        wanted = UserStatus.ACTIVE if is_suspended else UserStatus.SUSPENDED
        return self.show(
            "usage/person.html",
            status=422 if role_form or status_form else 200,
            person=person,
            role_form=role_form or RoleForm(instance=person),
            status_form=status_form or StatusForm(initial={"status": wanted}),
            is_suspended=is_suspended,
            used=used_by(self.viewer).get(str(person.pk), Used(operations=0, cost=0)),
            tokens=[(token, token.state(self.viewer.now)) for token in ATIToken.objects.filter(user=person)],
        )


def _told(now: Standing) -> str:
    if now.status == UserStatus.SUSPENDED:
        return "suspended"
    return f"{now.role.label.lower()}{', and shown everybody’s usage' if now.is_shown_all_usage else ''}"
