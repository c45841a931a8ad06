"""The cards of the overview: how each feature's quotas stand, and the spend."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from plans.charges import Charge, Measure, PeriodKind
from plans.models import Unit
from plans.terms import Catalogue, Entitlements
from usage.pages.outlook import Outlook, outlook
from usage.pages.pace import Pace
from usage.standings import Standing

WATCH, BAD = 0.80, 0.95
UNITS = {Unit.REQUESTS: "requests", Unit.TOKENS: "tokens", Unit.API_CALLS: "API calls", Unit.ITEMS: "items"}
_MEASURES = {Measure.REQUESTS: "requests", Measure.TOKENS: "tokens", Measure.COST: "USD", Measure.SLOTS: "calls"}
PERIODS = {
    PeriodKind.MINUTE: "this minute",
    PeriodKind.DAY: "today",
    PeriodKind.MONTH: "this period",
    PeriodKind.OPEN: "open now",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One quota as people read it. `what` says which it is, `when` over which time; amounts are in `unit`."""

    what: str
    when: str
    unit: str
    standing: Standing

    @property
    def is_money(self) -> bool:
        """Whether its amounts are nano-USD."""
        return self.standing.charge.measure == Measure.COST

    @property
    def limit(self) -> int | None:
        """None = unlimited."""
        return self.standing.charge.limit

    @property
    def used_percent(self) -> float:
        """The share of the limit that is used, at most 100."""
        return _percent(self.standing.counted, self.limit)

    @property
    def held_percent(self) -> float:
        """The share that is held beside it, up to what is left of the bar."""
        return min(_percent(self.standing.held, self.limit), 100 - self.used_percent)

    @property
    def level(self) -> str:
        """Empty, “watch” from 80 %, “bad” from 95 %: used and held together."""
        if self.limit is None or self.standing.charge.measure == Measure.SLOTS:
            return ""
        taken = self.standing.counted + self.standing.held
        if taken >= BAD * self.limit:
            return "bad"
        return "watch" if taken >= WATCH * self.limit else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One feature, or the spend: the quota it is about first, then whatever else limits it."""

    title: str
    main: Line
    others: Sequence[Line]
    outlook: Outlook | None


def _percent(part: int, whole: int | None) -> float:
    return min(100.0, 100 * part / whole) if whole else 0.0


def cards(entitled: Entitlements, standings: Iterable[Standing], pace: Pace) -> list[Card]:
    """A card for each feature that the plan has, in the catalogue's order, then the spend and the calls at once."""
    catalogue = entitled.catalogue
    by_feature: dict[str | None, list[Standing]] = {}
    for each in standings:
        by_feature.setdefault(_feature_of(catalogue, each.charge), []).append(each)
    shared = by_feature.pop(None, [])
    found = [
        _card(terms.name, _of(by_feature[code], Measure.UNITS, PeriodKind.MONTH), by_feature[code], catalogue,
              pace.units.get(code, 0), pace.basis, entitled.now)
        for code, terms in catalogue.features.items() if code in by_feature
    ]  # fmt: skip
    for title, measure, period, recent in (
        ("Spend", Measure.COST, PeriodKind.MONTH, pace.cost),
        ("Calls at once", Measure.SLOTS, PeriodKind.OPEN, 0),
    ):
        of_measure = [each for each in shared if each.charge.measure == measure]
        if of_measure:
            main = _of(of_measure, measure, period)
            found.append(_card(title, main, of_measure, catalogue, recent, pace.basis, entitled.now))
    return found


def _feature_of(catalogue: Catalogue, charge: Charge) -> str | None:
    return catalogue.tasks[charge.task].feature if charge.task else charge.feature


def _of(standings: Sequence[Standing], measure: Measure, period: PeriodKind) -> Standing:
    """The feature's own quota of the month; the day's where that alone is limited."""
    own = [each for each in standings if each.charge.measure == measure and not each.charge.task]
    own = [each for each in own if each.charge.user is None] or list(standings)
    limited = [each for each in own if each.charge.limit is not None]
    return next((each for each in limited if each.charge.period == period), None) or next(
        iter(limited), next((each for each in own if each.charge.period == period), own[0])
    )


def _card(
    title: str, main: Standing, standings: Sequence[Standing], catalogue: Catalogue, recent: int, basis: timedelta,
    now: datetime,
) -> Card:  # fmt: skip
    others = [
        each
        for each in standings
        if each is not main and each.charge.limit is not None and each.charge.period != PeriodKind.MINUTE
    ]
    is_long = main.charge.period == PeriodKind.MONTH and main.resets_at is not None
    return Card(
        title=title,
        main=_line(main, catalogue),
        others=[_line(each, catalogue) for each in others],
        outlook=outlook(
            recent=recent, basis=basis, used=main.counted, left=main.left, ends_at=main.resets_at, now=now
        ) if is_long and main.resets_at is not None else None,
    )  # fmt: skip


def _line(standing: Standing, catalogue: Catalogue) -> Line:
    charge = standing.charge
    feature = _feature_of(catalogue, charge)
    unit = UNITS[catalogue.features[feature].unit] if feature and charge.measure == Measure.UNITS else None
    what = catalogue.tasks[charge.task].name if charge.task else ""
    if charge.user is not None:
        what = f"{what}, yours" if what else "Yours"
    return Line(
        what=what, when=PERIODS[charge.period], unit=unit or _MEASURES[charge.measure], standing=standing
    )  # fmt: skip
