"""What the numbers say, in words."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tenants import figures
from tenants.templatetags.figures import dollars
from usage.pages.explore import shown
from usage.pages.explore.found import Found
from usage.pages.explore.ranges import Range
from usage.pages.explore.shown import Kind, Measure

_ALIKE = 0.005
_LEAST = 0.0005
_FOLD = 10
_MOST = 0.5


def value(measure: Measure, found: float | int | None) -> str:
    """A value with all its digits and without its unit; “–” where it is not known."""
    match measure.kind:
        case _ if found is None:
            return figures.UNKNOWN
        case Kind.USD:
            return figures.usd(int(found))
        case Kind.MILLISECONDS:
            return f"{rounded(found):,}"
        case Kind.SHARE:
            return f"{100 * found:.1f} %"
        case _:
            return figures.number(int(found))


def rounded(milliseconds: float) -> int:
    """A latency in the two digits that a histogram knows."""
    return round(float(f"{milliseconds:.1e}"))


def with_unit(measure: Measure, found: float | int | None) -> str:
    """A value in a sentence, where money has two decimals."""
    text = value(measure, found)
    match measure.kind:
        case _ if found is None:
            return text
        case Kind.USD:
            return f"USD {dollars(int(found))}"
        case Kind.MILLISECONDS:
            return f"{text} ms"
        case _:
            return text


def share(part: float | None) -> str:
    """A share of the whole with one decimal: “78.2 %”; less than that tells as “< 0.1 %”."""
    if part is None:
        return figures.UNKNOWN
    return "< 0.1 %" if 0 < part < _LEAST else f"{100 * part:.1f} %"


def change(measure: Measure, now: float | int | None, before: float | int | None) -> str:
    """How a value changed: “+42.1 %”, “new” where nothing was before; of shares in points."""
    if now is None or before is None:
        return figures.UNKNOWN
    if measure.kind is Kind.SHARE:
        return f"{_signed(100 * (now - before))} points"
    if not before:
        return "new" if now else figures.UNKNOWN
    return f"{_signed(100 * (now - before) / before)} %"


def title(found: Found) -> str:
    """What is found, where something is: a change, or what makes up most; else what is shown."""
    return _changed(found) or _most(found) or _plain(found)


def _plain(found: Found) -> str:
    asked = found.asked
    by = f" by {shown.GROUPS[asked.group_by].lower()}" if asked.group_by != "none" else ""
    return f"{asked.measure.name}{by}, by {asked.step}"


def _changed(found: Found) -> str | None:
    measure = found.asked.measure
    before_in_words = found.asked.range.before
    now = measure.value(found.total)
    before = measure.value(found.earlier) if found.earlier is not None else None
    if not now or before is None or min(now, before) < 0:  # corrections can outweigh what they correct
        return None
    if not before:
        at = "on" if found.asked.range.days == 1 else "in"
        return f"{measure.subject}: {with_unit(measure, now)}, and none {at} {before_in_words}"
    ratio = now / before
    if abs(ratio - 1) < _ALIKE:
        return f"{measure.subject} {'are' if measure.is_plural else 'is'} much as in {before_in_words}"
    verb = "rose" if ratio > 1 else "fell"
    if not measure.adds_up:
        return f"{measure.subject} {verb} from {with_unit(measure, before)} to {with_unit(measure, now)}"
    if ratio >= _FOLD:
        return f"{measure.subject} rose to {ratio:,.0f} times {before_in_words}"
    return f"{measure.subject} {verb} {_percent(ratio)} against {before_in_words}"


def _percent(ratio: float) -> str:
    percent = abs(ratio - 1) * 100
    return f"{percent:.1f} %" if percent < _FOLD else f"{percent:.0f} %"


def _most(found: Found) -> str | None:
    measure, rows = found.asked.measure, found.rows
    total = measure.value(found.total)
    if len(rows) < 2 or not measure.adds_up or not total:
        return None
    part = (measure.value(rows[0].sums) or 0) / total
    if part < _MOST:
        return None
    subject = measure.subject if measure.subject[1].isupper() else measure.subject.lower()
    return f"{found.names[rows[0].key]} makes up {100 * part:.0f} % of the {subject}"


def nothing(found: Found) -> str:
    """That there is nothing to show."""
    asked = found.asked
    of_these = " that these filters leave" if asked.filters else ""
    subject = asked.measure.subject
    if asked.measure.reads_denials:
        return f"No request{of_these} was refused {_in_words(asked.range)}."
    return f"{subject}: nothing{of_these} {_in_words(asked.range)}."


def _in_words(span: Range) -> str:
    return f"on {day(span.first)}" if span.days == 1 else f"from {days(span.first, span.last)}"


def caption(found: Found, zone: ZoneInfo, now: datetime) -> str:
    """What is shown: which time, in steps of what, and what it is compared with."""
    asked = found.asked
    said = f"{days(asked.range.first, asked.range.last)}, by {asked.step}, in {zone.key}."
    if not asked.compares:
        return said
    since, until = (at.astimezone(zone) for at in (asked.range.earlier_since, asked.range.earlier_until))
    last = until if asked.range.is_running(now) else until - timedelta(microseconds=1)
    up_to = f", until {until:%H:%M}" if asked.range.is_running(now) else ""
    return f"{said} Before: {days(since.date(), last.date())}{up_to}."


def days(first: date, last: date) -> str:
    """Days from one to another: “1 Nov to 30 Nov 2026”."""
    if first == last:
        return day(first)
    start = f"{first.day} {first:%b}" if first.year == last.year else day(first)
    return f"{start} to {day(last)}"


def day(at: date) -> str:
    """A day: “1 Nov 2026”."""
    return f"{at.day} {at:%b} {at.year}"


def _signed(number: float) -> str:
    text = f"{number:+,.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text
