"""Sign-up with an invitation."""

from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.decorators import rate_limit
from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from plans import seats
from plans.seats import Refusal, SignUpRefused
from tenants.accounts import ADVICE, PlainForm


class SignUpForm(PlainForm):
    """An invitation and who uses it; what is wrong with them, `seats.join` says."""

    invitation = forms.CharField(
        max_length=200,
        help_text="The whole text that begins with ati_, as it was sent to you.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )
    name = forms.CharField(
        max_length=200,
        help_text="How you are addressed.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    email = forms.CharField(
        label="E-mail",
        max_length=254,
        help_text="You log in with it.",
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    password = forms.CharField(
        max_length=1000,
        strip=False,
        help_text=ADVICE,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


@method_decorator(
    [never_cache, sensitive_post_parameters("invitation", "password"), rate_limit(action="signup")], name="dispatch"
)
class SignUpPage(FormView[SignUpForm]):
    """Makes somebody with an invitation a user of its tenant, logged in.

    The invitation comes by the form alone: in an address it would be in every log on the way. A link may carry it
    behind a #, which browsers keep to themselves; the page's script moves it into the form.
    """

    form_class = SignUpForm
    template_name = "account/signup.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401 - View's
        if request.user.is_authenticated:
            messages.info(request, f"You are logged in as {request.user}. To sign up as somebody else, log out first.")
            return redirect("home")
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: SignUpForm) -> HttpResponse:
        sent = form.cleaned_data
        try:
            user = seats.join(
                sent["invitation"],
                email=sent["email"],
                password=sent["password"],
                name=sent["name"],
                now=datetime.now(UTC),
            )
        except SignUpRefused as refused:
            form.add_error("email" if refused.code == Refusal.EMAIL_TAKEN else "invitation", str(refused))
            return self.form_invalid(form)
        except ValidationError as problem:
            form.add_error(None, problem)  # it names the fields
            return self.form_invalid(form)
        get_adapter().login(self.request, user)
        messages.success(self.request, f"You have signed up. Your role is {user.get_role_display().lower()}.")
        return redirect("home")
