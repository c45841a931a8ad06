"""Archived months: the files in which a user is named are written anew without them."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tenants import database
from usage.archive import files, parquet
from usage.archive.files import Differs, File, Manifest
from usage.erasure.proof import Proof, Tell
from usage.models import Erasure, LogArchive

if TYPE_CHECKING:
    import duckdb

_CHANGED = ("user_key", "metadata", "correlation_id", "error", "ask", "decision")
_JSON = frozenset({"metadata", "ask", "decision"})
_TOGETHER = 500
# The one definition of what an erasure makes of a row is the database's.
_ERASED = """
    SELECT n.id, n.user_key, n.metadata::text, n.correlation_id, n.error, n.ask::text, n.decision::text
      FROM jsonb_array_elements(%(rows)s::jsonb) AS r(row),
           LATERAL ledger_erased_log(
               jsonb_populate_record(NULL::usage_usagelog, r.row),
               jsonb_populate_record(NULL::usage_erasure, %(erasure)s::jsonb)) AS n
"""


@dataclass(frozen=True, slots=True)
class _Named:
    """Rows of a file that name the user, as they are to be: id, then _CHANGED."""

    rows: int
    erased: Sequence[tuple[Any, ...]]


class NotHere(Exception):
    """Months are archived whose files are somewhere else."""


def require_here(archive: Path) -> None:
    """Raises NotHere, and parquet.Missing where DuckDB is needed and not there."""
    months = list(LogArchive.objects.all())
    if not months:
        return
    parquet.version()
    gone = [str(month) for month in months if not (files.folder_of(archive, month.month) / files.MANIFEST).is_file()]
    if gone:
        raise NotHere(
            f"The files of {', '.join(gone)} are not in {archive}: bring them there, or pass --without-archive."
        )


def look(archive: Path, erasure: Erasure, known: Sequence[str], tell: Tell) -> list[Proof]:
    """How many rows of each file name the user."""
    proof = []
    for folder, manifest in files.archived(archive):
        with parquet.session(archive) as (db, _):
            for file in manifest.files:
                tell(f"{folder.name}/{file.name}")
                named = _named(db, folder / file.name, erasure, known)
                proof.append(Proof(f"{folder.name}/{file.name}", "all", named.rows, len(named.erased)))
    return proof


def erase(archive: Path, erasure: Erasure, known: Sequence[str], tell: Tell) -> None:
    """Writes the files that name the user anew. Raises Differs where one is not as it was written."""
    for folder, manifest in files.archived(archive):
        _remove_strays(folder, manifest)
        with parquet.session(archive) as (db, _):
            for place, file in enumerate(manifest.files):
                tell(f"{folder.name}/{file.name}")
                named = _named(db, folder / file.name, erasure, known)
                if named.erased:
                    files.verify_hashes(folder, manifest)
                    manifest = _replaced(db, folder, manifest, place, named)  # noqa: PLW2901 - one after the other
        _remove_strays(folder, manifest)


def _named(db: "duckdb.DuckDBPyConnection", path: Path, erasure: Erasure, known: Sequence[str]) -> _Named:
    of_tenant = f"FROM read_parquet('{_quoted(path)}') WHERE tenant_id = '{erasure.tenant_id}'"
    counted = db.execute(f"SELECT count(*) {of_tenant}").fetchone()
    # In JSON a name may be spelt with escapes.
    spelt = {word for each in known for word in (each, orjson.dumps(each).decode()[1:-1])}
    texts = " || ' ' || ".join(f"coalesce({name}::VARCHAR, '')" for name in _CHANGED)
    found = db.execute(
        f"SELECT id, tenant_id, {', '.join(_CHANGED)} {of_tenant} "
        f"AND ({' OR '.join(f'contains({texts}, $word{place})' for place in range(len(spelt)))})",
        {f"word{place}": word for place, word in enumerate(spelt)},
    )
    erased: list[tuple[Any, ...]] = []
    while page := found.fetchmany(_TOGETHER):
        erased += _erased(page, erasure)
    return _Named(counted[0] if counted else 0, erased)


def _erased(page: Sequence[tuple[Any, ...]], erasure: Erasure) -> Iterator[tuple[Any, ...]]:
    """Those of the rows that change, as they are then."""
    rows = [
        {"id": id_, "tenant_id": tenant}
        | {
            name: orjson.Fragment(value) if name in _JSON and value is not None else value
            for name, value in zip(_CHANGED, values, strict=True)
        }
        for id_, tenant, *values in page
    ]
    before = {id_: tuple(values) for id_, _, *values in page}
    about = {
        "id": erasure.id, "tenant_id": erasure.tenant_id, "user_key": erasure.user_key, "pattern": erasure.pattern,
        "pseudonym": erasure.pseudonym,
    }  # fmt: skip
    found = database.rows(_ERASED, {"rows": orjson.dumps(rows).decode(), "erasure": orjson.dumps(about).decode()})
    for id_, *values in found:
        if tuple(values) != before[id_]:
            yield (id_, *values)


def _replaced(db: "duckdb.DuckDBPyConnection", folder: Path, manifest: Manifest, place: int, named: _Named) -> Manifest:
    """The manifest with a file written anew: first the file, under a new name, then the manifest that names it."""
    old = manifest.files[place]
    new = folder / f"{old.name.split('-erased-')[0].removesuffix('.parquet')}-erased-{secrets.token_hex(4)}.parquet"
    types = ", ".join(f"{name} {'JSON' if name in _JSON else 'VARCHAR'}" for name in _CHANGED)
    db.execute(f"CREATE OR REPLACE TEMP TABLE erased (id UUID, {types})")
    db.executemany(f"INSERT INTO erased VALUES ({', '.join('?' * (1 + len(_CHANGED)))})", named.erased)  # noqa: S608
    changes = ", ".join(f"CASE WHEN e.id IS NULL THEN l.{name} ELSE e.{name} END AS {name}" for name in _CHANGED)
    db.execute(
        f"COPY (SELECT l.* REPLACE ({changes}) FROM read_parquet('{_quoted(folder / old.name)}') l "  # noqa: S608
        f"LEFT JOIN erased e ON e.id = l.id ORDER BY l.id) TO '{_quoted(new)}' (FORMAT parquet, COMPRESSION zstd)"
    )
    written: list[File] = list(manifest.files)
    written[place] = files.described(db, new)
    result = files.summed(db, manifest.month, folder, written)
    if (result.rows, result.sums, result.charges, result.overruns) != (
        manifest.rows, manifest.sums, manifest.charges, manifest.overruns
    ):  # fmt: skip
        raise Differs(f"{new} does not add up as {old.name} did.")
    result.save(folder)
    files.sync(folder)
    return result


def _remove_strays(folder: Path, manifest: Manifest) -> None:
    """Files that the manifest does not name: of an erasure that was stopped, or written anew since."""
    kept = {file.name for file in manifest.files}
    for path in folder.glob("*.parquet"):
        if path.name not in kept:
            path.unlink()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
