import django.contrib.postgres.fields
import django.contrib.postgres.functions
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0011_rollout_rules_stay_on_record"),
        ("tenants", "0006_show_all_usage"),
        ("usage", "0014_look_before_taking_json_apart"),
    ]

    operations = [
        migrations.CreateModel(
            name="TenantDayRollup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(), primary_key=True, serialize=False
                    ),
                ),
                ("slot", models.DateTimeField()),
                ("api_code", models.CharField(max_length=64, null=True)),
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
                (
                    "feature",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="plans.feature",
                    ),
                ),
                (
                    "model_class",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="plans.modelclass",
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="plans.task",
                    ),
                ),
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
                "indexes": [models.Index(fields=["slot"], name="usage_tenantdayrollup_slot")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "slot", "feature", "task", "model_class", "api_code", "status"),
                        name="usage_tenantdayrollup_key",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("status__in", ["REPORT", "COMPLETED", "FAILED", "RELEASED", "EXPIRED", "CORRECTION"])
                        ),
                        name="usage_tenantdayrollup_status",
                    ),
                ],
            },
        ),
    ]
