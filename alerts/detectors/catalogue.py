"""Models whose calls cost nobody knows what."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from alerts.detectors.calls import day
from alerts.models import AlertKind, Severity
from alerts.noticing import Noticed
from plans.models import LLMModel
from usage import attention

_LATELY = timedelta(days=1)


def unpriced(now: datetime) -> Iterator[Noticed]:
    """Active models without a price, and models without one that calls of the last day named: told super admins.

    Under a budget their class is refused, and without one their cost is what was held.
    """
    active = {model.model_id for model in LLMModel.objects.active().unpriced(now)}
    for model in sorted(active | set(attention.unsure_calls(now - _LATELY).models)):
        yield Noticed(
            tenant=None,
            kind=AlertKind.UNPRICED,
            severity=Severity.WARNING,
            subject=f"model={model}",
            threshold=0,
            episode=day(now),
            numbers={"model": model, "is_active": model in active},
        )
