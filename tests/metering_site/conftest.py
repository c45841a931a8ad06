"""Scratch folders of embedded servers, each stopped at the end of its test."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metering_site.embedded.postgres import Postgres
from metering_site.embedded.valkey import Valkey


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A short folder that every user may pass; pytest's own is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="mtr"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def postgres_in() -> Iterator[Callable[[Path], Postgres]]:
    """Makes clusters, not yet started, and ends what is left of them."""
    made: list[Postgres] = []

    def make(folder: Path) -> Postgres:
        made.append(Postgres(folder))
        return made[-1]

    yield make
    for postgres in made:
        postgres.kill()


@pytest.fixture
def valkey_in() -> Iterator[Callable[[Path], Valkey]]:
    """Makes Valkey servers, not yet started, and ends what is left of them."""
    made: list[Valkey] = []

    def make(folder: Path) -> Valkey:
        made.append(Valkey(folder))
        return made[-1]

    yield make
    for valkey in made:
        valkey.kill()
