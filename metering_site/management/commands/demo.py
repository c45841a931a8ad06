"""`manage.py demo`: a demo world to try things out in."""

import os
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from metering_site import demo
from metering_site.embedded import prepare
from plans.seats import SignUpRefused
from tenants import commands
from tenants.models import User
from tenants.tokens import TokenError


class Command(commands.TeachingCommand):
    """Makes the demo world and writes down how to use it."""

    help = """\
Makes three tenants, ACME on PRO, GLOBEX on ENTERPRISE and INITECH on FREE, each with an owner and two users; a super
admin; and a service key that may do everything for any tenant. For a database to try things out in, never for one
that customers use.

The passwords, the key and each owner's ATI token go to the env file, readable by you alone. Load it by:

    . .data/dev.env

Run it as often as you like: what is there is kept, with its secrets. They are stored hashed and cannot be looked up,
so where the env file is gone, or has one that no longer works, new ones are issued and the old ones stop working."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--env-file", type=Path, required=True, metavar="FILE", help="where the secrets are kept and written"
        )
        parser.add_argument(
            "--url",
            default=os.environ.get("METERING_URL"),
            help="where the system answers (default: $METERING_URL, else what the file says or http://localhost:8000)",
        )

    def handle(self, *, env_file: Path, url: str | None, **options: Any) -> None:  # noqa: ANN401 - the options of every command
        kept = prepare.read_env_file(env_file)
        url = url or kept.get("METERING_URL") or "http://localhost:8000"
        try:
            variables = demo.make(kept, url=url, now=datetime.now(UTC), tell=self.stdout.write)
        except demo.NoCatalogue as problem:
            raise CommandError(f"{problem} Run `manage.py seed` first.") from problem
        except (TokenError, SignUpRefused, User.DoesNotExist) as problem:
            raise CommandError(
                f"The demo world was changed so that it cannot be mended ({problem}). Begin with an empty database."
            ) from problem
        _write_private(env_file, variables)
        self.stdout.write(f"{env_file} has the logins, the key and the tokens")


def _write_private(path: Path, variables: Mapping[str, str]) -> None:
    """Write a file in shell syntax that only its owner reads; a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))
    draft.replace(path)
