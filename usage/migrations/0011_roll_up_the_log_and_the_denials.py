import django.contrib.postgres.fields
import django.contrib.postgres.functions
import django.db.models.deletion
from django.db import migrations, models

import usage.fields
from usage.migrations._sql import run_file

# Their counters grow for a quarter of an hour, or a day: room on each page keeps those updates HOT.
_ROOM = """
    ALTER TABLE usage_usagerollup SET (fillfactor = 85);
    ALTER TABLE usage_tenantrollup SET (fillfactor = 70);
    ALTER TABLE usage_dayrollup SET (fillfactor = 70);
"""
_DROP = """
    DROP FUNCTION rollup_latency_bucket(bigint), rollup_histogram(integer[]), rollup_added(integer[], integer[]);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0011_rollout_rules_stay_on_record"),
        ("tenants", "0006_show_all_usage"),
        ("usage", "0010_months_go_to_files_and_users_are_erased"),
    ]

    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, _DROP),
        run_file("rollups.sql"),
        migrations.CreateModel(
            name="DayRollup",
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
                ("user_key", models.CharField(max_length=128, null=True)),
            ],
            options={
                "ordering": ["-slot"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="DenialRollup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(), primary_key=True, serialize=False
                    ),
                ),
                ("slot", models.DateTimeField()),
                ("user_key", models.CharField(max_length=128, null=True)),
                ("code", models.CharField(max_length=32)),
                ("count", models.BigIntegerField()),
            ],
            options={
                "ordering": ["-slot"],
            },
        ),
        migrations.CreateModel(
            name="RollupState",
            fields=[
                ("id", models.SmallIntegerField(db_default=1, primary_key=True, serialize=False)),
                ("transaction_id", usage.fields.Xid8Field()),
                ("log_id", models.UUIDField()),
                ("as_of", models.DateTimeField(null=True)),
                ("seen_transaction_id", usage.fields.Xid8Field()),
                ("seen_at", models.DateTimeField(null=True)),
                ("rebuild_from", models.DateTimeField(null=True)),
                ("rebuild_until", models.DateTimeField(null=True)),
                ("rebuild_transaction_id", usage.fields.Xid8Field()),
                ("rebuild_below", models.UUIDField(null=True)),
                ("rebuild_log_id", models.UUIDField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="TenantRollup",
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
            ],
            options={
                "ordering": ["-slot"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="UsageRollup",
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
                ("user_key", models.CharField(max_length=128, null=True)),
            ],
            options={
                "ordering": ["-slot"],
                "abstract": False,
            },
        ),
        migrations.RemoveIndex(
            model_name="usagelog",
            name="usage_log_transaction",
        ),
        migrations.AddField(
            model_name="denial",
            name="is_rolled",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="denial",
            name="rolled",
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
        migrations.AddIndex(
            model_name="denial",
            index=models.Index(
                condition=models.Q(("is_rolled", False)), fields=["tenant"], name="usage_denial_unrolled"
            ),
        ),
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(fields=["transaction_id", "id"], name="usage_log_transaction_id"),
        ),
        migrations.AddField(
            model_name="dayrollup",
            name="feature",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.feature",
            ),
        ),
        migrations.AddField(
            model_name="dayrollup",
            name="model_class",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.modelclass",
            ),
        ),
        migrations.AddField(
            model_name="dayrollup",
            name="task",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.task",
            ),
        ),
        migrations.AddField(
            model_name="dayrollup",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="denialrollup",
            name="feature",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.feature",
            ),
        ),
        migrations.AddField(
            model_name="denialrollup",
            name="task",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.task",
            ),
        ),
        migrations.AddField(
            model_name="denialrollup",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddConstraint(
            model_name="rollupstate",
            constraint=models.CheckConstraint(condition=models.Q(("id", 1)), name="usage_rollupstate_one"),
        ),
        migrations.AddConstraint(
            model_name="rollupstate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("rebuild_from", None), ("rebuild_until", None)),
                    ("rebuild_from__lt", models.F("rebuild_until")),
                    _connector="OR",
                ),
                name="usage_rollupstate_rebuild",
            ),
        ),
        migrations.AddField(
            model_name="tenantrollup",
            name="feature",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.feature",
            ),
        ),
        migrations.AddField(
            model_name="tenantrollup",
            name="model_class",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.modelclass",
            ),
        ),
        migrations.AddField(
            model_name="tenantrollup",
            name="task",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.task",
            ),
        ),
        migrations.AddField(
            model_name="tenantrollup",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="usagerollup",
            name="feature",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.feature",
            ),
        ),
        migrations.AddField(
            model_name="usagerollup",
            name="model_class",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.modelclass",
            ),
        ),
        migrations.AddField(
            model_name="usagerollup",
            name="task",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="plans.task",
            ),
        ),
        migrations.AddField(
            model_name="usagerollup",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddIndex(
            model_name="dayrollup",
            index=models.Index(fields=["slot"], name="usage_dayrollup_slot"),
        ),
        migrations.AddConstraint(
            model_name="dayrollup",
            constraint=models.UniqueConstraint(
                fields=("tenant", "slot", "feature", "task", "user_key", "model_class", "api_code", "status"),
                name="usage_dayrollup_key",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="dayrollup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["REPORT", "COMPLETED", "FAILED", "RELEASED", "EXPIRED", "CORRECTION"])
                ),
                name="usage_dayrollup_status",
            ),
        ),
        migrations.AddIndex(
            model_name="denialrollup",
            index=models.Index(fields=["slot"], name="usage_denialrollup_slot"),
        ),
        migrations.AddConstraint(
            model_name="denialrollup",
            constraint=models.UniqueConstraint(
                fields=("tenant", "slot", "code", "feature", "task", "user_key"),
                name="usage_denialrollup_key",
                nulls_distinct=False,
            ),
        ),
        migrations.AddIndex(
            model_name="tenantrollup",
            index=models.Index(fields=["slot"], name="usage_tenantrollup_slot"),
        ),
        migrations.AddConstraint(
            model_name="tenantrollup",
            constraint=models.UniqueConstraint(
                fields=("tenant", "slot", "feature", "task", "model_class", "api_code", "status"),
                name="usage_tenantrollup_key",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="tenantrollup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["REPORT", "COMPLETED", "FAILED", "RELEASED", "EXPIRED", "CORRECTION"])
                ),
                name="usage_tenantrollup_status",
            ),
        ),
        migrations.AddIndex(
            model_name="usagerollup",
            index=models.Index(fields=["tenant", "user_key", "slot"], name="usage_rollup_user"),
        ),
        migrations.AddIndex(
            model_name="usagerollup",
            index=models.Index(fields=["slot"], name="usage_rollup_slot"),
        ),
        migrations.AddConstraint(
            model_name="usagerollup",
            constraint=models.UniqueConstraint(
                fields=("tenant", "slot", "feature", "task", "user_key", "model_class", "api_code", "status"),
                name="usage_usagerollup_key",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="usagerollup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["REPORT", "COMPLETED", "FAILED", "RELEASED", "EXPIRED", "CORRECTION"])
                ),
                name="usage_usagerollup_status",
            ),
        ),
        migrations.RunSQL(_ROOM, migrations.RunSQL.noop),
    ]
