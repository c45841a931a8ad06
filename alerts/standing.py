"""Keeping the alerts that are open those that hold: what is new is told, what is over is resolved."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from alerts import evaluation
from alerts.models import AlertKind, QuotaAlert
from alerts.noticing import Key, Noticed, resolve


def open_of(kinds: Collection[AlertKind], tenants: Collection[UUID] | None = None) -> dict[Key, UUID]:
    """The open alerts of these kinds, of some tenants or of everybody. Read it before what they are held against."""
    rows = QuotaAlert.objects.open().filter(kind__in=kinds)
    if tenants is not None:
        rows = rows.filter(tenant__in=tenants)
    columns = rows.values_list("id", "tenant", "kind", "subject", "threshold", "episode")
    return {(str(tenant), kind, subject, at, episode): id_ for id_, tenant, kind, subject, at, episode in columns}


def keep(was_open: dict[Key, UUID], holds: Iterable[Noticed], at: datetime, *, is_lasting: bool = False) -> int:
    """Tells what `holds` and was not open, and resolves what was open and does not hold; how many were new.

    `is_lasting`: what is open and still holds stays the same alert when its episode ends, as a day does.
    """
    held = {_named(each.key, is_lasting): each for each in holds}
    known = {_named(key, is_lasting): id_ for key, id_ in was_open.items()}
    new = evaluation.tell([each for key, each in held.items() if key not in known], at)
    resolve([id_ for key, id_ in was_open.items() if _named(key, is_lasting) not in held], at)
    return new


def _named(key: Key, is_lasting: bool) -> tuple[object, ...]:
    return key[:-1] if is_lasting else key
