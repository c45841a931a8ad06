"""The whole system on one machine: what `make run` starts, in which order, and how it is told to its user."""

import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from metering_site.embedded import folders, prepare, web
from metering_site.embedded.processes import CannotStart
from metering_site.embedded.servers import Servers, claimed
from metering_site.embedded.supervisor import Program, Supervisor

STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(data_dir: Path) -> int:
    """Start everything under `data_dir`, announce it, and keep it running until Ctrl-C or SIGTERM.

    Everything that was started is stopped again, whatever happens. Raises CannotStart.
    """
    os.chdir(folders.PROJECT)
    with claimed(data_dir):
        address = web.Address.of(os.environ)
        address.wait_until_free()
        servers = Servers(data_dir=data_dir, environ={"SITE_URL": address.url} | _environment(data_dir))
        variables = servers.variables()
        programs = _programs(data_dir, variables, address)
        supervisor = Supervisor(servers=servers.embedded, programs=programs, say=_say)
        try:
            settings_are_right = prepare.check(data_dir, variables)  # meanwhile
            with _step("Starting PostgreSQL and Valkey" if servers.embedded else "Using your servers"):
                servers.start()
                settings_are_right()
            _write_private(data_dir / "stack.env", variables)
            for title, work in prepare.steps(data_dir, variables, address.url):
                with _step(title):
                    work()
            with _step("Starting web, workers, beat and keeper"):
                web_server, *others = programs
                web_server.start()
                address.wait_until_ready(web_server)
                for program in others:  # after it: they would take its processor while it loads
                    program.start()
            print(_announcement(data_dir, address), flush=True)
            supervisor.watch()
        except (KeyboardInterrupt, SystemExit):  # asked to stop, by Ctrl-C or a signal
            print()
        finally:
            for number in STOPPING_SIGNALS:  # it is under way; once more would leave something behind
                signal.signal(number, signal.SIG_IGN)
            with _step("Stopping"):
                supervisor.stop()
                servers.stop()
    return 0


def _environment(data_dir: Path) -> dict[str, str]:
    """The caller's; the secrets are the last start's, so that nobody is logged out and nothing is lost by a restart."""
    kept = prepare.read_env_file(data_dir / "stack.env")
    secrets = {name: value for name, value in kept.items() if name in {"SECRET_KEY", "ENCRYPTION_KEYS"}}
    return {"PYTHONUNBUFFERED": "1", **secrets, **os.environ}


def _write_private(path: Path, variables: Mapping[str, str]) -> None:
    """So that `manage.py` in a checkout finds the stack without a variable set by hand."""
    names = ("SECRET_KEY", "ENCRYPTION_KEYS", "SITE_URL", "DEBUG", "HTTPS", "DATABASE_URL", "REDIS_URL")
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("".join(f"{name}={shlex.quote(variables[name])}\n" for name in names))


def _programs(data_dir: Path, variables: Mapping[str, str], address: web.Address) -> list[Program]:
    celery = [sys.executable, "-m", "celery", "-A", "metering_site"]
    worker = [*celery, "worker", "--concurrency=2", "--without-gossip", "--without-mingle"]
    commands = {
        "web": address.command(variables),
        "worker": worker,
        "alerts": [*worker, "--queues=alerts", "--hostname=alerts@%h", "--pool=threads"],
        "beat": [*celery, "beat", f"--schedule={data_dir / 'celerybeat-schedule'}", "--pidfile="],
        "keeper": [sys.executable, "manage.py", "keep"],
    }
    return [
        Program(
            name=name,
            command=command,
            env={**variables, "APPLICATION_NAME": f"metering-{name}"},
            log=data_dir / "logs" / f"{name}.log",
        )
        for name, command in commands.items()
    ]


def _announcement(data_dir: Path, address: web.Address) -> str:
    env_file = data_dir / "dev.env"
    dev = prepare.read_env_file(env_file)
    return f"""
  The system is up at {address.url}

    Log in         {address.url}/
    API and docs   {address.url}/api/docs/
    Super admin    {dev.get("METERING_ADMIN_EMAIL")}   {dev.get("METERING_ADMIN_PASSWORD")}
    OWNER of ACME  {dev.get("METERING_TENANT_EMAIL")}   {dev.get("METERING_TENANT_PASSWORD")}
                   (sees ACME's pages; calls the API by METERING_ATI_ACME)
    Service key    METERING_KEY in {_shown(env_file)}
    Logs           {_shown(data_dir / "logs")} (mails too, until EMAIL_URL is set: alerts.log, web.log)

  The first request to try, in another terminal:

    . {_shown(env_file)}
    curl -s "$METERING_URL/api/v1/enforce" -H "Authorization: Bearer $METERING_KEY" \\
      -H "Idempotency-Key: first-$(date +%s)" -H "Content-Type: application/json" \\
      -d '{{"tenant": "ACME", "user": "u-17", "task": "LLM2_DRAFT",
           "estimate": {{"input_tokens": 1200, "max_output_tokens": 500}}}}'

  Ctrl-C stops everything.
"""


def _shown(path: Path) -> str:
    return str(path.relative_to(folders.PROJECT) if path.is_relative_to(folders.PROJECT) else path)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


@contextmanager
def _step(title: str) -> Iterator[None]:
    """Say what is being done, and how long it took or that it failed."""
    started = time.monotonic()
    print(f"{title} ... ", end="", flush=True)
    try:
        yield
    except CannotStart:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - started:.1f} s", flush=True)
