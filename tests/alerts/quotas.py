"""What the tests of alerts count: API calls of one task a day."""

from typing import Any

from alerts.models import Channel, ChannelKind, QuotaAlert
from tests.cast import Company
from tests.enforcement.api import Api
from tests.enforcement.rules import limit

TASK, FEATURE = "PATENT_OPEN", "PRIOR_ART_SEARCH"
USED = {"status": "success"}


def quota(company: Company, calls: int) -> None:
    """So many calls a day, and as many at once as it takes."""
    limit(company.tenant, "DAILY_QUOTA", calls, feature_id=FEATURE)
    limit(company.tenant, "CONCURRENCY_LIMIT", 1_000)


def hold(api: Api, **fields: Any) -> str:
    """The reservation of a call."""
    answer = api.enforce("ACME", TASK, **fields)
    assert answer["allowed"], answer
    reservation: str = answer["reservation_id"]
    return reservation


def use(api: Api, calls: int, **fields: Any) -> None:
    """Calls, each held and committed."""
    for _ in range(calls):
        assert api.commit(hold(api, **fields), **USED).status_code == 200


def told(company: Company, **fields: Any) -> list[int]:
    """The thresholds of the day's quota that were told, in the order in which they were."""
    rows = QuotaAlert.objects.for_tenant(company.tenant).filter(subject__contains=f"{FEATURE};task=;period=DAY")
    return list(rows.filter(**fields).order_by("id").values_list("threshold", flat=True))


def channel(company: Company, **fields: Any) -> Channel:
    """An address that is told everything, unless the fields say otherwise."""
    return Channel.objects.create(
        **{"tenant": company.tenant, "name": "us", "kind": ChannelKind.EMAIL, "address": "us@acme.example"} | fields
    )
