"""The log keeps what a decision read and which limits were passed, so that it can be explained and reported later."""

from django.db import migrations

from usage.migrations._sql import run_file


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0004_indexes_of_the_audit"),
    ]

    operations = [
        run_file("ledger.sql"),
    ]
