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
    name = " ".join(tenant.name.split())  # an empty line would split the words of a message
    return Place(
        whose=name,
        ati_id=tenant.ati_id,
        zone=calendar_of(facts.tenant(tenant.id)).zone_at(now),
        link=f"{settings.SITE_URL}{reverse('pages:overview', args=[tenant.ati_id])}",
        link_words=f"Look at the usage of {name}",
        settings=f"{settings.SITE_URL}{reverse('alert-pages:settings', args=[tenant.ati_id])}",
        names=_names(user_keys, tenant.id),
    )


def _names(user_keys: Iterable[str], tenant: UUID | None = None) -> Mapping[str, str]:
    catalogue = entitlements.catalogue()
    names = {code: task.name for code, task in catalogue.tasks.items()}
    names |= {code: feature.name for code, feature in catalogue.features.items()}
    return names if tenant is None else names | User.objects.names(tenant, user_keys)
