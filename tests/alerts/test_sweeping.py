"""The sweep: finds what nobody noticed, re-arms with a new limit and a new period, resolves what is over."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import evaluation, sweeping
from alerts.evaluation import Move
from alerts.models import AlertKind, AlertPolicy, Delivery, QuotaAlert
from plans.charges import Measure, PeriodKind
from plans.models import PolicyRule
from tests import cast
from tests.alerts.quotas import FEATURE, USED, channel, hold, quota, told, use
from tests.cast import Company
from tests.enforcement.api import Api
from tests.parallel import at_once
from tests.usage.crew import database_url
from usage import ledger
from usage.entries import End, Ending, Reading
from usage.models import UsageLog

ROOT = Path(__file__).resolve().parents[2]
# A process that answers a commit and is killed, as by kill -9, before it writes down what that reached.
KILLED = """
import json, os, signal, sys
import django
django.setup()
from django.test import Client
from alerts import evaluation

evaluation.notice = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
key, path = sys.argv[1:]
Client().post(path, json.dumps({"status": "success"}), content_type="application/json",
              headers={"Authorization": f"Bearer {key}"})
"""


def raise_limit(company: Company, calls: int) -> None:
    PolicyRule.objects.filter(tenant=company.tenant, key="DAILY_QUOTA").update(value=calls)


@pytest.mark.usefixtures("committed")
def test_the_sweep_tells_what_a_killed_process_booked_and_did_not_notice(acme: Company, svc: str) -> None:
    """Defects 30 and 46: never told, because whoever noticed it was gone."""
    api = Api(svc)
    quota(acme, 2)
    mail = channel(acme)
    reservation = hold(api)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, svc, f"/api/v1/reservations/{reservation}/commit"],
        cwd=ROOT, env=os.environ | {"DATABASE_URL": database_url()}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert UsageLog.objects.filter(reservation_id=reservation).exists()
    assert told(acme) == []
    assert sweeping.sweep() == 1
    assert told(acme) == [50]
    assert Delivery.objects.filter(channel=mail).count() == 1
    assert sweeping.sweep() == 0
    assert Delivery.objects.count() == 1


@pytest.mark.usefixtures("committed")
def test_sweeps_and_commits_at_once_tell_each_threshold_once(acme: Company, api: Api) -> None:
    """Defect 46."""
    quota(acme, 8)
    channel(acme)
    held = [hold(api) for _ in range(8)]
    commits = [lambda each=each: api.commit(each, **USED).status_code for each in held]
    at_once(*commits, *[sweeping.sweep] * 8)
    sweeping.sweep()
    assert sorted(told(acme)) == [50, 80, 100]
    assert Delivery.objects.filter(alert__subject__contains="period=DAY;measure=UNITS").count() == 3


def test_the_sweep_tells_nothing_again(acme: Company, api: Api) -> None:
    quota(acme, 10)
    use(api, 8)
    assert told(acme) == [50, 80]
    assert sweeping.sweep() == 0
    assert told(acme, resolved_at=None) == [50, 80]


def test_what_corrections_and_expiries_book_is_found_too(acme: Company, api: Api) -> None:
    quota(acme, 10)
    use(api, 1)
    row = UsageLog.objects.for_tenant(acme.tenant).get()
    right = End(kind=Ending.COMPLETED, totals=(None, None, None, None, None, 9, None, None), fingerprint="0" * 64)
    ledger.correct(acme.tenant.id, row.id, right)
    assert told(acme) == []
    sweeping.sweep()
    assert told(acme) == [50, 80]


def test_a_correction_below_a_threshold_resolves_it(acme: Company, api: Api) -> None:
    quota(acme, 10)
    assert api.commit(hold(api), status="success", usage={"api_calls": 9}).status_code == 200
    row = UsageLog.objects.for_tenant(acme.tenant).get()
    right = End(kind=Ending.COMPLETED, totals=(None, None, None, None, None, 6, None, None), fingerprint="0" * 64)
    ledger.correct(acme.tenant.id, row.id, right)
    sweeping.sweep()
    assert told(acme, resolved_at=None) == [50]
    assert told(acme, resolved_at__isnull=False) == [80]


def test_a_raised_limit_resolves_and_tells_anew(acme: Company, api: Api) -> None:
    """Defect 30: one row for ever."""
    quota(acme, 2)
    use(api, 2)
    assert told(acme) == [50, 100]
    raise_limit(acme, 10)
    assert sweeping.sweep() == 0
    assert told(acme, resolved_at=None) == []
    use(api, 3)
    assert told(acme) == [50, 100, 50]
    assert told(acme, resolved_at=None) == [50]


def test_a_lowered_limit_tells_what_is_reached_already(acme: Company, api: Api) -> None:
    quota(acme, 100)
    use(api, 3)
    raise_limit(acme, 3)
    assert sweeping.sweep() >= 1
    assert 100 in told(acme, resolved_at=None)


def test_a_limit_that_comes_back_opens_its_alerts_again_and_tells_nobody_twice(acme: Company, api: Api) -> None:
    quota(acme, 2)
    channel(acme)
    use(api, 2)
    raise_limit(acme, 100)
    sweeping.sweep()
    raise_limit(acme, 2)
    assert sweeping.sweep() == 0
    assert told(acme, resolved_at=None) == [50, 100]
    assert Delivery.objects.filter(alert__subject__contains="period=DAY;measure=UNITS").count() == 2


def test_a_new_period_tells_anew_and_resolves_the_old_one(acme: Company, api: Api) -> None:
    """Defect 30: told in the first period and in none after it."""
    quota(acme, 2)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    day = yesterday.replace(hour=0, minute=0, second=0, microsecond=0)
    scope = [None, FEATURE, None, "UNITS", "DAY", f"{day:%Y-%m-%d}T00:00:00+00:00",
             f"{yesterday + timedelta(days=1):%Y-%m-%d}T00:00:00+00:00", "API_CALLS"]  # fmt: skip
    assert evaluation.crossed(acme.tenant.id, [Move(scope, 2, 1, Reading(1, 0, 0))], yesterday) == 1
    use(api, 1)
    assert told(acme) == [50, 50]
    sweeping.sweep()
    (over,) = QuotaAlert.objects.for_tenant(acme.tenant).exclude(resolved_at=None)
    assert over.episode == f"{day.isoformat()};2"


def test_who_wants_to_be_told_what_is_over_is_told_once(acme: Company, api: Api) -> None:
    wants = channel(acme, name="wants", severities=[], events=["alert.resolved"])
    channel(acme, name="does not", severities=[])
    quota(acme, 2)
    use(api, 1)
    raise_limit(acme, 100)
    sweeping.sweep()
    sweeping.sweep()
    (delivery,) = Delivery.objects.all()
    (alert,) = QuotaAlert.objects.for_tenant(acme.tenant)
    assert (delivery.channel_id, delivery.event, delivery.payload["id"]) == (wants.id, "alert.resolved", str(alert.id))
    assert datetime.fromisoformat(delivery.payload["resolved_at"]) == alert.resolved_at


def test_a_policy_that_is_taken_away_resolves_its_alerts(acme: Company, api: Api) -> None:
    quota(acme, 2)
    use(api, 1)
    AlertPolicy.objects.create(tenant=acme.tenant, percents=[])
    sweeping.sweep()
    assert told(acme, resolved_at=None) == []


def test_calls_open_at_once_count_where_a_policy_names_them(acme: Company, api: Api) -> None:
    """Slots are held and never used: what is held counts."""
    AlertPolicy.objects.create(tenant=acme.tenant, measure=Measure.SLOTS, period=PeriodKind.OPEN, percents=[60])
    held = [hold(api) for _ in range(2)]  # of 3
    sweeping.sweep()
    (alert,) = QuotaAlert.objects.for_tenant(acme.tenant)
    assert (alert.threshold, alert.numbers["used"], alert.numbers["limit"]) == (60, 2, 3)
    assert api.commit(held[0], **USED).status_code == 200
    sweeping.sweep()
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_one_tenants_usage_is_told_to_no_other(acme: Company, rival: Company, api: Api) -> None:
    quota(acme, 2)
    use(api, 2)
    sweeping.sweep()
    assert not QuotaAlert.objects.for_tenant(rival.tenant).exists()
    assert not QuotaAlert.objects.of_operators().exists()
    assert QuotaAlert.objects.filter(kind=AlertKind.THRESHOLD).count() == len(told(acme))


def test_the_sweep_asks_as_much_of_many_tenants_as_of_few(
    acme: Company, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota(acme, 10)
    use(api, 1)
    sweeping.sweep()
    with CaptureQueriesContext(connection) as few:
        sweeping.sweep()
    for number in range(5):
        cast.make_tenant(f"MORE-{number}", people=0)
    sweeping.sweep()
    with CaptureQueriesContext(connection) as many:
        sweeping.sweep()
    assert len(many) == len(few)
    monkeypatch.setattr(sweeping, "TOGETHER", 2)
    use(api, 4)
    QuotaAlert.objects.all().delete()
    assert sweeping.sweep() == 1
