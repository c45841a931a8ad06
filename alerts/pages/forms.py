"""What a channel is made of, as people fill it in: by kind, the same to add one and to change it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django import forms
from django.core.validators import ProhibitNullCharactersValidator
from django.db import transaction

from alerts import destinations
from alerts.destinations import Telling
from alerts.events import EVENTS
from alerts.models import AlertKind, Channel, ChannelKind, Digest, Report, Severity
from tenants.models import Tenant

MOST_RECIPIENTS = 10
_NAME_LENGTH = 100
_TIME = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
_ADDRESSES = {
    ChannelKind.EMAIL: (
        "E-mail addresses",
        "Several with commas between them. Each becomes a channel of its own, which its receiver can stop alone.",
    ),
    ChannelKind.CHAT_WEBHOOK: (
        "Address of the incoming webhook",
        "Slack or Teams makes it for a room. It is kept as a secret: only its host is shown later.",
    ),
    ChannelKind.SIGNED_WEBHOOK: (
        "Address of the webhook",
        "Begins with https:// and is on the public internet. Each message is signed; the secret is shown once.",
    ),
}
_NAMES = {
    ChannelKind.EMAIL: "Such as “On call”.",
    ChannelKind.CHAT_WEBHOOK: "Such as “#billing”.",
    ChannelKind.SIGNED_WEBHOOK: "Such as “Pager” or “Data warehouse”.",
}


class ChannelForm(forms.Form):
    """A channel of one kind; with `channel` it is that one's, as it is now."""

    name = forms.CharField(label="Name", max_length=_NAME_LENGTH, validators=[ProhibitNullCharactersValidator()])
    address = forms.CharField(max_length=2000, validators=[ProhibitNullCharactersValidator()])
    severities = forms.MultipleChoiceField(
        label="How much it matters", choices=Severity, required=False, widget=forms.CheckboxSelectMultiple
    )
    kinds = forms.MultipleChoiceField(
        label="Only these alerts", required=False, widget=forms.CheckboxSelectMultiple, help_text="None ticked = all."
    )
    events = forms.MultipleChoiceField(
        label="Other news", choices=list(EVENTS.items()), required=False, widget=forms.CheckboxSelectMultiple
    )
    digest = forms.ChoiceField(label="How often", choices=Digest, help_text="What is critical is told at once anyway.")
    report = forms.ChoiceField(label="Usage report", choices=Report, help_text="With the figures as a CSV file.")
    quiet_from = forms.TimeField(
        label="Quiet from", required=False, widget=_TIME, help_text="What is not critical waits until the hours end."
    )
    quiet_until = forms.TimeField(label="Quiet until", required=False, widget=_TIME)
    seen = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(
        self, kind: ChannelKind, data: Mapping[str, Any] | None = None, *, channel: Channel | None = None,
        offered: Sequence[AlertKind] = destinations.OF_TENANTS,
    ) -> None:  # fmt: skip
        super().__init__(data, initial=_initial(channel))
        self.kind, self.channel = kind, channel
        chosen = self.fields["kinds"]
        assert isinstance(chosen, forms.MultipleChoiceField)  # noqa: S101 - declared above
        chosen.choices = [(each.value, each.label) for each in offered]
        self.fields["name"].help_text = _NAMES.get(kind, "")
        self._ask_for_address()
        if channel is None:
            del self.fields["seen"]
        if kind != ChannelKind.EMAIL:
            del self.fields["report"]

    def _ask_for_address(self) -> None:
        address = self.fields["address"]
        if self.kind == ChannelKind.IN_APP:
            del self.fields["address"]
            return
        address.label, address.help_text = _ADDRESSES[self.kind]
        if self.channel is None:
            return
        if self.kind == ChannelKind.EMAIL:
            address.label, address.help_text = "E-mail address", ""
        if self.kind == ChannelKind.CHAT_WEBHOOK:
            address.required = False
            address.help_text = f"Now one of {self.channel.address} Empty = it stays."

    def clean_name(self) -> str:
        """On one line: an empty one would part the words of a message."""
        return " ".join(self.cleaned_data["name"].split())

    def clean_address(self) -> str:
        """One address that fits the kind; the addresses of new mails come out with commas between them."""
        given: str = self.cleaned_data["address"]
        if not given or (self.channel is not None and given == self.channel.address):
            return given
        addresses = _split(given) if self.kind == ChannelKind.EMAIL and self.channel is None else [given]
        if len(addresses) > MOST_RECIPIENTS:
            raise forms.ValidationError(f"At most {MOST_RECIPIENTS} addresses at a time.")
        for each in addresses:
            try:
                destinations.checked_address(self.kind, each)
            except destinations.Unusable as refusal:
                raise forms.ValidationError(str(refusal) if len(addresses) == 1 else f"{each}: {refusal}") from None
        return ",".join(addresses)

    def clean(self) -> dict[str, Any]:
        """Both ends of the quiet hours or none, and something to tell."""
        given = super().clean() or {}
        if (given.get("quiet_from") is None) != (given.get("quiet_until") is None):
            self.add_error("quiet_until", "Quiet hours have a beginning and an end.")
        tells = given.get("severities") or given.get("events") or given.get("report", Report.NONE) != Report.NONE
        if not tells and not self.errors:
            self.add_error("severities", "Choose at least one thing that it tells.")
        return given

    def telling(self) -> Telling:
        """What the valid form says."""
        given = self.cleaned_data
        quiet = (given["quiet_from"], given["quiet_until"]) if given["quiet_from"] is not None else None
        return Telling(
            name=given["name"],
            severities=tuple(given["severities"]),
            kinds=tuple(given["kinds"]),
            events=tuple(given["events"]),
            digest=given["digest"],
            report=given.get("report", Report.NONE),
            quiet=quiet,
        )

    def add_to(self, tenant: Tenant | None) -> list[tuple[Channel, str | None]]:
        """The new channels, one for each address, all or none; with their secrets. Raises Unusable."""
        telling = self.telling()
        addresses = self.cleaned_data["address"].split(",") if self.kind == ChannelKind.EMAIL else None
        with transaction.atomic():
            return [
                destinations.add(tenant, kind=self.kind, address=address, telling=_named(telling, address, addresses))
                for address in addresses or [self.cleaned_data["address"]]
            ]

    def save(self) -> Channel:
        """The channel as it is from now on. Raises Unusable."""
        assert self.channel is not None  # noqa: S101 - a form that adds has add_to
        given = self.cleaned_data
        return destinations.change(
            self.channel.pk, seen=given["seen"], address=given.get("address", ""), telling=self.telling()
        )


def _split(given: str) -> list[str]:
    """The addresses, each once, in their order."""
    return list(dict.fromkeys(each for each in re.split(r"[\s,;]+", given) if each))


def _named(telling: Telling, address: str, addresses: Sequence[str] | None) -> Telling:
    """Channels that are made together are told apart by their addresses."""
    if addresses is None or len(addresses) == 1:
        return telling
    return replace(telling, name=f"{telling.name}: {address}"[:_NAME_LENGTH])


def _initial(channel: Channel | None) -> dict[str, Any]:
    if channel is None:
        return {"severities": list(Severity.values), "digest": Digest.NONE, "report": Report.NONE}
    names = ("name", "severities", "kinds", "events", "digest", "report", "quiet_from", "quiet_until")
    shown = "" if channel.kind == ChannelKind.CHAT_WEBHOOK else channel.address
    return {name: getattr(channel, name) for name in names} | {"address": shown, "seen": destinations.stamp(channel)}
