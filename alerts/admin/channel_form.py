"""What a channel of super admins is made of."""

from collections.abc import Callable
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)  # fmt: skip

from alerts import destinations
from alerts.destinations import OF_OPERATORS, Telling
from alerts.events import ALERT_RESOLVED, EVENTS
from alerts.models import Channel, ChannelKind, Severity
from tenants.admin.base import WordedForm

_KINDS = [(kind.value, kind.label) for kind in ChannelKind if kind != ChannelKind.IN_APP]


class ChannelForm(WordedForm):
    """A channel that tells super admins; its kind stays as it was made."""

    kind = forms.ChoiceField(
        choices=_KINDS, widget=UnfoldAdminSelectWidget, help_text="How it tells. It cannot be changed later."
    )
    address = forms.CharField(
        max_length=2000, required=False, widget=UnfoldAdminTextInputWidget,
        help_text="An e-mail address, or the https:// address of a webhook. That of a chat is kept as a secret: its "
        "host alone is shown, and what you leave as it is stays.",
    )  # fmt: skip
    severities = forms.MultipleChoiceField(
        choices=Severity, required=False, initial=list(Severity.values), label="How much it matters",
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )  # fmt: skip
    kinds = forms.MultipleChoiceField(
        choices=[(kind.value, kind.label) for kind in OF_OPERATORS], required=False, label="Only these alerts",
        widget=UnfoldAdminCheckboxSelectMultipleWidget, help_text="None ticked = all.",
    )  # fmt: skip
    events = forms.MultipleChoiceField(
        choices=[(ALERT_RESOLVED, EVENTS[ALERT_RESOLVED])], required=False, label="Other news",
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )  # fmt: skip

    class Meta:
        model = Channel
        fields = ("name", "kind", "address", "severities", "kinds", "events", "digest", "quiet_from", "quiet_until")

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - a form's
        super().__init__(*args, **kwargs)
        self.was_at = self.instance.address

    def clean(self) -> dict[str, Any]:
        """An address that fits the kind, both ends of the quiet hours, and something to tell."""
        given = super().clean() or {}
        is_new = self.instance._state.adding
        kind, address = given.get("kind") if is_new else self.instance.kind, given.get("address", "")
        if kind and (is_new or address != self.was_at):
            self._refuse("address", lambda: destinations.checked_address(kind, address))
        if is_new:
            self._refuse(None, lambda: destinations.check_room(None))
        if (given.get("quiet_from") is None) != (given.get("quiet_until") is None):
            self.add_error("quiet_until", "Quiet hours have a beginning and an end.")
        if not given.get("severities") and not given.get("events"):
            self.add_error("severities", "Choose at least one thing that it tells.")
        return given

    def _refuse(self, field: str | None, check: Callable[[], object]) -> None:
        try:
            check()
        except destinations.Unusable as refusal:
            self.add_error(field, str(refusal))

    def check_constraints(self) -> None:
        """The row is written by `destinations`; `clean` says the same in words."""

    def telling(self) -> Telling:
        """What the valid form says."""
        given = self.cleaned_data
        return Telling(
            name=given["name"], severities=tuple(given["severities"]), kinds=tuple(given["kinds"]),
            events=tuple(given["events"]), digest=given["digest"],
            quiet=(given["quiet_from"], given["quiet_until"]) if given["quiet_from"] is not None else None,
        )  # fmt: skip
