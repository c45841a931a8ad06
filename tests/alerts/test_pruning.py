"""What is removed with time, and what stays however old it is."""

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from alerts import deliveries, digests, pruning
from alerts.models import ChannelKind, Delivery, DeliveryState, Digest, QuotaAlert
from tests.alerts.telling import alert, channel
from tests.cast import Company

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
LONG_AGO = NOW - 1_000 * DAY


def told(company: Company, count: int) -> None:
    """Alerts that were told in the pages, and are over."""
    channel(company.tenant, "", ChannelKind.IN_APP)
    for threshold in range(1, count + 1):
        alert(company.tenant, threshold)
    deliveries.send_due()
    QuotaAlert.objects.update(resolved_at=NOW)


def test_messages_go_after_90_days_and_alerts_with_the_log(acme: Company, settings: Settings) -> None:
    settings.LOG_RETENTION_MONTHS = 4
    told(acme, 3)
    Delivery.objects.update(created_at=NOW - 91 * DAY)
    Delivery.objects.filter(alert__threshold=1).update(created_at=NOW - 89 * DAY)
    QuotaAlert.objects.update(created_at=LONG_AGO, resolved_at=NOW - 125 * DAY)
    QuotaAlert.objects.filter(threshold=3).update(resolved_at=NOW - 123 * DAY)
    assert pruning.prune(NOW) == 3
    assert list(Delivery.objects.values_list("alert__threshold", flat=True)) == [1]
    assert set(QuotaAlert.objects.values_list("threshold", flat=True)) == {1, 3}, "1 has a message yet"
    assert pruning.prune(NOW) == 0


@pytest.mark.parametrize("state", [DeliveryState.PENDING, DeliveryState.FAILED, DeliveryState.SENDING])
def test_what_is_open_or_waits_stays(state: DeliveryState, acme: Company) -> None:
    told(acme, 1)
    alert(acme.tenant, 50)
    Delivery.objects.update(created_at=LONG_AGO, state=state, sent_at=None, leased_until=NOW)
    QuotaAlert.objects.update(created_at=LONG_AGO)
    QuotaAlert.objects.filter(threshold=1).update(resolved_at=LONG_AGO)
    assert pruning.prune(NOW) == 0
    Delivery.objects.all().delete()
    assert pruning.prune(NOW) == 1
    assert QuotaAlert.objects.get().threshold == 50


def test_a_digest_goes_after_what_it_gathered_in_small_slices(
    committed: None, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "SLICE", 2)
    channel(acme.tenant, "", ChannelKind.IN_APP, digest=Digest.HOURLY)
    for threshold in range(1, 6):
        alert(acme.tenant, threshold)
    assert deliveries.send_due() == 1
    assert Delivery.objects.count() == 6
    Delivery.objects.update(created_at=LONG_AGO)
    Delivery.objects.filter(event=digests.EVENT).update(created_at=LONG_AGO - DAY)
    assert pruning.prune(NOW, for_seconds=0) == 0
    assert pruning.prune(NOW) == 6
    assert not Delivery.objects.exists()
