"""Who looks at a tenant's pages, and the page that shows them to nobody else."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils import timezone
from django.views import View
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from plans import entitlements
from plans.calendars import calendar_of
from plans.periods import Calendar
from tenants import facts, versions
from tenants.models import Tenant, User
from usage.sight import Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Somebody of a tenant at one of its pages, or a super admin who looks on, at the instant `now`.

    `sight` is whose usage they see; `plan` the name of the plan in force, None where there is none.
    """

    user: User
    tenant: Tenant
    sight: Sight
    plan: str | None
    now: datetime

    @property
    def manages(self) -> bool:
        """Whether they may change the tenant's people and tokens; a super admin does that in the console."""
        return self.user.manages

    @property
    def calendar(self) -> Calendar:
        """How the tenant's days and months fall."""
        return calendar_of(self.sight.tenant)

    @property
    def zone(self) -> ZoneInfo:
        """The tenant's zone now, in which its pages tell the time."""
        return self.calendar.zone_at(self.now)

    def names(self, keys: Iterable[str]) -> dict[str, str]:
        """The names of those user keys that are people of the tenant; a service's own keys have none here."""
        return User.objects.names(self.tenant.id, keys)


def viewer(user: User, ati_id: str, now: datetime) -> Viewer:
    """The person at the pages of a tenant. Http404 for one that is unknown or not theirs."""
    tenant = Tenant.objects.filter(ati_id=ati_id).first() if "\x00" not in ati_id else None
    if tenant is None or (user.tenant_id != tenant.id and not user.is_superuser):
        raise Http404(f"There is no organisation {ati_id} here.")
    versions.refresh(versions.CATALOGUE, tenant.id)
    plan = entitlements.of(tenant.id, now).plan
    return Viewer(
        user=user,
        tenant=tenant,
        sight=Sight(tenant=facts.tenant(tenant.id), user=None if user.sees_all or user.is_superuser else str(user.id)),
        plan=plan.name if plan else None,
        now=now,
    )


class TenantPage(View):
    """A page under /t/<ati_id>/: logs people in first, is 404 to strangers, and tells times in the tenant's zone."""

    page: ClassVar[str]
    """Its place in the navigation."""
    is_for_managers: ClassVar[bool] = False
    """Whether it is for owners and admins alone."""
    viewer: Viewer

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401 - View's
        if not request.user.is_authenticated:
            return _to_login(request)
        self.viewer = viewer(request.user, kwargs.pop("ati_id"), datetime.now(UTC))
        if self.is_for_managers and not self.viewer.manages:
            raise PermissionDenied("Owners and admins alone manage people and tokens.")
        with timezone.override(self.viewer.zone):
            response = super().dispatch(request, *args, **kwargs)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    def show(self, template: str, status: int = 200, **context: Any) -> HttpResponse:  # noqa: ANN401 - a template's
        """The page; templates find the viewer, and which page it is, beside what is given."""
        return render(
            self.request, template, {"viewer": self.viewer, "page": self.page, "now": self.viewer.now} | context,
            status=status,
        )  # fmt: skip


def _to_login(request: HttpRequest) -> HttpResponse:
    """To the log-in and back; the whole window goes where a part of a page was asked for."""
    details = HtmxDetails(request)
    if not details:
        return redirect_to_login(request.get_full_path())
    back = urlencode({"next": details.current_url_abs_path or "/"})
    return HttpResponseClientRedirect(f"{resolve_url(settings.LOGIN_URL)}?{back}")
