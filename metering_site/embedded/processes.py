"""Starting, finding and ending the operating system's processes for the embedded servers and the stack."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

LOG_KEPT_BYTES = 10_000_000


class CannotStart(Exception):
    """Something that the person at the terminal has to know; the message says what to do."""


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    uid: int | None = None,
    prepare: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own (Ctrl-C does not reach it), its output appended to `log`.

    `uid` is the user and group it runs as (None: the caller's own); `prepare` runs in the child first.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509 - the callers have one thread
        )


def wait_until(ready: Callable[[], bool], *, seconds: float, every: float = 0.02) -> bool:
    """Ask `ready` until it says yes or the time is up; the last answer."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def end(process: subprocess.Popen[bytes], signal: int, *, seconds: float) -> None:
    """Ask a child to stop with `signal`, and kill it when it is still there after `seconds`."""
    if process.poll() is not None:
        return
    process.send_signal(signal)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_alive(pid: int) -> bool:
    """Whether a process with this id exists, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def working_in(folder: Path, program: str) -> Iterator[int]:
    """Ids of the processes of `program` that work in `folder`: how a server without its parent is found.

    Empty where the system has no /proc.
    """
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().strip() == program and (entry / "cwd").samefile(folder):
                yield int(entry.name)
        except OSError:
            continue


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, indented, for a message about a failure."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode(errors="replace")
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
