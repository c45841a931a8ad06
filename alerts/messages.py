"""What people are told: an alert, or an event of the product, in words. A message asks nothing of the database.

The words of each kind of alert are templates/alerts/kinds/<kind>.txt: its title, what happened, and what to do, with
an empty line between them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.template.loader import select_template
from django.utils import timezone

from alerts import answers
from alerts.events import TEST
from alerts.models import AlertKind, Delivery, QuotaAlert, Severity
from plans import money
from plans.charges import Measure, PeriodKind
from tenants import figures

_UNITS = {"API_CALLS": "API calls", "SLOTS": "calls", "USD": "USD"}
_WHEN = {
    PeriodKind.MINUTE: "this minute", PeriodKind.DAY: "today", PeriodKind.MONTH: "this period",
    PeriodKind.OPEN: "right now",
}  # fmt: skip
_SHARED = {Measure.COST: "Spend", Measure.SLOTS: "Calls at once"}
_INSTANTS = {"minute", "at", "started_at", "ends_at", "revoked_at", "created_at", "resolved_at"}
_MONEY = ("used", "held", "limit", "left", "lately", "usual", "per_day", "at_end")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its name, both as people read them."""

    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Who is told and where they look: the organisation's name and zone, the site's address, names for codes."""

    whose: str
    ati_id: str | None
    zone: ZoneInfo
    link: str
    link_words: str
    settings: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, the same by every channel and at every try: by `id` whoever gets it twice can tell.

    `type` and `data` are for programs, the rest for people. `severity` is empty where nothing is wrong.
    """

    id: str
    type: str
    at: datetime
    severity: str
    title: str
    happened: str
    advice: str
    figures: tuple[Figure, ...]
    place: Place
    data: Mapping[str, Any]

    @property
    def link(self) -> str:
        """The one page to look at."""
        return self.place.link

    @property
    def link_words(self) -> str:
        """What the link is called."""
        return self.place.link_words


def message_id(delivery: UUID) -> str:
    """The id that a delivery's message has at every try."""
    return f"msg_{delivery.hex}"


def of_delivery(delivery: Delivery, place: Place) -> Message:
    """The message that a delivery is about."""
    id_ = message_id(delivery.message_id)
    if delivery.alert is not None:
        return of_alert(delivery.alert, place, id_)
    return of_event(str(delivery.event), delivery.payload, place, id_=id_, at=delivery.created_at)


def of_event(event: str, payload: Mapping[str, Any], place: Place, *, id_: str, at: datetime) -> Message:
    """An event of the product in words, its times in the zone of the place."""
    with timezone.override(place.zone):
        title, happened, advice = _words(event, {"payload": _in_one_line(payload), "place": place})
    severity = "" if event == TEST else Severity.INFO
    return Message(
        id=id_, type=event, at=at, severity=severity, title=title, happened=happened, advice=advice, figures=(),
        place=place, data=payload,
    )  # fmt: skip


def of_alert(alert: QuotaAlert, place: Place, id_: str) -> Message:
    """An alert in words, its times in the zone of the place."""
    numbers: Mapping[str, Any] = alert.numbers
    with timezone.override(place.zone):
        title, happened, advice = _words(alert.kind.lower(), _context(alert, numbers, place))
    return Message(
        id=id_,
        type=f"alert.{alert.kind.lower()}",
        at=alert.created_at,
        severity=alert.severity,
        title=title,
        happened=happened,
        advice=advice,
        figures=_figures(numbers, place.zone),
        place=place,
        data={
            "id": str(alert.id), "tenant": place.ati_id, "kind": alert.kind, "severity": alert.severity,
            "subject": alert.subject, "user": alert.user_key, "threshold": answers.threshold_of(alert), "title": title,
            "numbers": _for_programs(numbers),
        },
    )  # fmt: skip


def _words(kind: str, context: dict[str, Any]) -> tuple[str, str, str]:
    """Title, what happened, what to do. Lines are joined, so a template may break them anywhere."""
    text = select_template([f"alerts/kinds/{kind}.txt", "alerts/kinds/other.txt"]).render(context)
    parts = [" ".join(part.split()) for part in text.strip().split("\n\n")]
    title, happened, advice = (*parts, "", "")[:3]
    return title[:200], happened, advice


