"""Everybody is told at 50, 80, 95 and 100 % of every quota and budget, until an operator changes that."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def add_row(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("alerts", "AlertPolicy").objects.create(percents=[50, 80, 95, 100])


class Migration(migrations.Migration):
    dependencies = [("alerts", "0001_initial")]
    # The table goes with the migration before, and nobody is told anything without it.
    operations = [migrations.RunPython(add_row, migrations.RunPython.noop)]
