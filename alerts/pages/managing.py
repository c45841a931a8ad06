"""What the pages have in common on which owners and admins say who is told."""

from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.http import Http404, HttpResponse
from django.shortcuts import redirect

from alerts.models import Channel
from usage.pages.viewer import TenantPage


class ManagersPage(TenantPage):
    """A page for owners and admins alone."""

    page = "alerts"
    is_for_managers = True

    def channel(self, channel_id: UUID) -> Channel:
        """A channel of the tenant. Http404 for one that is unknown or another's."""
        found = Channel.objects.for_tenant(self.viewer.tenant).filter(pk=channel_id).first()
        if found is None:
            raise Http404("There is no such channel here. Somebody may have removed it.")
        return found

    def record(self, channel: Channel, flag: int, said: str) -> None:
        """Put on record who did what; never an address's secret part, and no secret."""
        LogEntry.objects.log_actions(
            str(self.viewer.user.pk), [channel], flag, change_message=f"{channel.name}: {said}", single_object=True
        )

    def to(self, name: str, *args: object) -> HttpResponse:
        """To another page of alerts of the same tenant."""
        return redirect(f"alert-pages:{name}", self.viewer.tenant.ati_id, *args)
