"""Parquet files of log rows, through DuckDB, which is installed where months are archived and nowhere else."""

# ruff: noqa: S608 - names of columns and paths of ours, as literals

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from usage.archive.columns import COUNTERS, CSV, READ

try:
    import duckdb
except ImportError:  # the extra [archive]
    duckdb = None  # type: ignore[assignment]  # asked for before it is used

SCRATCH = ".scratch-"
_FILES = "read_parquet($files)"


class Missing(Exception):
    """DuckDB is not installed."""


def version() -> str:
    """DuckDB's. Raises Missing."""
    if duckdb is None:
        raise Missing("Archives are Parquet files, which need DuckDB: pip install -r requirements-archive.txt")
    return str(duckdb.__version__)


@contextmanager
def session(parent: Path) -> "Iterator[tuple[duckdb.DuckDBPyConnection, Path]]":
    """A DuckDB of its own, in memory, and a folder in `parent` for what does not fit there. Raises Missing."""
    version()
    with tempfile.TemporaryDirectory(dir=parent, prefix=SCRATCH) as scratch:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": 2,
            "memory_limit": "512MB",
            "temp_directory": scratch,
        }
        with duckdb.connect(":memory:", config=settings) as db:
            db.execute("SET TimeZone = 'UTC'")
            yield db, Path(scratch)


def of_csv(db: "duckdb.DuckDBPyConnection", sent: Path, file: Path) -> None:
    """Makes a file of what PostgreSQL sent."""
    rows = f"SELECT {READ} FROM read_csv({_text(sent)}, {CSV})"
    db.execute(f"COPY ({rows}) TO {_text(file)} (FORMAT parquet, COMPRESSION zstd)")


def differing(db: "duckdb.DuckDBPyConnection", sent: Path, file: Path) -> int:
    """How many rows of what PostgreSQL sent and of the file are not in the other, in every column alike."""
    db.execute(f"CREATE OR REPLACE TEMP TABLE sent AS SELECT {READ} FROM read_csv({_text(sent)}, {CSV})")
    rows = f"SELECT * FROM read_parquet({_text(file)})"
    return int(
        _one(
            db,
            f"SELECT (SELECT count(*) FROM (FROM sent EXCEPT ALL {rows})) "
            f"+ (SELECT count(*) FROM ({rows} EXCEPT ALL FROM sent))",
        )[0]
    )


def counted(db: "duckdb.DuckDBPyConnection", files: Sequence[Path]) -> tuple[int, dict[str, int]]:
    """How many rows, and the sum of each counter."""
    sums = ", ".join(f'sum("{name}")' for name in COUNTERS)
    rows, *found = _one(db, f"SELECT count(*), {sums} FROM {_FILES}", files)
    return int(rows), {name: int(number or 0) for name, number in zip(COUNTERS, found, strict=True)}


def charged(db: "duckdb.DuckDBPyConnection", files: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """The sums of charges and overruns of each measure."""
    each = f"SELECT unnest(measures) AS measure, unnest(charges) AS charge, unnest(overruns) AS overrun FROM {_FILES}"
    found = db.execute(
        f"SELECT measure, sum(charge), sum(overrun) FROM ({each}) GROUP BY measure", {"files": _texts(files)}
    ).fetchall()
    return {measure: (int(charges), int(overruns)) for measure, charges, overruns in found if measure is not None}


def metered(
    db: "duckdb.DuckDBPyConnection", files: Sequence[Path], most: int
) -> Iterator[list[tuple[UUID, UUID, int]]]:
    """The charges of each meter as (tenant, meter, sum), in that order, at most so many at a time; not those of 0."""
    each = f"SELECT tenant_id AS tenant, unnest(meters) AS meter, unnest(charges) AS charge FROM {_FILES}"
    found = db.execute(
        f"SELECT tenant, meter, sum(charge)::BIGINT FROM ({each}) WHERE meter IS NOT NULL "
        "GROUP BY tenant, meter HAVING sum(charge) <> 0 ORDER BY tenant::VARCHAR, meter::VARCHAR",
        {"files": _texts(files)},
    )
    while page := found.fetchmany(most):
        yield page


def ends(db: "duckdb.DuckDBPyConnection", file: Path) -> tuple[int, UUID, UUID]:
    """How many rows a file has, and its first and last id."""
    rows, first, last = _one(db, f"SELECT count(*), min(id::VARCHAR), max(id::VARCHAR) FROM {_FILES}", [file])
    return int(rows), UUID(first), UUID(last)


def sha256(file: Path) -> str:
    """The hash of a file, hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _one(db: "duckdb.DuckDBPyConnection", query: str, files: Sequence[Path] = ()) -> tuple[Any, ...]:
    found: tuple[Any, ...] | None = db.execute(query, {"files": _texts(files)} if files else None).fetchone()
    assert found is not None, query  # noqa: S101 - an aggregate has a row
    return found


def _texts(files: Sequence[Path]) -> list[str]:
    return [str(file) for file in files]


def _text(path: Path) -> str:
    """A path as a literal of SQL."""
    return "'" + str(path).replace("'", "''") + "'"
