"""`manage.py rollups` and `manage.py generate_usage`."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from tenants.models import Tenant
from tests.usage import rolled
from tests.usage.ledger_world import Books
from tests.usage.rolled import Traffic, assert_equal_to_the_log
from usage import rollups
from usage.audit import audit
from usage.models import Denial, LogArchive, LogStatus, UsageLog, UsageRollup


def said(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def filled() -> str:
    rolled.wait_for_others()
    return said("rollups", "fill")


def test_it_says_how_far_the_roll_ups_are(committed: None, books: Books) -> None:
    with pytest.raises(CommandError, match="far behind"):
        said("rollups", "status")
    Traffic(books, 1).event()
    assert filled().startswith("1 bookings added; as of 2")
    assert "lacking: 0 bookings, 0 refusals" in said("rollups", "status")
    Traffic(books, 2).event()
    Traffic(books, 2).refuse()
    assert "lacking: 1 bookings, 1 refusals" in said("rollups", "status")


def test_it_computes_a_time_anew(committed: None, books: Books) -> None:
    Traffic(books, 1).go_on(30)
    filled()
    UsageRollup.objects.update(units=0)
    since, until = (f"{books.at + timedelta(days=days):%Y-%m-%d}" for days in (-4, 1))
    assert said("rollups", "rebuild", "--from", since, "--to", until) == "Computed anew.\n"
    assert_equal_to_the_log()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--from", "soon"), "neither a date nor an instant"),
        (("--from", "0001-01-01"), "not in the years"),
        (("--from", "2026-11-02", "--to", "2026-11-01"), "--from must be before --to"),
        ((), "--from"),
    ],
)
def test_a_time_that_is_none_is_refused(arguments: tuple[str, ...], reason: str, committed: None) -> None:
    with pytest.raises(CommandError, match=reason):
        said("rollups", "rebuild", *arguments)


def test_a_time_whose_log_is_archived_is_refused_in_words(committed: None) -> None:
    LogArchive.objects.create(month="2026-01-01", rows=0)
    with pytest.raises(CommandError, match=r"Nothing was changed\. The log before 2026-02-01 is archived"):
        said("rollups", "rebuild", "--from", "2026-01-15", "--to", "2026-03-01")
    assert rollups.state().rebuilding is None


def test_a_restored_database_is_told_what_to_do(committed: None, books: Books) -> None:
    Traffic(books, 1).go_on(10)
    filled()
    assert "Nothing to do" in said("rollups", "restored")
    ahead = str(rollups.state().following + 30_000)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE usage_rollupstate SET transaction_id = %s::xid8", [ahead])
    for verb in ("status", "fill"):
        with pytest.raises(CommandError, match="rollups restored"):
            said("rollups", verb)
    assert "all is computed anew" in said("rollups", "restored")
    filled()
    assert_equal_to_the_log()


def test_generated_usage_is_as_the_ledger_writes_it(committed: None) -> None:
    """The audit finds meters and log in agreement, and running it again adds to both."""
    for _ in range(2):
        assert "300 rows in" in said(
            "generate_usage", "--rows", "300", "--tenants", "2", "--days", "40", "--users", "9"
        )
    assert Tenant.objects.filter(ati_id__startswith="GENERATED_").count() == 2
    assert UsageLog.objects.count() == 600
    assert set(UsageLog.objects.values_list("status", flat=True)) <= set(LogStatus)
    assert UsageLog.objects.filter(occurred_at__gte=timezone.now() - timedelta(days=41)).count() == 600
    assert Denial.objects.exists()
    assert audit(full=True).breaches == ()
    rolled.fill()
    assert_equal_to_the_log()
