"""Where the processes of one web server count together. Nothing here may import prometheus-client, which looks once."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_LOCK = "lock"


def begin(folder: Path) -> Path:
    """Count in files under `folder` from now on, shared by all processes of the same parent. Gives their folder.

    To be called before prometheus-client is imported. What servers that are gone left is removed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else: set METRICS_DIR to a folder of our own.")
    for other in folder.iterdir():
        if other.name.isdigit() and not is_alive(int(other.name)):
            shutil.rmtree(other, ignore_errors=True)
    mine = folder / str(os.getppid())
    mine.mkdir(mode=0o700, exist_ok=True)
    os.environ[VARIABLE] = str(mine)
    return mine


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the files for one reader, or for the one that gathers those of the dead."""
    with (folder / _LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_alive(pid: int) -> bool:
    """Whether there is a process with this id, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
