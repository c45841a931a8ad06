"""The folder of a month: Parquet files and a manifest of what is in them; written, and compared with the database."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from tenants import database
from usage.archive import parquet, queries
from usage.archive.columns import COUNTERS, TYPES

FORMAT = 1
MANIFEST = "manifest.json"
_SLICE = 5_000  # rows in one statement
_SLICES = 20  # in one file
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)

Tell = Callable[[int], None]
"""Hears how many more rows are done."""


class Differs(Exception):
    """The files do not say what the database says, or not what their manifest says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a month: rows with ids from `first_id` to `last_id`."""

    name: str
    rows: int
    first_id: UUID
    last_id: UUID
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a month's files hold: sums of every counter, and of charges and overruns by measure."""

    format: int
    table: str
    month: date
    rows: int
    first_id: UUID | None
    last_id: UUID | None
    sums: Mapping[str, int]
    charges: Mapping[str, int]
    overruns: Mapping[str, int]
    columns: Mapping[str, str]
    versions: Mapping[str, str]
    files: Sequence[File]

    def paths(self, folder: Path) -> list[Path]:
        return [folder / file.name for file in self.files]

    def save(self, folder: Path) -> None:
        """Writes it beside its files, whole or not at all."""
        text = orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATACLASS)
        partial = folder / f"{MANIFEST}.partial"
        partial.write_bytes(text)
        partial.replace(folder / MANIFEST)


def folder_of(archive: Path, month: date) -> Path:
    """Where a month's files are."""
    return archive / f"{month:%Y-%m}"


