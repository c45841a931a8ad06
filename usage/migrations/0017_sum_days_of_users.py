import django.contrib.postgres.fields
import django.contrib.postgres.functions
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0006_show_all_usage"),
        ("usage", "0016_days_of_tenants_that_were"),
    ]

    operations = [
        migrations.CreateModel(
            name="UserDayRollup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(), primary_key=True, serialize=False
                    ),
                ),
                ("slot", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("REPORT", "Reported on the way"),
                            ("COMPLETED", "Completed"),
                            ("FAILED", "Failed"),
                            ("RELEASED", "Released"),
                            ("EXPIRED", "Expired"),
                            ("CORRECTION", "Correction"),
                        ],
                        max_length=16,
                    ),
                ),
                ("bookings", models.BigIntegerField()),
                ("unpriced", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("cached_input_tokens", models.BigIntegerField()),
                ("cache_write_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("reasoning_tokens", models.BigIntegerField()),
                ("api_calls", models.BigIntegerField()),
                ("items", models.BigIntegerField()),
                ("units", models.BigIntegerField()),
                ("cost", models.BigIntegerField(null=True)),
                ("latencies", models.BigIntegerField()),
                ("latency_ms", models.BigIntegerField()),
                (
                    "latency_histogram",
                    django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None),
                ),
                ("held_tokens", models.BigIntegerField()),
                ("held_tokens_used", models.BigIntegerField()),
                ("held_cost", models.BigIntegerField()),
                ("held_cost_used", models.BigIntegerField()),
                ("user_key", models.CharField(max_length=128, null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-slot"],
                "abstract": False,
                "indexes": [models.Index(fields=["slot"], name="usage_userdayrollup_slot")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "slot", "user_key", "status"),
                        name="usage_userdayrollup_key",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("status__in", ["REPORT", "COMPLETED", "FAILED", "RELEASED", "EXPIRED", "CORRECTION"])
                        ),
                        name="usage_userdayrollup_status",
                    ),
                ],
            },
        ),
    ]