def _in_one_line(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Texts without line breaks, an empty one of which would end the title; and instants as such."""
    if isinstance(value, dict):
        return {name: _time(each) if name in _INSTANTS else _in_one_line(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_in_one_line(each) for each in value]
    return " ".join(value.split()) if isinstance(value, str) else value


def _context(alert: QuotaAlert, numbers: Mapping[str, Any], place: Place) -> dict[str, Any]:
    unit = numbers.get("unit")
    limit, used = numbers.get("limit"), numbers.get("used")
    return {
        "place": place,
        "label": AlertKind(alert.kind).label,
        "subject": alert.subject,
        "threshold": alert.threshold,
        "amount": _amount(alert.threshold, unit),
        "numbers": numbers,
        "what": _what(numbers, place),
        "when": _WHEN.get(numbers.get("period", ""), ""),
        "of_what": _of_what(numbers, place),
        "is_shared": not (numbers.get("task") or numbers.get("feature")),
        "is_money": numbers.get("measure") == Measure.COST,
        "is_at_once": numbers.get("measure") == Measure.SLOTS,
        # On one line: an empty one would end the title, and what follows it be told as what happened.
        "user": " ".join(place.names.get(alert.user_key, alert.user_key).split()) if alert.user_key else None,
        "used": _amount(used, unit),
        "used_of_limit": _share(used, limit, unit),
        "share": f"{100 * used / limit:.1f} %" if used is not None and limit else "",
        "lately": _amount(numbers.get("lately"), unit),
        "usual": _amount(numbers.get("usual"), unit),
        "resets_at": _time(numbers.get("resets_at")),
        "runs_out_at": _time(numbers.get("runs_out_at")),
        "ends_at": _time(numbers.get("ends_at")),
        "is_used_up": limit is not None and used is not None and used >= limit,
    }


def _what(numbers: Mapping[str, Any], place: Place) -> str:
    """What a quota is of: “Patent drafting”, “Spend”, “Spend of Draft claims”."""
    code = numbers.get("task") or numbers.get("feature")
    shared = _SHARED.get(numbers.get("measure", ""))
    if code is None:
        return shared or "All calls"
    name = place.names.get(code, code)
    return f"{shared} of {name}" if shared else name


def _of_what(numbers: Mapping[str, Any], place: Place) -> str:
    """What there is a share of: “the limit of Patent drafting”, “the budget”."""
    code = numbers.get("task") or numbers.get("feature")
    if numbers.get("measure") == Measure.COST:
        return f"the budget of {place.names.get(code, code)}" if code else "the budget"
    return f"the limit of {_what(numbers, place)}"


def _amount(value: int | None, unit: str | None) -> str:
    """An amount with its unit: “4,012,300 tokens”, “USD 40.00”."""
    if value is None:
        return figures.UNKNOWN
    if unit == "USD":
        return f"USD {figures.usd(value)}"
    name = _UNITS.get(unit or "", (unit or "").lower())
    return f"{figures.number(value)} {name}".strip()


def _share(used: int | None, limit: int | None, unit: str | None) -> str:
    """“4,012,300 of 5,000,000 tokens”, “USD 31.20 of USD 50.00”."""
    if unit == "USD":
        return f"{_amount(used, unit)} of {_amount(limit, unit)}"
    return f"{figures.number(used)} of {_amount(limit, unit)}"


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _figures(numbers: Mapping[str, Any], zone: ZoneInfo) -> tuple[Figure, ...]:
    """The figures of a quota; of anything else none, as its words have them."""
    if "used" not in numbers:
        return ()
    unit = numbers.get("unit")
    found = [Figure("Used", _amount(numbers["used"], unit))]
    if numbers.get("held"):
        found.append(Figure("Held by open calls", _amount(numbers["held"], unit)))
    limit = numbers.get("limit")
    found.append(Figure("Limit", figures.UNLIMITED if limit is None else _amount(limit, unit)))
    if numbers.get("left") is not None:
        found.append(Figure("Left", _amount(numbers["left"], unit)))
    resets_at = _time(numbers.get("resets_at"))
    if resets_at is not None:
        found.append(Figure("Resets", f"{resets_at.astimezone(zone):%-d %b %Y, %H:%M} ({zone.key})"))
    return tuple(found)


def _for_programs(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Money as everywhere in the API: a decimal string in USD."""
    if numbers.get("unit") != "USD":
        return dict(numbers)
    return {
        name: money.usd(value) if name in _MONEY and isinstance(value, int) else value
        for name, value in numbers.items()
    }
