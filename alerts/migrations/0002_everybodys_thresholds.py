"""Everybody is told at 50, 80, 95 and 100 % of every quota and budget, until an operator changes that.

Rates of a minute pass their limit every now and then, and calls at once fill theirs in any busy minute: of those
nobody is told by default.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

PERCENTS = [50, 80, 95, 100]


def add_rows(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    policies = apps.get_model("alerts", "AlertPolicy")
    for period, percents in ((None, PERCENTS), ("MINUTE", []), ("OPEN", [])):
        policies.objects.create(tenant=None, feature=None, measure=None, period=period, percents=percents)


class Migration(migrations.Migration):
    dependencies = [("alerts", "0001_initial")]
    # The table goes with the migration before, and nobody is told anything without it.
    operations = [migrations.RunPython(add_rows, migrations.RunPython.noop)]
