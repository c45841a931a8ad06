import django.contrib.postgres.fields
import django.contrib.postgres.functions
import django.db.models.deletion
from django.db import migrations, models

# What is rolled up already is in the quarters of an hour: their log may be archived.
_FROM_QUARTERS = """
    ALTER TABLE usage_tenantdayrollup SET (fillfactor = 70);
    DO $$
    DECLARE r usage_tenantrollup;
    BEGIN
        FOR r IN SELECT * FROM usage_tenantrollup LOOP
            INSERT INTO usage_tenantdayrollup AS t (
                tenant_id, slot, feature_id, task_id, model_class_id, api_code, status, bookings, unpriced, input_tokens, cached_input_tokens,
                cache_write_tokens, output_tokens, reasoning_tokens, api_calls,
                items, units, latencies, latency_ms,
                held_tokens, held_tokens_used, held_cost, held_cost_used,
                cost, latency_histogram)
            VALUES (
                r.tenant_id, date_trunc('day', r.slot, 'UTC'), r.feature_id, r.task_id, r.model_class_id, r.api_code,
                r.status, r.bookings, r.unpriced, r.input_tokens, r.cached_input_tokens,
                r.cache_write_tokens, r.output_tokens, r.reasoning_tokens, r.api_calls,
                r.items, r.units, r.latencies, r.latency_ms,
                r.held_tokens, r.held_tokens_used, r.held_cost, r.held_cost_used,
                r.cost, r.latency_histogram)
            ON CONFLICT (tenant_id, slot, feature_id, task_id, model_class_id, api_code, status) DO UPDATE SET
                bookings = t.bookings + EXCLUDED.bookings,
                unpriced = t.unpriced + EXCLUDED.unpriced,
                input_tokens = t.input_tokens + EXCLUDED.input_tokens,
                cached_input_tokens = t.cached_input_tokens + EXCLUDED.cached_input_tokens,
                cache_write_tokens = t.cache_write_tokens + EXCLUDED.cache_write_tokens,
                output_tokens = t.output_tokens + EXCLUDED.output_tokens,
                reasoning_tokens = t.reasoning_tokens + EXCLUDED.reasoning_tokens,
                api_calls = t.api_calls + EXCLUDED.api_calls,
                items = t.items + EXCLUDED.items,
                units = t.units + EXCLUDED.units,
                latencies = t.latencies + EXCLUDED.latencies,
                latency_ms = t.latency_ms + EXCLUDED.latency_ms,
                held_tokens = t.held_tokens + EXCLUDED.held_tokens,
                held_tokens_used = t.held_tokens_used + EXCLUDED.held_tokens_used,
                held_cost = t.held_cost + EXCLUDED.held_cost,
                held_cost_used = t.held_cost_used + EXCLUDED.held_cost_used,
                cost = COALESCE(t.cost + EXCLUDED.cost, t.cost, EXCLUDED.cost),
                latency_histogram = rollup_added(t.latency_histogram, EXCLUDED.latency_histogram);
        END LOOP;
    END $$
"""


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
        migrations.RunSQL(_FROM_QUARTERS, migrations.RunSQL.noop),
    ]
