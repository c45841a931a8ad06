"""The daily limit that what is shown runs against."""

from dataclasses import dataclass

from plans import charges, entitlements, modes
from plans.charges import Charge, Measure, PeriodKind
from plans.models import Unit
from usage.pages.explore.form import Asked
from usage.pages.viewer import Viewer

_METERS = {"cost": (Measure.COST,), "units": (Measure.UNITS,), "tokens": (Measure.TOKENS, Measure.UNITS)}
_NAMES = {"cost": "daily budget", "units": "daily quota", "tokens": "daily limit"}


@dataclass(frozen=True, slots=True)
class DailyLimit:
    """A limit of a day, in the unit of the measure."""

    name: str
    amount: int


def of(viewer: Viewer, asked: Asked) -> DailyLimit | None:
    """The limit on exactly what is asked, which is the smallest where there are several; None where there is none.

    The days of a chart are those of a meter where what they show is what it counts: all of a feature, of a task or
    of the tenant, or one person's part of it.
    """
    name = asked.measure.code
    filters = dict(asked.filters)
    user = filters.pop("user", viewer.sight.user)
    feature, task = filters.pop("feature", None), filters.pop("task", None)
    if name not in _METERS or filters or asked.step != "day":
        return None
    entitled = entitlements.of(viewer.tenant.id, viewer.now)
    tasks = [each for each in entitled.catalogue.tasks.values() if task in (None, each.code)]
    among = [each for each in tasks if feature in (None, each.feature)]
    limits = [
        charge.limit
        for each in among
        for charge in charges.of(
            entitled, each, user, modes.of_ask(entitled, entitled.catalogue.features[each.feature])
        )
        if (charge.user, charge.feature, charge.task) == (user, None if task else feature, task)
        and _counts(charge, name)
        and charge.limit is not None
    ]
    return DailyLimit(_NAMES[name], min(limits)) if limits else None


def _counts(charge: Charge, name: str) -> bool:
    """Whether its meter counts a day of the measure; units do where they are tokens."""
    if charge.period != PeriodKind.DAY or charge.measure not in _METERS[name]:
        return False
    return name != "tokens" or charge.measure == Measure.TOKENS or charge.unit == Unit.TOKENS
