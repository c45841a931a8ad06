"""kill -9 anywhere in an archiving, and again: the result is complete, and nothing is in it twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.cast import Company
from tests.usage.history import without_old_months
from tests.usage.killed import killed
from tests.usage.test_archive import is_clean, meters, old, run
from usage.archive import files, months
from usage.models import LogArchive, UsageLog

STEPS = {
    "before the first row": ("usage.archive.parquet:of_csv", 0),
    "with files and no manifest": ("usage.archive.files:summed", 0),
    "with a manifest and no folder": ("pathlib:Path.rename", 0),
    "with a folder that was not compared": ("usage.archive.files:verify", 0),
    "while it compares": ("usage.archive.parquet:differing", 0),
    "with meters raised": ("usage.archive.months:_locked_out", 0),
    "with the month detached, in the transaction": ("usage.models:LogArchive.objects.create", 0),
    "before the table is dropped": ("usage.archive.months:_drop", 0),
}


@pytest.fixture(autouse=True)
def _no_old_months(committed: None) -> Iterator[None]:
    with without_old_months():
        yield


@pytest.mark.parametrize("step", STEPS)
def test_killed_and_run_again_it_is_complete(acme: Company, tmp_path: Path, settings: Settings, step: str) -> None:
    """Defect 15: a crash between two steps."""
    settings.ARCHIVE_DIR = tmp_path
    month = old(acme)
    before = meters(acme)
    killed(*STEPS[step], "archive_usage", environment={"ARCHIVE_DIR": str(tmp_path)})
    assert is_clean(acme)
    assert meters(acme) == before

    run()

    assert is_clean(acme)
    assert meters(acme) == before
    assert not UsageLog.objects.exists()
    assert month.table not in [each.table for each in months.due(13)]
    (manifest,) = (manifest for _, manifest in files.archived(tmp_path))
    assert manifest.rows == LogArchive.objects.get().rows == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == [str(month)]
