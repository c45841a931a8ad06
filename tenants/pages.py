"""Pages about oneself: where one is at home, one's profile, and a new password by mail."""

from typing import Any

import structlog
from allauth.account.views import PasswordResetView
from django import forms
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache

from tenants.accounts import PlainForm
from tenants.models import Role, User, UserStatus

log = structlog.get_logger()

# What each role may do, in the words of its holder's profile.
MAY: dict[str, str] = {
    Role.SUPER_ADMIN: "You run this installation, in the console.",
    Role.OWNER: "You manage people and tokens, and see everybody's usage.",
    Role.ADMIN: "You manage people and tokens, and see everybody's usage.",
    Role.MANAGER: "You see everybody's usage.",
    Role.ANALYST: "You see your own usage.",
    Role.VIEWER: "You see your own usage.",
}


def home(request: HttpRequest) -> HttpResponseRedirect:
    """Leads people of a tenant to its pages, super admins to the console, and everybody else to the log-in."""
    if not request.user.is_authenticated:
        return redirect("account_login")
    if request.user.tenant is None:
        return redirect("admin:index")
    return redirect("pages:overview", request.user.tenant.ati_id)


class NameForm(PlainForm):
    """What people may change of themselves."""

    name = forms.CharField(
        max_length=200,
        required=False,
        help_text="How you are addressed.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )


@method_decorator(never_cache, name="dispatch")
class ProfilePage(View):
    """Who one is here, and whom to ask for what one cannot change."""

    person: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401 - View's
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        self.person = request.user
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._show(NameForm(initial={"name": self.person.name}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = NameForm(request.POST)
        if not form.is_valid():
            return self._show(form)
        self.person.name = form.cleaned_data["name"]
        self.person.save(update_fields=["name"])
        messages.success(request, "Your name is saved.")
        return redirect("account_profile")

    def _show(self, form: NameForm) -> HttpResponse:
        context = {"form": form, "may": _may(self.person), "managers": _managers(self.person)}
        return render(self.request, "account/profile.html", context)


def _may(person: User) -> str:
    return MAY[Role.MANAGER] if person.is_shown_all_usage and not person.manages else MAY[person.role]


def _managers(user: User) -> list[User]:
    """Who may change somebody's role: the owners and admins of their tenant, themselves left out."""
    if user.tenant is None:
        return []
    managing = user.tenant.users.filter(role__in=[Role.OWNER, Role.ADMIN], status=UserStatus.ACTIVE)
    return list(managing.exclude(pk=user.pk).order_by("role", "email")[:5])


class ResetPage(PasswordResetView):  # type: ignore[misc]  # allauth comes without types
    """A new password by mail. Answers alike with and without an account, and says so when no mail can be sent."""

    def form_valid(self, form: forms.Form) -> HttpResponse:
        try:
            answer: HttpResponse = super().form_valid(form)
        except OSError as problem:  # SMTPException is one
            log.warning("mail not sent", error=type(problem).__name__)
            form.add_error(None, "No mail can be sent right now. Try again in a few minutes.")
            answer = self.render_to_response(self.get_context_data(form=form), status=503)
        return answer