def load(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where there is none. Raises Differs where it cannot be read."""
    try:
        said: dict[str, Any] = orjson.loads((folder / MANIFEST).read_bytes())
        files = [File(**_ids(each)) for each in said["files"]]
        found = Manifest(**_ids(said) | {"month": date.fromisoformat(said["month"]), "files": files})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise Differs(f"{folder / MANIFEST} cannot be read: {error}.") from None
    if found.format != FORMAT:
        raise Differs(f"{folder / MANIFEST} is of format {found.format}, and this program writes {FORMAT}.")
    return found


def write(table: str, month: date, folder: Path, tell: Tell) -> None:
    """Writes a partition to its folder, which appears once all of it is there. Raises parquet.Missing."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with parquet.session(partial) as (db, scratch):
        written: list[File] = []
        sent, after = scratch / "sent.csv", _FIRST
        while (through := _send(table, after, None, sent, tell)) != after:
            path = partial / f"log-{len(written) + 1:04}.parquet"
            parquet.of_csv(db, sent, path)
            written.append(described(db, path))
            after = through
        manifest = summed(db, month, partial, written)
    manifest.save(partial)
    partial.rename(folder)


def described(db: Any, path: Path) -> File:  # noqa: ANN401 - DuckDB may not be there
    """What a manifest says of a file."""
    rows, first, last = parquet.ends(db, path)
    return File(
        name=path.name, rows=rows, first_id=first, last_id=last, bytes=path.stat().st_size,
        sha256=parquet.sha256(path),
    )  # fmt: skip


def summed(db: Any, month: date, folder: Path, files: Sequence[File]) -> Manifest:  # noqa: ANN401 - as above
    """The manifest of files, with what DuckDB finds in them."""
    paths = [folder / file.name for file in files]
    rows, sums = parquet.counted(db, paths) if paths else (0, dict.fromkeys(COUNTERS, 0))
    by_measure = parquet.charged(db, paths) if paths else {}
    return Manifest(
        format=FORMAT,
        table="usage_usagelog",
        month=month,
        rows=rows,
        first_id=files[0].first_id if files else None,
        last_id=files[-1].last_id if files else None,
        sums=sums,
        charges={measure: by_measure[measure][0] for measure in sorted(by_measure)},
        overruns={measure: by_measure[measure][1] for measure in sorted(by_measure)},
        columns=TYPES,
        versions={"duckdb": parquet.version(), "postgresql": database.rows("SHOW server_version")[0][0]},
        files=list(files),
    )


def verify(table: str, folder: Path, tell: Tell) -> Manifest:
    """Reads a folder back and compares it with the partition: every row in every column, and the sums as each of the
    two adds them up. Raises Differs, parquet.Missing.
    """
    manifest = load(folder)
    if manifest is None:
        raise Differs(f"{folder} has no {MANIFEST}.")
    verify_hashes(folder, manifest)
    with parquet.session(folder.parent) as (db, scratch):
        after = _FIRST
        for place, file in enumerate(manifest.files, 1):
            through = _LAST if place == len(manifest.files) else file.last_id
            _send(table, after, through, scratch / "sent.csv", tell)
            if wrong := parquet.differing(db, scratch / "sent.csv", folder / file.name):
                raise Differs(f"{folder / file.name} and {table} differ in {wrong:,} rows.")
            after = through
        said = summed(db, manifest.month, folder, manifest.files)
    rows, sums, charges, overruns = _counted(table)
    for what, database_says, files_say in (
        ("rows", rows, said.rows), ("sums", sums, said.sums), ("charges", charges, said.charges),
        ("overruns", overruns, said.overruns),
    ):  # fmt: skip
        if database_says != files_say:
            raise Differs(f"{what} of {table}: the database says {database_says}, the files say {files_say}.")
    if said.rows != manifest.rows or said.sums != manifest.sums or said.charges != manifest.charges:
        raise Differs(f"{folder / MANIFEST} does not say what its files say.")
    return manifest


def verify_hashes(folder: Path, manifest: Manifest) -> None:
    """Reads every file once more. Raises Differs where one is not as it was written."""
    for file in manifest.files:
        path = folder / file.name
        if not path.is_file():
            raise Differs(f"{path} is missing.")
        if parquet.sha256(path) != file.sha256:
            raise Differs(f"{path} is not as it was written.")


def sync(folder: Path) -> None:
    """Makes sure that a folder is on the disk with all that is in it, whatever happens to the machine then."""
    for path in (*folder.iterdir(), folder, folder.parent):
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def archived(archive: Path) -> Iterator[tuple[Path, Manifest]]:
    """The folders of all months that are complete, oldest first."""
    for folder in sorted(archive.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]")):
        manifest = load(folder)
        if manifest is not None:
            yield folder, manifest


def _send(table: str, after: UUID, through: UUID | None, path: Path, tell: Tell) -> UUID:
    """Writes rows with ids after `after` as CSV, up to `through` or else as many as a file takes; the last id."""
    with path.open("wb") as sent:
        slices = 0
        while through is not None or slices < _SLICES:
            last, rows = database.rows(queries.SLICE.format(table=table), {"after": after, "most": _SLICE})[0]
            if last is None or (through is not None and after >= through):
                break
            end = last if through is None else min(last, through)
            with database.short_statements(), connection.cursor() as cursor:
                statement = queries.SEND.format(table=table, after=after, through=end)
                with cursor.copy(statement) as copy:
                    for chunk in copy:
                        sent.write(chunk)
            after, slices = end, slices + 1
            tell(rows)
    return after


def _counted(table: str) -> tuple[int, dict[str, int], dict[str, int], dict[str, int]]:
    """What PostgreSQL adds up: rows, counters, and charges and overruns by measure."""
    rows, after = 0, _FIRST
    sums, charges, overruns = (Counter[str]() for _ in range(3))
    while True:
        last, _ = database.rows(queries.SLICE.format(table=table), {"after": after, "most": _SLICE})[0]
        if last is None:
            break
        about = {"after": after, "through": last}
        count, *found = database.rows(queries.COUNTED.format(table=table), about)[0]
        rows += count
        sums.update({name: int(number or 0) for name, number in zip(COUNTERS, found, strict=True)})
        for measure, charge, overrun in database.rows(queries.CHARGED.format(table=table), about):
            charges[measure] += int(charge)
            overruns[measure] += int(overrun)
        after = last
    return rows, {name: sums[name] for name in COUNTERS}, dict(sorted(charges.items())), dict(sorted(overruns.items()))


def _ids(said: Mapping[str, Any]) -> dict[str, Any]:
    return dict(said) | {name: None if said[name] is None else UUID(said[name]) for name in ("first_id", "last_id")}
