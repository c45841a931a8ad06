"""What a token is issued with. The plan is not among it: every token has the root's."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.core.validators import ProhibitNullCharactersValidator
from django.utils import timezone

from tenants import tokens
from tenants.ids import uuid7
from tenants.models import ATIToken, User, UserStatus
from tenants.tokens import Issued
from usage.pages.viewer import Viewer

_MOST_USES = 100_000
_LONGEST = timedelta(days=36_525)


class IssueForm(forms.Form):
    """What every token has. `token_id` is that of the token to be: a form sent twice asks for the same one."""

    token_id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid7)
    name = forms.CharField(
        label="What for", max_length=100, required=False, validators=[ProhibitNullCharactersValidator()],
        help_text="Such as “Spring hires” or “Laptop”.",
    )  # fmt: skip
    expires_on = forms.DateField(
        label="Last day", required=False, widget=forms.DateInput(attrs={"type": "date"}),
        help_text="It works until the end of that day. Empty = until it is revoked.",
    )  # fmt: skip

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(*args, **kwargs)
        self.viewer = viewer

    def clean_expires_on(self) -> datetime | None:
        """The end of the day that was chosen."""
        day = self.cleaned_data["expires_on"]
        if day is None:
            return None
        today = self.viewer.now.astimezone(self.viewer.zone).date()
        if not today <= day < today + _LONGEST:
            raise forms.ValidationError("A day from today on, within a hundred years.")
        return timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min), self.viewer.zone)


class InvitationForm(IssueForm):
    """A token that signs people up."""

    max_uses = forms.IntegerField(
        label="How many may join with it", required=False, min_value=1, max_value=_MOST_USES, initial=1,
        help_text="Empty = as many as there are seats.",
    )  # fmt: skip

    def issue(self) -> Issued[ATIToken]:
        """The new invitation. Raises TokenError."""
        given = self.cleaned_data
        return tokens.issue_invitation(
            self.viewer.tenant, name=given["name"], expires_at=given["expires_on"], max_uses=given["max_uses"],
            token_id=given["token_id"],
        )  # fmt: skip


class CallerForm(IssueForm):
    """A token that authenticates one person's calls."""

    user = forms.ModelChoiceField(User.objects.none(), label="Whose calls", empty_label=None)
    field_order = ("token_id", "user", "name", "expires_on")

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(viewer, *args, **kwargs)
        user = self.fields["user"]
        assert isinstance(user, forms.ModelChoiceField)  # noqa: S101 - declared above
        user.queryset = viewer.tenant.users.filter(status=UserStatus.ACTIVE).order_by("email")

    def issue(self) -> Issued[ATIToken]:
        """The new token. Raises TokenError."""
        given = self.cleaned_data
        return tokens.issue_for_user(
            given["user"], name=given["name"], expires_at=given["expires_on"], token_id=given["token_id"]
        )


FORMS: dict[str, type[InvitationForm | CallerForm]] = {"invitation": InvitationForm, "caller": CallerForm}
"""By the kind that a page's form says it is of."""
