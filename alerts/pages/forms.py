"""What a channel and the thresholds are made from."""

from typing import Any

from django import forms
from django.core.validators import ProhibitNullCharactersValidator

from alerts import destinations
from alerts.models import Channel, ChannelKind, Severity
from alerts.models.policy import MOST_PERCENT
from tenants.models import Tenant

_MOST_PERCENTS = 10
_KINDS = [(kind.value, kind.label) for kind in ChannelKind if kind != ChannelKind.IN_APP]
_TIME = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")


class ChannelForm(forms.Form):
    """A new channel of a tenant."""

    kind = forms.ChoiceField(label="How", choices=_KINDS)
    name = forms.CharField(
        label="Name", max_length=100, validators=[ProhibitNullCharactersValidator()],
        help_text="Such as “On call” or “#billing”.",
    )  # fmt: skip
    address = forms.CharField(
        label="Address", max_length=2000, validators=[ProhibitNullCharactersValidator()],
        help_text="An e-mail address, or the https:// address of the webhook.",
    )  # fmt: skip
    severities = forms.MultipleChoiceField(
        label="What it tells", choices=Severity, initial=list(Severity.values), widget=forms.CheckboxSelectMultiple
    )
    quiet_from = forms.TimeField(
        label="Quiet from", required=False, widget=_TIME, help_text="What is not critical waits, in your time zone."
    )
    quiet_until = forms.TimeField(label="Quiet until", required=False, widget=_TIME)

    def clean(self) -> dict[str, Any]:
        """Both ends of the quiet hours or none, and an address that fits the kind."""
        given = super().clean() or {}
        if (given.get("quiet_from") is None) != (given.get("quiet_until") is None):
            self.add_error("quiet_until", "Quiet hours have a beginning and an end.")
        if "kind" in given and "address" in given:
            try:
                destinations.checked_address(given["kind"], given["address"])
            except destinations.Unusable as refusal:
                self.add_error("address", str(refusal))
        return given

    def add_to(self, tenant: Tenant) -> tuple[Channel, str | None]:
        """The new channel, and its secret. Raises Unusable."""
        given = self.cleaned_data
        return destinations.add(
            tenant, kind=ChannelKind(given["kind"]), name=given["name"], address=given["address"],
            severities=given["severities"],
            quiet=(given["quiet_from"], given["quiet_until"]) if given["quiet_from"] is not None else None,
        )  # fmt: skip


class ThresholdsForm(forms.Form):
    """At which shares of every quota's limit the tenant's people are told."""

    percents = forms.CharField(
        label="Tell at these shares of a limit, in percent", required=False, max_length=100,
        help_text="Such as 50, 80, 95, 100. Empty = tell of none.",
    )  # fmt: skip

    def clean_percents(self) -> list[int]:
        """The numbers, each once, the smallest first."""
        words = self.cleaned_data["percents"].replace(",", " ").replace("%", " ").split()
        if not all(word.isascii() and word.isdecimal() and 1 <= int(word[:9]) <= MOST_PERCENT for word in words):
            raise forms.ValidationError(f"Whole numbers from 1 to {MOST_PERCENT:,}, separated by commas.")
        if len(words) > _MOST_PERCENTS:
            raise forms.ValidationError(f"At most {_MOST_PERCENTS} of them.")
        return sorted({int(word) for word in words})
