"""The embedded PostgreSQL: it starts anywhere, survives anything, and leaves nothing behind."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from metering_site.embedded import folders, processes, unprivileged
from metering_site.embedded.postgres import Postgres
from metering_site.embedded.processes import CannotStart

Make = Callable[[Path], Postgres]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


def rows(postgres: Postgres) -> list[int]:
    with psycopg.connect(postgres.url) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM kept ORDER BY n")]


def write(postgres: Postgres, *numbers: int) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        for number in numbers:
            connection.execute("INSERT INTO kept VALUES (%s)", [number])


def test_a_cluster_is_made_once_and_keeps_its_rows_over_a_stop(open_folder: Path, postgres_in: Make) -> None:
    first = postgres_in(open_folder)
    first.start()
    write(first, 1)
    first.stop()
    assert not first.is_running

    second = postgres_in(open_folder)
    second.start()
    assert rows(second) == [1]


def test_every_acknowledged_row_is_there_after_kill_9_of_all_its_processes(
    open_folder: Path, postgres_in: Make
) -> None:
    postgres = postgres_in(open_folder)
    postgres.start()
    write(postgres, *range(100))
    postgres.kill()
    assert not postgres.is_running

    postgres.start()
    assert rows(postgres) == list(range(100))


def test_a_pid_file_that_names_another_living_program_is_recovered_from(open_folder: Path, postgres_in: Make) -> None:
    postgres = postgres_in(open_folder)
    postgres.start()
    write(postgres, 1)
    pid_file = postgres.cluster / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postgres.kill()
    # As after a restart of the machine, when another program of the same user has got that number.
    with subprocess.Popen(["sleep", "60"]) as other:
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        postgres.start()
        assert rows(postgres) == [1]
        assert other.poll() is None
        other.kill()


def test_a_server_that_outlived_its_supervisor_is_replaced(open_folder: Path, postgres_in: Make) -> None:
    orphan, successor = postgres_in(open_folder), postgres_in(open_folder)
    orphan.start()
    write(orphan, 1)
    successor.start()
    assert not orphan.is_running
    assert rows(successor) == [1]


def test_an_interrupted_creation_is_begun_anew(open_folder: Path, postgres_in: Make) -> None:
    half_made = open_folder / "postgres.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    postgres = postgres_in(open_folder)
    postgres.start()
    assert not half_made.exists()
    write(postgres, 1)
    assert rows(postgres) == [1]


def test_a_path_too_long_for_a_socket_gets_a_short_one(open_folder: Path, postgres_in: Make) -> None:
    deep = open_folder / ("a" * 60) / ("b" * 60)
    postgres = postgres_in(deep)
    postgres.start()
    sockets = folders.socket_folder(deep)
    assert len(str(sockets / folders.POSTGRES_SOCKET)) < folders.LONGEST_SOCKET_PATH
    assert str(sockets) in postgres.url
    write(postgres, 1)
    assert rows(postgres) == [1]
    sockets.rename(open_folder / "sockets")


def test_a_cluster_of_another_version_is_left_alone_and_said_so(open_folder: Path, postgres_in: Make) -> None:
    cluster = open_folder / "postgres"
    cluster.mkdir()
    (cluster / "PG_VERSION").write_text("12\n")
    with pytest.raises(CannotStart, match="made by PostgreSQL 12"):
        postgres_in(open_folder).start()


def test_the_log_is_shown_when_the_server_refuses_to_start(open_folder: Path, postgres_in: Make) -> None:
    postgres = postgres_in(open_folder)
    postgres.start()
    postgres.stop()
    (postgres.cluster / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(CannotStart, match="no_such_setting"):
        postgres.start()


@as_root
def test_root_starts_it_in_a_folder_closed_to_everybody_else(tmp_path: Path, postgres_in: Make) -> None:
    tmp_path.chmod(0o700)
    postgres = postgres_in(tmp_path / "data")
    postgres.start()
    write(postgres, 1)
    assert rows(postgres) == [1]


@as_root
@pytest.mark.parametrize("way", unprivileged.WAYS, ids=lambda way: way.name)
def test_each_way_of_not_being_root_takes_over_the_cluster_of_another(
    way: unprivileged.Way, open_folder: Path, postgres_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = postgres_in(open_folder)
    postgres.start()
    write(postgres, 1)
    postgres.stop()
    monkeypatch.setattr(unprivileged, "WAYS", [way])
    try:
        postgres.start()
    except CannotStart as problem:
        pytest.skip(f"this machine does not allow it: {problem}")
    assert rows(postgres) == [1]
    assert postgres.cluster.stat().st_uid == way.owner


@as_root
def test_root_is_told_what_to_do_where_no_way_works(
    tmp_path: Path, postgres_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprivileged, "WAYS", [])
    with pytest.raises(CannotStart, match="Run as an ordinary user"):
        postgres_in(tmp_path).start()


def test_a_stopped_cluster_leaves_no_process(open_folder: Path, postgres_in: Make) -> None:
    postgres = postgres_in(open_folder)
    postgres.start()
    assert list(processes.working_in(postgres.cluster, "postgres"))
    postgres.stop()
    assert not list(processes.working_in(postgres.cluster, "postgres"))
