"""The data of one user in files: the months that are archived, and what is given to them."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import orjson
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tests.cast import Company
from tests.usage.history import age, without_old_months
from tests.usage.ledger_world import breaches
from tests.usage.named import OTHER, USER, erase, use
from usage.archive import files
from usage.models import UsageMeter


@pytest.fixture(autouse=True)
def _no_old_months(committed: None) -> Iterator[None]:
    with without_old_months():
        yield


@pytest.fixture(autouse=True)
def archive(tmp_path: Path, settings: Settings) -> Path:
    settings.ARCHIVE_DIR = tmp_path / "archive"
    return tmp_path / "archive"


def test_an_erasure_reaches_the_archived_months(acme: Company, rival: Company, archive: Path) -> None:
    for company in (acme, rival):
        use(company)
        use(company, OTHER)
        age(company.tenant.id)
    call_command("archive_usage", stdout=StringIO())
    ((folder, before),) = files.archived(archive)
    call_command("export_user", "ACME", USER, output=archive / "before", stdout=StringIO())
    said = [orjson.loads(line) for line in (archive / "before").read_bytes().splitlines()]
    assert {row["kind"] for row in said} >= {"about", "usage_usagelog", "usage_usagemeter"}
    assert sum(row["kind"] == "usage_usagelog" for row in said) == 4
    assert all(row.get("user_key", USER) == USER for row in said)

    pseudonym = erase(acme)

    ((_, after),) = files.archived(archive)
    assert (after.rows, after.sums, after.charges) == (before.rows, before.sums, before.charges)
    files.verify_hashes(folder, after)
    assert {path.name for path in folder.glob("*.parquet")} == {file.name for file in after.files}
    for company, user, rows in ((acme, USER, 0), (acme, pseudonym, 4), (acme, OTHER, 4), (rival, USER, 4)):
        out = archive / f"{company.tenant.ati_id}-{user}"
        call_command("export_user", company.tenant.ati_id, user, output=out, stdout=StringIO())
        lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
        assert sum(row["kind"] == "usage_usagelog" for row in lines) == rows, (company.tenant.ati_id, user)
    assert not breaches(acme.tenant.id)


def test_files_that_are_elsewhere_are_asked_for(acme: Company, archive: Path) -> None:
    use(acme)
    age(acme.tenant.id)
    call_command("archive_usage", stdout=StringIO())
    archive.rename(archive.with_name("elsewhere"))
    with pytest.raises(CommandError, match="bring them there, or pass --without-archive"):
        erase(acme)
    assert UsageMeter.objects.filter(user_key=USER).exists()
    assert erase(acme, without_archive=True)


def test_an_export_says_what_is_kept_and_no_internals(acme: Company, archive: Path, tmp_path: Path) -> None:
    person = acme.people[0].user
    use(acme, str(person.pk))
    use(acme)
    out = tmp_path / "mine.ndjson"
    call_command("export_user", "ACME", str(person.pk), output=out, stdout=StringIO())
    rows = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    kinds = {row["kind"] for row in rows}
    assert kinds == set(rows[0]["kinds"])
    assert rows[0]["user"] == str(person.pk)
    (account,) = [row for row in rows if row["kind"] == "account"]
    assert account["email"] == person.email
    text = out.read_text()
    assert USER not in text
    assert "hash" not in text
    assert "fingerprint" not in text
    (booked,) = [
        row
        for row in rows
        if row["kind"] == "usage_usagelog" and row["status"] == "COMPLETED" and row["reservation_id"]
    ]
    assert booked["cost"] == "0.00000006"
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_user", "ACME", USER, output=out, stdout=StringIO())
