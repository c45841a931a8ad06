"""How the roll-out stands, gate by gate, and the question before a gate is switched."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
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
from tenants.admin.figures import number, usd
from tenants.admin.refusals import refusal_of
from tenants.models import EnforcementMode, Tenant
from tenants.words import counted

_DAYS = 7
_LISTED = 20
_PAST = timedelta(minutes=5)
_NEVER_SWITCHED = ("IDENTITY", "TENANT", "PLAN")  # who may not call at all is refused whatever is switched
_DECIDED_BY = {RolloutGate.BUDGET: (RolloutGate.BUDGET, "PRICE")}  # a price is asked for where money is limited
_DEEDS = {EnforcementMode.ENFORCE: "Enforce", EnforcementMode.OBSERVE: "Observe", EnforcementMode.OFF: "Switch off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """A gate on the page: how it stands, what it would have done and did, and how to switch it."""

    standing: Standing
    colour: str
    mode: str
    would: str
    did: str
    switches: list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRow:
    """What a gate would have done or did to a tenant, and where its requests are listed."""

    found: Found
    requests: str
    open: str
    cost: str
    link: str


def page(request: HttpRequest) -> HttpResponse:
    """Every gate in a row, and below what it would have refused, by tenant and code."""
    if not request.user.has_perm("plans.view_rolloutrule"):
        raise PermissionDenied
    now = datetime.now(UTC)
    found = _report(now)
    may_switch = request.user.has_perm("plans.add_rolloutrule")
    context = {
        **admin.site.each_context(request),
        "title": "Roll-out",
        "days": _DAYS,
        "as_of": now,
        "gates": [_gate_row(standing, found, may_switch) for standing in rollouts.standings(now)],
        "coming": rollouts.coming(now)[:_LISTED],
        "elsewhere": [each for each in found.watched if each.since is None],
        "sections": _sections(found),
        "listed": _LISTED,
    }
    return TemplateResponse(request, "enforcement/pages/rollout.html", context)


def _report(now: datetime) -> Report:
    return report(since=now - timedelta(days=_DAYS), now=now, with_shares=False)


def _gate_row(standing: Standing, found: Report, may_switch: bool) -> GateRow:
    modes = [mode for mode in EnforcementMode if mode != standing.mode and may_switch]
    if standing.gate != RolloutGate.ALL and may_switch:
        modes.remove(EnforcementMode.OFF)
    mode = standing.mode.capitalize()
    return GateRow(
        standing=standing,
        colour=MODE_COLOURS.get(mode, "default"),
        mode=mode,
        would=_figure(_of(found, Kind.OBSERVED, standing.gate)),
        did=_figure(_of(found, Kind.REFUSED, standing.gate)),
        switches=[(reverse("rollout-switch", args=[standing.gate, each]), _DEEDS[each]) for each in modes],
    )


def _sections(found: Report) -> list[tuple[str, bool, list[FoundRow]]]:
    """The lists below the gates: a heading, whether its requests were let through, and the most requests first."""
    kinds = (
        (Kind.OBSERVED, "Would have been refused"),
        (Kind.OVERAGE, "Passed as overage, which enforcing would not refuse"),
        (Kind.REFUSED, "Was refused"),
    )
    listed = {kind: found.of(kind)[:_LISTED] for kind, _ in kinds}
    names = {each.tenant for rows in listed.values() for each in rows}
    ids = dict(Tenant.objects.filter(ati_id__in=names).values_list("ati_id", "pk"))
    return [
        (
            heading,
            kind != Kind.REFUSED,
            [_found_row(each, ids.get(each.tenant)) for each in rows],
        )
        for kind, heading in kinds
        if (rows := listed[kind])
    ]


def _found_row(found: Found, tenant: UUID | None) -> FoundRow:
    if found.kind == Kind.REFUSED:
        listed, only = reverse("admin:usage_denial_changelist"), f"code={found.code}"
    else:
        listed, only = reverse("admin:usage_usagelog_changelist"), "limits=beyond"
    return FoundRow(
        found=found,
        requests=number(found.requests),
        open=number(found.open),
        cost=usd(found.cost),
        link=f"{listed}?{only}&tenant__id__exact={tenant}&when={_DAYS}d",
    )


def _of(found: Report, kind: Kind, gate: RolloutGate) -> list[Found]:
    """What a gate decided. All gates together are those that the roll-out can switch."""
    decided = _DECIDED_BY.get(gate, (gate,))
    is_all = gate == RolloutGate.ALL
    return [each for each in found.of(kind) if (each.gate not in _NEVER_SWITCHED if is_all else each.gate in decided)]


def _figure(rows: Sequence[Found]) -> str:
    """How many requests, and of how many tenants: “12 (1 tenant)”."""
    requests, tenants = _counts(rows)
    return f"{requests:,} ({counted(tenants, 'tenant')})" if requests else "0"


def _counted(rows: Sequence[Found]) -> str:
    """The same in a sentence."""
    requests, tenants = _counts(rows)
    return f"{counted(requests, 'request')} of {counted(tenants, 'tenant')}" if requests else "no request"


def _counts(rows: Sequence[Found]) -> tuple[int, int]:
    return sum(each.requests for each in rows), len({each.tenant for each in rows})


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
    if how == EnforcementMode.OFF:  # the kill switch is everybody's
        del form.fields["tenant"]
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
    at, tenant = sent["starts_at"] or now, sent.get("tenant")
    with transaction.atomic():
        rule = rollouts.switch(gate, mode, at=at, reason=sent["reason"], tenant=tenant)
        said = f"{rule}: {rule.reason}"
        LogEntry.objects.log_actions(str(request.user.pk), [rule], ADDITION, change_message=said, single_object=True)
    messages.success(request, f"{rule}.")
    return HttpResponseRedirect(reverse("rollout"))


def _question(deed: str, gate: RolloutGate, mode: EnforcementMode, now: datetime) -> Question:
    """What would follow for everybody, by what the last days say."""
    found = _report(now)
    (standing,) = [each for each in rollouts.standings(now) if each.gate == gate]
    is_off = mode == EnforcementMode.OFF  # it beats every rule, and leaves nothing to count
    own = () if is_off else standing.own
    kept = {rule.tenant.ati_id for rule in own if rule.tenant}
    kind = Kind.OBSERVED if mode == EnforcementMode.ENFORCE else Kind.REFUSED
    rows = [] if is_off else [each for each in _of(found, kind, gate) if each.tenant not in kept]
    what = "Would have been refused" if kind == Kind.OBSERVED else "Refused"
    return Question(
        deed=deed,
        consequence=_consequence(mode, gate, rows),
        is_destructive=mode != EnforcementMode.OBSERVE,
        details=(
            (f"{what} in the last {_DAYS} days, by tenant", _by_tenant(rows)),
            ("These keep a rule of their own, whatever is said for everybody", tuple(map(_kept, own))),
        ),
    )


def _kept(rule: RolloutRule) -> str:
    return f"{rule.tenant and rule.tenant.ati_id}: {rule.mode.lower()}, since {rule.starts_at:%d %b %Y %H:%M} UTC"


def _consequence(mode: EnforcementMode, gate: RolloutGate, rows: Sequence[Found]) -> str:
    # One request that several gates would refuse counts at each.
    count = f"{'at most ' if rows and gate == RolloutGate.ALL else ''}{_counted(rows)}"
    match mode:
        case EnforcementMode.ENFORCE:
            would = f"In the last {_DAYS} days that would have been {count}."
            return f"Once it begins, what is beyond the limit is refused. {would}"
        case EnforcementMode.OBSERVE:
            was = f"In the last {_DAYS} days it refused {count}."
            return f"Once it begins, nothing is refused by it; what would have been is listed. {was}"
        case _:
            return (
                "For everybody, whatever else says: once it begins, nothing is checked, held or recorded. "
                "What is used meanwhile is in no quota and in no bill, and cannot be had back."
            )


def _by_tenant(rows: Sequence[Found]) -> tuple[str, ...]:
    sums: defaultdict[str, int] = defaultdict(int)
    for each in rows:
        sums[each.tenant] += each.requests
    lines = [f"{tenant}: {count:,}" for tenant, count in sorted(sums.items(), key=lambda each: (-each[1], each[0]))]
    further = [f"and {len(lines) - _LISTED:,} more tenants"] if len(lines) > _LISTED else []
    return (*lines[:_LISTED], *further)
