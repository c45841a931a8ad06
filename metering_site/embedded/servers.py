"""Both servers of one data folder, or the ones that the environment names."""

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from metering_site.embedded import folders
from metering_site.embedded.postgres import Postgres
from metering_site.embedded.processes import CannotStart
from metering_site.embedded.valkey import Valkey


@dataclass(slots=True, kw_only=True)
class Servers:
    """The embedded servers that a data folder needs: those whose URL the environment does not give."""

    data_dir: Path
    environ: Mapping[str, str]
    embedded: list[Postgres | Valkey] = field(init=False)
    database_url: str = field(init=False)
    redis_url: str = field(init=False)

    def __post_init__(self) -> None:
        postgres, valkey = Postgres(self.data_dir), Valkey(self.data_dir)
        self.database_url = self.environ.get("DATABASE_URL") or postgres.url
        self.redis_url = self.environ.get("REDIS_URL") or valkey.url
        self.embedded = [*([postgres] if self.database_url == postgres.url else [])]
        self.embedded += [valkey] if self.redis_url == valkey.url else []

    def start(self) -> None:
        """Start them in turn; when one fails, those already up are stopped again."""
        try:
            for server in self.embedded:
                server.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what runs, the last started first."""
        for server in reversed(self.embedded):
            server.stop()

    def variables(self) -> dict[str, str]:
        """For a program that uses them: the caller's variables over what one machine needs, both URLs."""
        return {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "DEBUG": "false",
            "HTTPS": "false",
            **{name: value for name, value in self.environ.items() if value},
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
        }


@contextmanager
def claimed(data_dir: Path) -> Iterator[None]:
    """Hold a data folder for this process alone; the kernel lets go of it however the process ends."""
    folders.make_data_dir(data_dir)
    with (data_dir / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise CannotStart(f"{data_dir} is in use by process {holder}. Stop it, or use another folder.") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
