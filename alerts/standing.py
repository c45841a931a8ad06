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


def keep(was_open: dict[Key, UUID], holds: Iterable[Noticed], at: datetime) -> int:
    """Tells what `holds` and was not open, and resolves what was open and does not hold; how many were new."""
    held = {each.key: each for each in holds}
    new = evaluation.tell([each for key, each in held.items() if key not in was_open], at)
    resolve([id_ for key, id_ in was_open.items() if key not in held], at)
    return new
