"""How allauth behaves here: what its forms say, when it has had enough, and where it leads."""

from typing import Any

from allauth.account import forms as allauth_forms
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from django import forms
from django.http import HttpRequest
from django.urls import reverse

ADVICE = "At least 12 characters. A few words that do not belong together are easy to keep in mind."


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth comes without types
    """Nobody becomes a user by allauth: they join by an invitation."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "This e-mail address and password do not belong together. Try again, or reset it.",
        "enter_current_password": "This is not your current password.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account_profile")

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:  # noqa: ANN401 - allauth's
        """Count this try as failed until it succeeds. Raises the answer 429 where there were too many.

        By address and account: by the account alone, anybody could lock its owner out.
        """
        key = f"{self.get_client_ip(request)} {credentials.get('email', '').lower()}"
        self._login_failed_rl_usage = ratelimit.consume(request, app="allauth.account", action="login_failed", key=key)
        if not self._login_failed_rl_usage:
            raise ImmediateHttpResponse(ratelimit.respond_429(request))


class PlainForm(forms.Form):
    """Labels are words, without a colon after them."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Form's
        super().__init__(*args, **options)
        self.label_suffix = ""


class LogInForm(allauth_forms.LoginForm):  # type: ignore[misc]  # allauth comes without types
    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - allauth's
        super().__init__(*args, **options)
        _plain(self, login="E-mail", password="Password")  # noqa: S106 - a label
        self.fields["login"].widget.attrs["autocomplete"] = "username"
        self.fields["password"].help_text = ""


class ResetForm(allauth_forms.ResetPasswordForm):  # type: ignore[misc]  # allauth comes without types
    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - allauth's
        super().__init__(*args, **options)
        _plain(self, email="E-mail")


class NewPasswordForm(allauth_forms.ResetPasswordKeyForm):  # type: ignore[misc]  # allauth comes without types
    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - allauth's
        super().__init__(*args, **options)
        _once(self)


class ChangePasswordForm(allauth_forms.ChangePasswordForm):  # type: ignore[misc]  # allauth comes without types
    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - allauth's
        super().__init__(*args, **options)
        _once(self)
        _plain(self, oldpassword="Current password")
        self.fields["oldpassword"].help_text = ""


def _once(form: forms.Form) -> None:
    """Ask for a new password once, as the sign-up does; a slip is mended by mail."""
    del form.fields["password2"]
    _plain(form, password1="New password")
    form.fields["password1"].help_text = ADVICE


def _plain(form: forms.Form, **labels: str) -> None:
    """Labels in our words, and no placeholders that say the same again."""
    form.label_suffix = ""
    for name, label in labels.items():
        form.fields[name].label = label
        form.fields[name].widget.attrs.pop("placeholder", None)
