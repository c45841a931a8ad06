"""Why a call was permitted or refused: its explanation as people read it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timesince import timesince, timeuntil

from enforcement.explanation import Explanation, Gate, SourceRule, Tale, Verdict, explain
from plans.models import PolicyRule
from tenants import facts
from tenants.admin.figures import UNLIMITED
from tenants.models import Tenant
from usage import decided
from usage.models import UsageReservation
from usage.sight import Sight

# A colour and its word, for each verdict.
_VERDICTS = {
    Verdict.PASSED: ("default", "Passed"),
    Verdict.SHAPED: ("info", "Reduced"),
    Verdict.OVERAGE: ("warning", "Over, allowed"),
    Verdict.OBSERVED: ("warning", "Would refuse"),
    Verdict.REFUSED: ("danger", "Refused"),
    Verdict.NOT_ASKED: ("default", "Not asked"),
}
_NAMES = {
    "IDENTITY": "Identity", "TENANT": "Tenant", "MODE": "Mode", "PLAN": "Plan", "FEATURE": "Feature", "TASK": "Task",
    "MODEL_ACCESS": "Model class", "CAPS": "Caps of the call", "PRICE": "Price", "CONCURRENCY": "Concurrency",
    "RATES": "Rates", "DAILY_QUOTA": "Daily quota", "MONTHLY_QUOTA": "Monthly quota", "TOKEN_LIMITS": "Token limits",
    "USER_QUOTA": "User’s quota", "BUDGET": "Budget",
}  # fmt: skip
_UNITS = {"API_CALLS": "API calls", "SLOTS": "open at once", "USD": "USD"}
_PERIODS = {"MINUTE": "a minute", "DAY": "a day", "MONTH": "a month"}
_NAMED_AFTER_IT = ("DAILY_QUOTA", "MONTHLY_QUOTA", "CONCURRENCY")  # the gates whose name says their period
_METERED = [
    ("Limit", "limit"), ("Left", "remaining"), ("Asked", "requested"), ("Used", "used"), ("Held", "reserved"),
    ("Overrun", "overrun"),
]  # fmt: skip
_SAID = ("estimated_cost", "mode")  # in the sentence of their gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A gate on the page; a quiet one only let the call pass."""

    name: str
    colour: str
    word: str
    is_quiet: bool
    why: str
    figures: list[tuple[str, str]]
    rules: list["RuleRow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """A number with where it comes from; `id` is that of the rule where it still exists."""

    key: str
    value: str
    why: str
    id: UUID | None


def page(request: HttpRequest, ati_id: str, decision_id: UUID) -> HttpResponse:
    """The story of a decision, or that there is none any more."""
    if not request.user.has_perm("usage.view_usagereservation"):
        raise PermissionDenied
    tenant = get_object_or_404(Tenant, ati_id=ati_id)
    kept = decided.of(Sight(tenant=facts.tenant(tenant.id), user=None), decision_id)
    told = None if kept is None else explain(Tale.of_kept(decision_id, ati_id, kept))
    context = {
        **admin.site.each_context(request),
        "title": "Why?",
        "tenant": tenant,
        "decision_id": decision_id,
        "told": told,
    }
    if told is not None:
        context |= {
            "facts": _facts(told, datetime.now(UTC)),
            "links": _links(told, decision_id),
            "gates": rows(told),
        }
    return TemplateResponse(request, "enforcement/pages/why.html", context, status=404 if told is None else 200)


def _facts(told: Explanation, now: datetime) -> list[tuple[str, str]]:
    """What the decision was about."""
    found = [
        ("When", f"{told.decided_at:%d %b %Y %H:%M:%S} UTC"),
        ("User", told.user),
        ("Task", told.task),
        ("Feature", told.feature),
        ("Mode", told.mode.capitalize()),
        ("Configuration", _version(told)),
        (
            "Refused alike",
            f"{told.times:,} times that minute; the figures are of the first" if told.times > 1 else None,
        ),
        _reset(told.binding, now) or ("", None),
    ]
    return [(name, value) for name, value in found if value is not None]


def _version(told: Explanation) -> str | None:
    versions = told.versions
    if versions is None:
        return None
    return f"catalogue {versions.catalogue}, keys {versions.keys}, tenant {versions.tenant}"


def _reset(binding: Mapping[str, Any] | None, now: datetime) -> tuple[str, str] | None:
    """When the quota that refused begins anew, from now."""
    if binding is None or binding["resets_at"] is None:
        return None
    at = datetime.fromisoformat(binding["resets_at"])
    return ("Resets in", timeuntil(at, now)) if at > now else ("Was reset", f"{timesince(at, now)} ago")


def _links(told: Explanation, id_: UUID) -> list[tuple[str, str]]:
    """Where the ledger has what came of it: a name and an address each."""
    if not told.allowed:
        return [("refusal", reverse("admin:usage_denial_change", args=[id_]))]
    log = ("log", f"{reverse('admin:usage_usagelog_changelist')}?q={id_}&when=any")
    if not UsageReservation.objects.filter(pk=id_).exists():
        return [log]
    return [("reservation", reverse("admin:usage_usagereservation_change", args=[id_])), log]


def rows(told: Explanation) -> list[Row]:
    """The gates of an explanation in order, in the words of a page."""
    ids = {rule.id for gate in told.gates for rule in gate.rules if rule.id is not None}
    existing = set(PolicyRule.objects.filter(pk__in=ids).values_list("pk", flat=True))
    return [_row(gate, existing) for gate in told.gates]


def _row(gate: Gate, existing: Collection[UUID | None]) -> Row:
    colour, word = _VERDICTS[gate.verdict]
    return Row(
        name=_name(gate),
        colour=colour,
        word=word,
        is_quiet=gate.verdict in (Verdict.PASSED, Verdict.NOT_ASKED),
        why=gate.why,
        figures=_figures(gate.inputs),
        rules=[_rule(rule, existing) for rule in gate.rules],
    )


def _name(gate: Gate) -> str:
    period = "" if gate.gate in _NAMED_AFTER_IT else _PERIODS.get(gate.inputs.get("period", ""), "")
    return f"{_NAMES[gate.gate]}, {period}" if period else _NAMES[gate.gate]


def _rule(rule: SourceRule, existing: Collection[UUID | None]) -> RuleRow:
    value = UNLIMITED if rule.value is None else _shown(rule.value)
    if rule.key == "DEGRADE_AT_PERCENT" and rule.value is None:
        value = "never"
    return RuleRow(
        key=rule.key.replace("_", " ").capitalize(),
        value=f"USD {value}" if isinstance(rule.value, str) else value,
        why=rule.why,
        id=rule.id if rule.id in existing else None,
    )


def _figures(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the gate looked at, in words: the figures of a meter, or what was asked and granted."""
    if "requested" in inputs:
        unit = _UNITS.get(inputs["unit"], inputs["unit"].lower())
        found = [(name, inputs[key]) for name, key in _METERED if inputs[key] is not None]
        if inputs["overrun"] in (0, "0.00"):
            found.pop()
        (name, value), *others = [(name, _shown(value)) for name, value in found]
        first = [(name, f"{unit} {value}" if unit == "USD" else f"{value} {unit}"), *others]
        return first if inputs["limit"] is not None else [("Limit", UNLIMITED), *first]
    flat = {name: value for name, value in inputs.items() if name not in _SAID}
    for group in ("asked", "granted", "made_of"):
        if isinstance(flat.get(group), Mapping):
            flat |= {f"{name} {group.replace('_', ' ')}": value for name, value in flat.pop(group).items()}
    return [
        (name.replace("_", " ").capitalize(), _shown(value)) for name, value in flat.items() if value not in (None, [])
    ]


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
