"""Brings a database up to this code (migrations, catalogue, demo world), once for each change."""

import hashlib
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg

from metering_site.embedded import folders, processes
from metering_site.embedded.processes import CannotStart

# Whose change may bring migrations, rows of the catalogue or another demo world.
SOURCES = ("tenants", "plans", "usage", "enforcement", "metering_site")
KINDS = {".py", ".sql", ".yaml"}

Step = tuple[str, Callable[[], None]]


def steps(data_dir: Path, variables: Mapping[str, str], url: str) -> Iterator[Step]:
    """What is left to do before the system can start, each with its title; nothing when all is as before."""
    stamp, env_file = data_dir / "prepared", data_dir / "dev.env"
    if env_file.exists() and stamp.exists() and stamp.read_text() == _fingerprint(variables, url):
        return
    stamp.unlink(missing_ok=True)

    def manage(*words: str) -> None:
        _manage(words, variables={**variables, "METERING_URL": url}, log=data_dir / "logs" / f"{words[0]}.log")

    yield "Migrating the database", lambda: manage("migrate", "--no-input")
    yield "Seeding the catalogue", lambda: manage("seed")
    yield "Making the demo world", lambda: manage("demo", "--env-file", str(env_file))
    stamp.write_text(_fingerprint(variables, url))


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a file in shell syntax; none where there is no file."""
    if not path.exists():
        return {}
    words = shlex.split(path.read_text(), comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)


def _fingerprint(variables: Mapping[str, str], url: str) -> str:
    """Of the code, of the address, and of the migrations the database has had, each with its instant.

    Another database, one migrated by hand or one begun anew therefore never looks prepared.
    """
    digest = hashlib.sha256(url.encode())
    digest.update(repr(_applied(variables["DATABASE_URL"])).encode())
    for folder in SOURCES:
        for path in sorted((folders.PROJECT / folder).rglob("*")):
            if path.suffix in KINDS:
                digest.update(path.read_bytes())
    digest.update((folders.PROJECT / "requirements.txt").read_bytes())
    return digest.hexdigest()


def _applied(database_url: str) -> list[tuple[object, ...]]:
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            return connection.execute("SELECT app, name, applied FROM django_migrations ORDER BY id").fetchall()
    except psycopg.errors.UndefinedTable:
        return []
    except psycopg.OperationalError as problem:
        raise CannotStart(f"PostgreSQL does not answer; check DATABASE_URL.\n{problem}") from None


def check(data_dir: Path, variables: Mapping[str, str]) -> Callable[[], None]:
    """Begin `manage.py check`, which needs no server; the answer waits for it and raises CannotStart where it fails."""
    return _begin(("check",), variables=variables, log=data_dir / "logs" / "check.log")


def _manage(words: tuple[str, ...], *, variables: Mapping[str, str], log: Path) -> None:
    _begin(words, variables=variables, log=log)()


def _begin(words: tuple[str, ...], *, variables: Mapping[str, str], log: Path) -> Callable[[], None]:
    process = processes.spawn([sys.executable, "manage.py", *words], log=log, env=variables)

    def end() -> None:
        try:
            code = process.wait()
        finally:
            process.kill()
        if code != 0:
            raise CannotStart(
                f"`manage.py {' '.join(words)}` failed with code {code}. The end of {log}:\n{processes.tail(log)}"
            )

    return end
