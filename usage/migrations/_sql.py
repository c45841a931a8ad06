"""Running the files of usage/sql from a migration."""

from pathlib import Path

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_SQL = Path(__file__).resolve().parent.parent / "sql"


def run_file(name: str) -> migrations.RunPython:
    """Runs a file of usage/sql; functions are written to be run again, so going back leaves them."""

    def run(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        schema_editor.execute((_SQL / name).read_text(), params=None)

    return migrations.RunPython(run, migrations.RunPython.noop)
