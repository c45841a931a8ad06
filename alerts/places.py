"""Who is told, where they look, and what they call things: what the words of a message need beside the alert."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse

from alerts.messages import Place
from plans import entitlements
from plans.calendars import calendar_of
from tenants import facts
from tenants.models import Tenant, User

_UTC = ZoneInfo("UTC")


def place_of(tenant: Tenant | None, user_keys: Iterable[str], now: datetime) -> Place:
    """The place of a tenant's people, or of super admins (None); `user_keys` are the people who are spoken of."""
    if tenant is None:
        alerts = f"{settings.SITE_URL}{reverse('admin:alerts_quotaalert_changelist')}"
        return Place(
            whose="Metering", ati_id=None, zone=_UTC, link=alerts, link_words="Look at it in the console",
            settings=f"{settings.SITE_URL}{reverse('admin:alerts_channel_changelist')}", names=_names(()),
        )  # fmt: skip
    return Place(
        whose=tenant.name,
        ati_id=tenant.ati_id,
        zone=_zone(tenant.id, now),
        link=f"{settings.SITE_URL}{reverse('pages:overview', args=[tenant.ati_id])}",
        link_words=f"Look at the usage of {tenant.name}",
        settings=f"{settings.SITE_URL}{reverse('alert-pages:settings', args=[tenant.ati_id])}",
        names=_names(user_keys, tenant.id),
    )


def _zone(tenant: UUID, now: datetime) -> ZoneInfo:
    calendar = calendar_of(facts.tenant(tenant))
    change = calendar.next
    return ZoneInfo(change.timezone if change and now >= change.at else calendar.timezone)


def _names(user_keys: Iterable[str], tenant: UUID | None = None) -> Mapping[str, str]:
    catalogue = entitlements.catalogue()
    names = {code: task.name for code, task in catalogue.tasks.items()}
    names |= {code: feature.name for code, feature in catalogue.features.items()}
    ids = [found for key in user_keys if (found := _uuid(key)) is not None]
    people = User.objects.filter(tenant=tenant, id__in=ids) if ids else ()
    return names | {str(person.id): person.get_full_name() for person in people}


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
