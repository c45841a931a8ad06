import django.contrib.postgres.fields
from django.db import migrations

import alerts.fields


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0002_everybodys_thresholds"),
    ]

    operations = [
        migrations.AlterField(
            model_name="channel",
            name="secrets",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=alerts.fields.SealedField(),
                blank=True,
                default=list,
                editable=False,
                help_text="What signs a webhook, encrypted, the newest first; the others still verify while they are changed.",
                size=None,
            ),
        ),
    ]
