"""The embedded Valkey: keys survive a stop, an orphan is replaced."""

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from metering_site.embedded.processes import CannotStart
from metering_site.embedded.valkey import Valkey

Make = Callable[[Path], Valkey]


def client(valkey: Valkey) -> redis.Redis:
    return redis.Redis.from_url(valkey.url)


def test_keys_are_there_after_a_stop_and_a_start(open_folder: Path, valkey_in: Make) -> None:
    valkey = valkey_in(open_folder)
    valkey.start()
    with client(valkey) as connection:
        connection.set("queued", "1")
    valkey.stop()
    assert not valkey.is_running

    valkey.start()
    with client(valkey) as connection:
        assert connection.get("queued") == b"1"


def test_a_killed_server_starts_over_its_stale_socket(open_folder: Path, valkey_in: Make) -> None:
    valkey = valkey_in(open_folder)
    valkey.start()
    valkey.kill()
    valkey.start()
    with client(valkey) as connection:
        assert connection.ping()


def test_a_server_that_outlived_its_supervisor_is_replaced(open_folder: Path, valkey_in: Make) -> None:
    orphan, successor = valkey_in(open_folder), valkey_in(open_folder)
    orphan.start()
    with client(orphan) as connection:
        connection.set("queued", "1")
    successor.start()
    assert not orphan.is_running
    with client(successor) as connection:
        assert connection.get("queued") == b"1"


def test_the_log_is_shown_when_the_server_refuses_to_start(open_folder: Path, valkey_in: Make) -> None:
    (open_folder / "valkey" / "appendonlydir").mkdir(parents=True)
    (open_folder / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(CannotStart, match="manifest"):
        valkey_in(open_folder).start()
