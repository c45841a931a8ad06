"""Where the embedded servers keep their files and their sockets. Only paths: nothing here starts anything."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from metering_site.embedded.processes import CannotStart

PROJECT = Path(__file__).resolve().parent.parent.parent
DEFAULT_DATA = PROJECT / ".data"

# The kernel holds a socket's path in 108 bytes; PostgreSQL adds a lock file's suffix to its own.
LONGEST_SOCKET_PATH = 100
POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"


def socket_folder(data_dir: Path) -> Path:
    """The folder of both servers' sockets: in `data_dir`, or in the temp folder if that is too long."""
    folder = data_dir.resolve() / "run"
    if len(os.fsencode(folder / POSTGRES_SOCKET)) < LONGEST_SOCKET_PATH:
        return folder
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"metering-{digest}"


def database_url(data_dir: Path = DEFAULT_DATA) -> str:
    """The URL of the embedded PostgreSQL of a data folder, running or not."""
    return f"postgresql://metering@/metering?host={socket_folder(data_dir)}"


def redis_url(data_dir: Path = DEFAULT_DATA) -> str:
    """The URL of the embedded Valkey of a data folder, running or not."""
    return f"unix://{socket_folder(data_dir) / VALKEY_SOCKET}"


def not_ours(folder: Path) -> str:
    """What to tell the person whose folder turns out to be another's."""
    return f"{folder} belongs to another user, perhaps from a run as root. Take it back (chown -R) or remove it."


def make_private(folder: Path) -> None:
    """Make a folder only its owner can enter; a link or somebody else's folder of that name is refused."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or (found.st_uid != os.geteuid() and os.geteuid() != 0):
        raise CannotStart(not_ours(folder))
    folder.chmod(0o700)


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder itself: passable for the server's own user, its private parts are each closed."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if os.geteuid() not in {0, data_dir.stat().st_uid}:
        raise CannotStart(not_ours(data_dir))
    data_dir.chmod(0o711)
