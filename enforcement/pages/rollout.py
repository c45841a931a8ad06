"""How the roll-out stands, gate by gate, and the question before a gate is switched."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSplitDateTimeWidget, UnfoldAdminTextInputWidget

from enforcement.rollout import Found, Kind, Report, report
from plans import rollouts
from plans.admin.vocabulary import MODE_COLOURS
from plans.models import RolloutGate, RolloutRule
from plans.rollouts import Standing
from tenants.admin.asking import Question
from tenants.admin.figures import usd
from tenants.admin.refusals import refusal_of
from tenants.models import EnforcementMode, Tenant

_DAYS = 7
_LISTED = 20
_PAST = timedelta(minutes=5)
_DEEDS = {EnforcementMode.ENFORCE: "Enforce", EnforcementMode.OBSERVE: "Observe", EnforcementMode.OFF: "Switch off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """A gate on the page: how it stands, what it would have done, and how to switch it."""

    standing: Standing
    colour: str
    mode: str
    would: list[Found]
    did: list[Found]
    switches: list[tuple[str, str]]

    @property
    def would_count(self) -> str:
        return _counted(self.would)

    @property
    def did_count(self) -> str:
        return _counted(self.did)


def page(request: HttpRequest) -> HttpResponse:
    """Every gate in a row, and below what it would have refused, by tenant and code."""
    if not request.user.has_perm("plans.view_rolloutrule"):
        raise PermissionDenied
    now = datetime.now(UTC)
    found = _report(now)
    context = {
        **admin.site.each_context(request),
        "title": "Roll-out",
        "days": _DAYS,
        "as_of": now,
        "gates": [_row(standing, found) for standing in rollouts.standings(now)],
        "elsewhere": [each for each in found.watched if each.since is None],
        "found": [
            (heading, [(each, usd(each.cost)) for each in found.of(kind)[:_LISTED]])
            for kind, heading in (
                (Kind.OBSERVED, "Would have been refused"),
                (Kind.OVERAGE, "Passed as overage, which enforcing would not refuse"),
                (Kind.REFUSED, "Was refused"),
            )
        ],
        "listed": _LISTED,
    }
    return TemplateResponse(request, "enforcement/pages/rollout.html", context)


def _report(now: datetime) -> Report:
    return report(since=now - timedelta(days=_DAYS), now=now, with_shares=False)


def _row(standing: Standing, found: Report) -> GateRow:
    modes = [mode for mode in EnforcementMode if mode != standing.mode]
    if standing.gate != RolloutGate.ALL:
        modes.remove(EnforcementMode.OFF)
    mode = standing.mode.capitalize()
    return GateRow(
        standing=standing,
        colour=MODE_COLOURS.get(mode, "default"),
        mode=mode,
        would=_of(found, Kind.OBSERVED, standing.gate),
        did=_of(found, Kind.REFUSED, standing.gate),
        switches=[(reverse("rollout-switch", args=[standing.gate, each]), _DEEDS[each]) for each in modes],
    )


def _of(found: Report, kind: Kind, gate: RolloutGate) -> list[Found]:
    return [each for each in found.of(kind) if gate in (RolloutGate.ALL, each.gate)]


def _counted(rows: Sequence[Found]) -> str:
    """How many requests of how many tenants."""
    requests, tenants = sum(each.requests for each in rows), len({each.tenant for each in rows})
    if not requests:
        return "none"
    of_requests = f"{requests:,} request{'' if requests == 1 else 's'}"
    return f"{of_requests} of {tenants:,} tenant{'' if tenants == 1 else 's'}"


class SwitchForm(forms.Form):
    """For whom, from when, and why."""

    tenant = forms.ModelChoiceField(
        Tenant.objects.order_by("ati_id"), required=False, empty_label="Everybody", widget=UnfoldAdminSelectWidget,
        label="For", help_text="A tenant's own rule beats everybody's, until it is ended.",
    )  # fmt: skip
    starts_at = forms.SplitDateTimeField(
        required=False, widget=UnfoldAdminSplitDateTimeWidget, label="From (UTC)", help_text="Empty = now."
    )
    reason = forms.CharField(
        max_length=200, widget=UnfoldAdminTextInputWidget, label="Why", help_text="For those who read it later."
    )

    def clean_starts_at(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["starts_at"]
        if at is not None and at < datetime.now(UTC) - _PAST:
            raise forms.ValidationError("That has passed: what was decided since would not have been decided by it.")
        return at


def switch_page(request: HttpRequest, gate: str, mode: str) -> HttpResponse:
    """The question before a gate is switched, with its consequence, and the switch."""
    if not request.user.has_perm("plans.add_rolloutrule"):
        raise PermissionDenied
    if gate not in RolloutGate.values or mode not in EnforcementMode.values or (mode == "OFF" and gate != "ALL"):
        raise Http404
    now = datetime.now(UTC)
    which, how = RolloutGate(gate), EnforcementMode(mode)
    form = SwitchForm(request.POST or None)
    if form.is_valid():
        try:
            return _switch(request, form, which, how, now)
        except IntegrityError as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            form.add_error(refusal.field if refusal.field in form.fields else None, refusal.sentence)
    deed = f"{_DEEDS[how]} “{which.label.lower()}”" if how != EnforcementMode.OFF else "Switch everything off"
    context = {
        **admin.site.each_context(request),
        "opts": RolloutRule._meta,
        "title": f"{deed}?",
        "deed": deed,
        "question": _question(deed, which, how, now),
        "form": form,
        "rows": [],
        "sent": [],
        "cancel": reverse("rollout"),
    }
    return TemplateResponse(request, "tenants/admin/ask.html", context)


def _switch(
    request: HttpRequest, form: SwitchForm, gate: RolloutGate, mode: EnforcementMode, now: datetime
) -> HttpResponse:
    sent = form.cleaned_data
    rule = rollouts.switch(gate, mode, at=sent["starts_at"] or now, reason=sent["reason"], tenant=sent["tenant"])
    LogEntry.objects.log_actions(
        str(request.user.pk), [rule], ADDITION, change_message=f"{rule}: {rule.reason}", single_object=True
    )
    messages.success(request, f"{rule}.")
    return HttpResponseRedirect(reverse("rollout"))


def _question(deed: str, gate: RolloutGate, mode: EnforcementMode, now: datetime) -> Question:
    """What would follow for everybody, by what the last days say."""
    found = _report(now)
    (standing,) = [each for each in rollouts.standings(now) if each.gate == gate]
    keeping = tuple(str(rule) for rule in standing.own)
    kept = {rule.tenant.ati_id for rule in standing.own if rule.tenant}
    kind = Kind.OBSERVED if mode == EnforcementMode.ENFORCE else Kind.REFUSED
    rows = [each for each in _of(found, kind, gate) if mode == EnforcementMode.OFF or each.tenant not in kept]
    return Question(
        deed=deed,
        consequence=_consequence(mode, gate, rows),
        is_destructive=mode != EnforcementMode.OBSERVE,
        details=(
            (f"In the last {_DAYS} days", _by_tenant(rows)),
            ("These keep a rule of their own", keeping if mode != EnforcementMode.OFF else ()),
        ),
    )


def _consequence(mode: EnforcementMode, gate: RolloutGate, rows: Sequence[Found]) -> str:
    count = _counted(rows)
    at_most = "At most " if gate == RolloutGate.ALL and rows else ""  # one that several gates refuse counts at each
    match mode:
        case EnforcementMode.ENFORCE:
            said = f"{at_most}{count} would have been refused in the last {_DAYS} days."
            return f"It refuses from the next request on. {said[0].upper()}{said[1:]}"
        case EnforcementMode.OBSERVE:
            said = f"{at_most}{count} refused in the last {_DAYS} days would have been let through."
            return f"Nothing is refused by it any more, from the next request on. {said[0].upper()}{said[1:]}"
        case _:
            return (
                "For everybody, whatever else says: nothing is checked, held or recorded from the next request on. "
                "What is used meanwhile is in no quota and in no bill, and cannot be had back."
            )


def _by_tenant(rows: Sequence[Found]) -> tuple[str, ...]:
    sums: defaultdict[str, int] = defaultdict(int)
    for each in rows:
        sums[each.tenant] += each.requests
    lines = [f"{tenant}: {count:,}" for tenant, count in sorted(sums.items(), key=lambda each: (-each[1], each[0]))]
    further = [f"and {len(lines) - _LISTED:,} more tenants"] if len(lines) > _LISTED else []
    return (*lines[:_LISTED], *further)
