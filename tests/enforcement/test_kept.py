"""Terms that are kept are those that would be worked out anew."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from enforcement import gates, kept
from enforcement.gates import Terms
from plans import entitlements
from tenants import versions
from tenants.models import Tenant
from tests.cast import Company
from tests.enforcement.rules import limit, roll_out

TASK = "LLM2_DRAFT"


def terms(tenant: Tenant, user: str | None = None, now: datetime | None = None) -> Terms:
    """Those in use, held against those worked out anew."""
    entitled = entitlements.of(tenant.id, now or datetime.now(UTC))
    task = entitled.catalogue.tasks[TASK]
    found = kept.terms(entitled, task, user)
    assert replace(found, entitled=entitled) == gates.terms(entitled, task, user)
    return found


def changed(tenant: Tenant) -> None:
    """As the ledger tells, where an edit was committed."""
    versions.refresh(versions.CATALOGUE, tenant.id)


def test_asks_of_a_kind_share_them(acme: Company, rival: Company) -> None:
    first = terms(acme.tenant)
    assert terms(acme.tenant) is first
    assert terms(acme.tenant, "ann") is not first
    assert terms(rival.tenant) is not first
    assert terms(acme.tenant) is first


def test_an_edit_of_the_tenant_or_of_the_catalogue_makes_new_ones(acme: Company) -> None:
    first = terms(acme.tenant)
    limit(acme.tenant, "CONCURRENCY_LIMIT", 7)
    changed(acme.tenant)
    second = terms(acme.tenant)
    assert second.charged != first.charged
    roll_out("CONCURRENCY", "OBSERVE", datetime.now(UTC) - timedelta(minutes=1))
    changed(acme.tenant)
    assert terms(acme.tenant).charged != second.charged


def test_a_date_that_passes_makes_new_ones(acme: Company) -> None:
    now = datetime.now(UTC)
    limit(acme.tenant, "CONCURRENCY_LIMIT", 7, ends_at=now + timedelta(hours=1))
    changed(acme.tenant)
    before = terms(acme.tenant, now=now)
    assert terms(acme.tenant, now=now + timedelta(minutes=59)) is before
    after = terms(acme.tenant, now=now + timedelta(minutes=61))
    assert after.charged != before.charged
    assert terms(acme.tenant, now=now).charged == before.charged


def test_so_many_are_kept_and_no_more(acme: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 3)
    for _ in range(7):
        terms(acme.tenant, str(uuid4()))
        assert len(kept._kept) <= 3
