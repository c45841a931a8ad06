"""Everybody of the tenant, with what they used."""

from dataclasses import dataclass
from datetime import timedelta

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from plans import periods, seats
from plans.charges import PeriodKind
from usage import queries
from usage.pages.viewer import TenantPage, Viewer

_A_PAGE = 50
_MOST_USERS = 10_000
_QUARTER = timedelta(minutes=15)


class PeoplePage(TenantPage):
    """The people, by e-mail address, and the seats that are taken."""

    page = "people"
    is_for_managers = True

    def get(self, request: HttpRequest) -> HttpResponse:
        tenant = self.viewer.tenant
        asked = request.GET.get("q", "").strip().replace("\x00", "")[:200]
        everybody = tenant.users.order_by("email")
        found = everybody.filter(Q(email__icontains=asked) | Q(name__icontains=asked)) if asked else everybody
        people = Paginator(found, _A_PAGE).get_page(request.GET.get("page"))
        used = used_by(self.viewer)
        return self.show(
            "usage/people.html",
            asked=asked,
            people=people,
            rows=[(person, used.get(str(person.id), Used(operations=0, cost=0))) for person in people],
            taken=seats.taken(tenant),
            free=seats.free(tenant, self.viewer.now),
            as_of=self.viewer.now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What somebody used in the running period: calls, and nano-USD."""

    operations: int
    cost: int


def used_by(viewer: Viewer) -> dict[str | None, Used]:
    """What each user of the tenant used in the running period, by user key."""
    month = periods.period(PeriodKind.MONTH, viewer.calendar, viewer.now)
    rows = queries.usage_by(viewer.sight, "user", month.start, viewer.now + _QUARTER, [], _MOST_USERS)
    return {row["key"]: Used(operations=row["operations"], cost=int(row["cost_sum"] or 0)) for row in rows}
