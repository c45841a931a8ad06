"""PostgreSQL refuses to run as root: the ways to start it as nobody, without touching the system's users."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from metering_site.embedded import folders
from metering_site.embedded.processes import CannotStart

NOBODY = 65534


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What goes before a command, the user that Popen switches to, and who must own the files."""

    name: str
    prefix: tuple[str, ...] = ()
    uid: int | None = None
    owner: int


DROP = Way(name="drop", uid=NOBODY, owner=NOBODY)
# For a checkout that nobody cannot reach (a folder of mode 0700): outside it is still root, the owner.
NAMESPACE = Way(
    name="namespace",
    prefix=("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--"),
    owner=0,
)
# The same where user namespaces are forbidden, as in most containers: passes closed folders.
CAPABILITY = Way(
    name="capability",
    prefix=(
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"),
    ),
    owner=NOBODY,
)
WAYS = (DROP, NAMESPACE, CAPABILITY)


def choose(program: Path, folder: Path) -> Way:
    """The first way by which `program` runs as somebody else than root and reaches the existing `folder`."""
    if os.geteuid() != 0:
        return Way(name="plain", owner=os.geteuid())
    for way in WAYS:
        if _works(way, program, folder):
            return way
    raise CannotStart(
        f"PostgreSQL does not run as root, and the user nobody cannot reach {folder} or {program}.\n"
        "Run as an ordinary user, move the checkout where others may enter, or set DATABASE_URL."
    )


def give(folder: Path, owner: int) -> None:
    """Make `owner` own all of a folder; the folder itself last, so that an interrupted run starts over."""
    if folder.stat().st_uid == owner:
        return
    if os.geteuid() != 0:
        raise CannotStart(folders.not_ours(folder))
    for parent, _, files in os.walk(folder, topdown=False):
        for name in files:
            os.chown(Path(parent) / name, owner, owner, follow_symlinks=False)
        os.chown(parent, owner, owner, follow_symlinks=False)


def _works(way: Way, program: Path, folder: Path) -> bool:
    question = 'test "$(id -u)" != 0 && test -x "$1" && "$0" --version'
    try:
        answer = subprocess.run(
            [*way.prefix, "sh", "-c", question, str(program), str(folder)],
            user=way.uid,
            group=way.uid,
            extra_groups=None if way.uid is None else [],
            cwd="/",
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.returncode == 0
