"""A command in a process of its own, which kills itself, as kill -9 does, when it comes to a step."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.usage.crew import database_url

_PROGRAM = """
import functools, importlib, os, signal, sys
import django
django.setup()
from django.core.management import call_command

step, times, *command = sys.argv[1:]
name, _, path = step.partition(":")
*owners, attribute = path.split(".")
owner = functools.reduce(getattr, owners, importlib.import_module(name))
real = getattr(owner, attribute)
left = int(times)

def die(*args, **options):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)

setattr(owner, attribute, die)
call_command(*command)
"""


def killed(step: str, times: int, *command: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a command until it calls a function, `step` as module:name, for the time after `times`."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, step, str(times), *command],
        cwd=Path(__file__).resolve().parents[2],
        env={
            **os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "metering_site.settings",
            **(environment or {}),
        },
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
