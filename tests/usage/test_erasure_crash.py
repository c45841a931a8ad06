"""kill -9 anywhere in an erasure, and again: it goes on, with the same pseudonym."""

from pathlib import Path

import pytest
from pytest_django import Settings

from tests.cast import Company
from tests.usage.killed import killed
from tests.usage.ledger_world import breaches
from tests.usage.named import USER, erase, everything, sums, use
from usage.models import Erasure

STEPS = {
    "before its first change": ("usage.erasure.work:_erase_everywhere", 0),
    "between reservations and the log": ("usage.erasure.work:_erase_log", 0),
    "between the log and the meters": ("usage.erasure.slices:erase", 4),
    "in the middle of the rest": ("usage.erasure.slices:erase", 8),
    "before the roll-ups": ("usage.erasure.rollups:erase", 0),
    "before it is proven": ("usage.erasure.work:_scan", 0),
    "before it forgets": ("usage.erasure.work:_finish", 0),
}


@pytest.mark.parametrize("step", STEPS)
def test_killed_and_run_again_it_goes_on_with_the_same_pseudonym(
    committed: None, acme: Company, tmp_path: Path, settings: Settings, step: str
) -> None:
    """Defect 15: a crash between two steps."""
    settings.ARCHIVE_DIR = tmp_path
    use(acme)
    before = sums(acme)
    killed(*STEPS[step], "erase_user", "ACME", USER, "--yes")
    begun = Erasure.objects.get()
    assert not breaches(acme.tenant.id)

    assert erase(acme) == begun.pseudonym

    assert sums(acme) == before
    assert not breaches(acme.tenant.id)
    assert [each for each in everything() if USER in each[2]] == []
    assert Erasure.objects.get().finished_at is not None
