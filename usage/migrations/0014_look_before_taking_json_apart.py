"""An erasure looks through every row of a tenant: what names nobody is passed over at once."""

from django.db import migrations

from usage.migrations._sql import run_file


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0013_events_say_what_they_booked"),
    ]

    operations = [
        run_file("erasure.sql"),
    ]
