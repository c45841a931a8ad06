"""Commands as docs/operations.md has them, run by the tests: what stands there works."""

import os
import re
import subprocess
import sys
from pathlib import Path

from metering_site.embedded import folders
from metering_site.embedded.postgres import _binary

PAGE = folders.PROJECT / "docs" / "operations.md"


def block(name: str) -> str:
    """The shell commands under `<!-- run: name -->`."""
    found = re.search(rf"<!-- run: {name} -->\n\n((?:    .*\n|\n)+)", PAGE.read_text())
    assert found, f"{PAGE.name} has no commands of that name: {name}"
    return "\n".join(line[4:] for line in found[1].splitlines())


def run(name: str, **variables: str) -> str:
    """What a block prints. Raises CalledProcessError where a command of it fails."""
    path = os.pathsep.join([str(_binary("psql").parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block(name)],
        cwd=folders.PROJECT,
        env={**os.environ, **variables, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
