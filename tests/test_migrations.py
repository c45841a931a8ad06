"""The migrations, applied with data in the tables: to zero and forth again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
APPS = ("alerts", "usage", "plans", "tenants", "admin", "sessions", "auth", "contenttypes")


@pytest.fixture
def scratch_url(db: None) -> Iterator[str]:
    """The URL of an empty database of its own, on the same servers."""
    name = f"migrations_{os.getpid()}"
    options = connection.get_connection_params() | {"dbname": "postgres"}
    for unused in ("context", "cursor_factory", "prepare_threshold", "client_encoding"):
        options.pop(unused, None)
    parts = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(**options, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


STORY = """
import django
django.setup()
from django.core.management import call_command
from django.db import connection

call_command("migrate", verbosity=0)
call_command("seed", verbosity=0)
call_command("demo", env_file=__import__("pathlib").Path({env_file!r}))
for app in {apps!r}:
    call_command("migrate", app, "zero", verbosity=0)
with connection.cursor() as cursor:
    cursor.execute({left!r})
    print("left:", sorted(name for name, in cursor))
call_command("migrate", verbosity=0)
call_command("seed", verbosity=0)
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
print("forth again")
"""
# pgtrigger leaves the functions of its triggers behind; they are replaced when they are made again.
LEFT = """
    SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
    UNION SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname !~ 'pgtrigger'
"""


def test_seeded_data_migrates_to_zero_and_forth_again(scratch_url: str, tmp_path: Path) -> None:
    story = STORY.format(env_file=str(tmp_path / "dev.env"), apps=APPS, left=LEFT)
    done = subprocess.run(
        [sys.executable, "-c", story],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": scratch_url, "DJANGO_SETTINGS_MODULE": "metering_site.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left: ['django_migrations']" in done.stdout
    assert "forth again" in done.stdout
