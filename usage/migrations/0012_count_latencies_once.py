from django.db import migrations

from usage.migrations._sql import run_file


class Migration(migrations.Migration):
    dependencies = [("usage", "0011_roll_up_the_log_and_the_denials")]

    operations = [
        run_file("rollups.sql"),
        migrations.RunSQL("DROP FUNCTION IF EXISTS rollup_trimmed(bigint[])", migrations.RunSQL.noop),
    ]
