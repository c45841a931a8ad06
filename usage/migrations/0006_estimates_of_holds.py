import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import tenants.ids


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0007_keep_what_a_rule_is_about"),
        ("tenants", "0005_keep_without_locking_keys"),
        ("usage", "0005_decisions_outlive_reservations"),
    ]

    operations = [
        migrations.CreateModel(
            name="HoldEstimate",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("samples", models.PositiveBigIntegerField()),
                (
                    "input_tokens",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                (
                    "output_tokens",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("computed_at", models.DateTimeField()),
                (
                    "task",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="plans.task"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["tenant", "task"],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "task"), name="usage_holdestimate_tenant_task"),
                    models.CheckConstraint(
                        condition=models.Q(("input_tokens__len", 100), ("output_tokens__len", 100)),
                        name="usage_holdestimate_percentiles",
                    ),
                ],
            },
        ),
    ]
