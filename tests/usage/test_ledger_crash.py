"""PostgreSQL killed under load, all its processes at once: what was acknowledged is there, and nothing else."""

import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import scalar_row

from metering_site.embedded.postgres import Postgres
from tests.usage.crew import crew, told_by

CRASHES = 2
LINES_BETWEEN = 200


@pytest.fixture
def cluster() -> Iterator[Postgres]:
    """A cluster of this test alone."""
    folder = Path(tempfile.mkdtemp(prefix="mtr"))
    folder.chmod(0o711)
    server = Postgres(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


def test_what_was_acknowledged_survives_kill_9_of_postgresql_and_the_audit_is_clean(cluster: Postgres) -> None:
    """Defect 15 (a crash between two steps) and defect 38 (usage kept in memory and lost).

    Each caller repeats what was not answered until it is, so in the end the books hold exactly what was told.
    """
    environment = {"DATABASE_URL": cluster.url}
    (task,) = told_by("prepare", 1, environment=environment)
    del task["caller"]
    told: list[dict[str, Any]] = []
    with crew("load", 6, environment=environment, **task) as callers:
        lines = callers.lines()
        for _ in range(CRASHES):
            told += islice(lines, LINES_BETWEEN)
            cluster.kill()
            cluster.start()
        told += islice(lines, LINES_BETWEEN)
        callers.stop()
        told += lines
    assert len(told) > (CRASHES + 1) * LINES_BETWEEN

    with psycopg.connect(cluster.url, row_factory=scalar_row) as connection:
        statuses = dict(connection.execute("SELECT (id::text, status) FROM usage_usagereservation"))
        logged = set(connection.execute("SELECT id::text FROM usage_usagelog"))
        used = list(connection.execute("SELECT used FROM usage_usagemeter WHERE measure = 'UNITS'"))
    for each in told:
        if each["id"] is not None:
            assert each["id"] in statuses, each
            assert each["status"] in (None, statuses[each["id"]]), each
        assert each.get("log") in logged | {None}, each
    assert used == [sum(each.get("tokens", 0) for each in told)]
    told_by("audit", 1, environment=environment)
