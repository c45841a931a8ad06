from django.db import migrations

from usage.migrations._sql import run_file


class Migration(migrations.Migration):
    dependencies = [("usage", "0012_count_latencies_once")]
    operations = [run_file("ledger.sql")]
