"""Several processes count together, and what the dead counted stays."""

import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from metering_site.embedded import processes
from metering_site.metrics import files, folder
from tests.metering_site.scraped import read, value

# As a process of a web server does: the folder first, then what counts.
_COUNT = """
import sys
from pathlib import Path
from metering_site.metrics import folder
print(folder.begin(Path(sys.argv[1])), flush=True)
from prometheus_client import Counter, Gauge, Histogram
Counter("calls_total", "", ["of"]).labels("me").inc(2)
Histogram("took_seconds", "", buckets=(1.0, 2.0)).observe(1.5)
Gauge("busy", "", multiprocess_mode="livesum").inc()
sys.stdin.read()
"""


def start(place: Path) -> tuple["subprocess.Popen[str]", Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", _COUNT, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: "subprocess.Popen[str]") -> None:
    process.communicate("")


def counted(place: Path) -> list[float]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(place))  # type: ignore[no-untyped-call]  # prometheus-client's
    with folder.held(place):
        files.gather_dead(place)
    found = read(generate_latest(registry).decode())
    return [
        value(found, "calls_total", of="me"),
        value(found, "took_seconds_count"),
        value(found, "took_seconds_bucket", le="2.0"),
        value(found, "busy"),
    ]


def test_no_count_falls_when_a_process_ends_and_its_files_are_gone(tmp_path: Path) -> None:
    one, place = start(tmp_path)
    other, same = start(tmp_path)
    assert place == same  # of one parent
    assert wait_for_both(place) == [4, 2, 2, 2]
    for process, busy in ((one, 1), (other, 0)):
        end(process)
        assert counted(place) == [4, 2, 2, busy]
        assert not list(place.glob(f"*_{process.pid}.db"))
    again, _ = start(tmp_path)
    again_counted = wait_for_both(place, calls=6)
    end(again)
    assert again_counted == [6, 3, 3, 1]
    assert counted(place) == [6, 3, 3, 0]
    assert {path.name for path in place.glob("*.db")} == {"counter_dead.db", "histogram_dead.db"}


def wait_for_both(place: Path, calls: int = 4) -> list[float]:
    """Once every process has counted: each writes three times after it said where."""
    found: list[float] = []

    def have_all() -> bool:
        found[:] = counted(place)
        return found[0] >= calls and found[1] >= calls / 2 and found[3] >= 1

    assert processes.wait_until(have_all, seconds=30), found
    return found


def test_what_a_server_left_that_is_gone_is_removed_by_the_next(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / str(gone.pid)
    left.mkdir()
    (left / "counter_1.db").touch()
    (tmp_path / "notes").mkdir()  # not ours
    process, place = start(tmp_path)
    end(process)
    assert not left.exists()
    assert (tmp_path / "notes").exists()
    assert place.stat().st_mode & 0o077 == 0


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, str(tmp_path / "link")], capture_output=True, text=True, check=False
    )
    assert "METRICS_DIR" in done.stderr


def test_what_a_killed_process_left_half_written_keeps_nobody_from_counting(tmp_path: Path) -> None:
    process, place = start(tmp_path)
    end(process)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (place / f"histogram_{gone.pid}.db").touch()
    assert counted(place)[:2] == [2, 1]
    assert not list(place.glob(f"*_{gone.pid}.db"))
