import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import tenants.ids
import usage.fields

# The log is partitioned by the month of its id; Django cannot say so, so the empty table is swapped at once.
_PARTITIONED = """
    ALTER TABLE usage_usagelog RENAME TO usage_usagelog_plain;
    CREATE TABLE usage_usagelog (LIKE usage_usagelog_plain INCLUDING DEFAULTS, PRIMARY KEY (id))
        PARTITION BY RANGE (id);
    DROP TABLE usage_usagelog_plain;
    CREATE TABLE usage_usagelog_default PARTITION OF usage_usagelog DEFAULT;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("plans", "0001_initial"),
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageMeter",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("user_key", models.CharField(max_length=128, null=True)),
                (
                    "measure",
                    models.CharField(
                        choices=[
                            ("UNITS", "Units of the feature"),
                            ("REQUESTS", "Requests"),
                            ("TOKENS", "Tokens"),
                            ("COST", "Nano-USD"),
                            ("SLOTS", "Open at once"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "period",
                    models.CharField(
                        choices=[
                            ("MINUTE", "Minute"),
                            ("DAY", "Day"),
                            ("MONTH", "Month"),
                            ("OPEN", "For ever"),
                        ],
                        max_length=8,
                    ),
                ),
                ("period_start", models.DateTimeField()),
                ("period_end", models.DateTimeField(null=True)),
                ("used", models.BigIntegerField(default=0)),
                ("reserved", models.BigIntegerField(default=0)),
                ("overrun", models.BigIntegerField(default=0)),
                ("limit_amount", models.BigIntegerField(null=True)),
                ("archived", models.BigIntegerField(default=0)),
                ("verified_at", models.DateTimeField(null=True)),
                (
                    "feature",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="plans.feature",
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
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
                "ordering": ["-period_start", "feature", "measure"],
            },
        ),
        migrations.CreateModel(
            name="UsageReservation",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("user_key", models.CharField(max_length=128, null=True)),
                (
                    "unit",
                    models.CharField(
                        choices=[
                            ("REQUESTS", "requests"),
                            ("TOKENS", "tokens"),
                            ("API_CALLS", "API calls"),
                            ("ITEMS", "items"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "rates",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), null=True, size=None
                    ),
                ),
                (
                    "meters",
                    django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), size=None),
                ),
                (
                    "measures",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), size=None),
                ),
                (
                    "periods",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=8), size=None),
                ),
                (
                    "amounts",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                (
                    "booked",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("charges", models.JSONField()),
                (
                    "readings",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                (
                    "held_totals",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("held_cost", models.BigIntegerField(null=True)),
                (
                    "totals",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("cost", models.BigIntegerField(null=True)),
                ("idempotency_key", models.CharField(max_length=128)),
                ("fingerprint", models.BinaryField(max_length=32)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("OPEN", "Open"),
                            ("COMMITTED", "Committed"),
                            ("RELEASED", "Released"),
                            ("EXPIRED", "Expired"),
                        ],
                        max_length=16,
                    ),
                ),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("attempt", models.PositiveSmallIntegerField(default=0)),
                ("correlation_id", models.CharField(max_length=128, null=True)),
                ("ask", models.JSONField()),
                ("metadata", models.JSONField(null=True)),
                ("decision", models.JSONField()),
                ("end_fingerprint", models.BinaryField(max_length=32, null=True)),
                ("result", models.JSONField(null=True)),
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
                    "plan",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="plans.plan",
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
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Denial",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("user_key", models.CharField(max_length=128, null=True)),
                ("code", models.CharField(max_length=32)),
                ("message", models.TextField()),
                ("meter", models.UUIDField(null=True)),
                ("binding", models.JSONField(null=True)),
                ("decision", models.JSONField()),
                ("minute", models.DateTimeField()),
                ("bucket", models.PositiveSmallIntegerField()),
                ("count", models.PositiveBigIntegerField(default=1)),
                ("last_at", models.DateTimeField()),
                (
                    "feature",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="plans.feature",
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
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
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["tenant", "-id"], name="usage_denial_tenant_id"),
                    models.Index(fields=["minute"], name="usage_denial_minute"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "code", "minute", "bucket"),
                        name="usage_denial_tenant_code_minute_bucket",
                    ),
                    models.CheckConstraint(condition=models.Q(("bucket__range", (0, 59))), name="usage_denial_bucket"),
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageEvent",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, primary_key=True, serialize=False)),
                ("source", models.CharField(max_length=200)),
                ("event_id", models.CharField(max_length=200)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("log_id", models.UUIDField(null=True)),
                ("recorded_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
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
                "ordering": ["-recorded_at"],
                "indexes": [models.Index(fields=["recorded_at"], name="usage_event_recorded")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "source", "event_id"),
                        name="usage_usageevent_tenant_source_event_id",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageLog",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("reservation_id", models.UUIDField(null=True)),
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
                ("attempt", models.PositiveSmallIntegerField(default=0)),
                ("user_key", models.CharField(max_length=128, null=True)),
                (
                    "unit",
                    models.CharField(
                        choices=[
                            ("REQUESTS", "requests"),
                            ("TOKENS", "tokens"),
                            ("API_CALLS", "API calls"),
                            ("ITEMS", "items"),
                        ],
                        max_length=16,
                    ),
                ),
                ("model", models.CharField(max_length=128, null=True)),
                ("api_code", models.CharField(max_length=64, null=True)),
                ("input_tokens", models.BigIntegerField()),
                ("cached_input_tokens", models.BigIntegerField()),
                ("cache_write_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("reasoning_tokens", models.BigIntegerField()),
                ("api_calls", models.BigIntegerField()),
                ("items", models.BigIntegerField()),
                ("units", models.BigIntegerField()),
                ("cost", models.BigIntegerField(null=True)),
                ("price", models.JSONField(null=True)),
                ("latency_ms", models.BigIntegerField(null=True)),
                (
                    "certainty",
                    models.CharField(
                        choices=[
                            ("FINAL", "Final"),
                            ("PARTIAL", "Partial"),
                            ("ESTIMATED", "Estimated: the model has no price"),
                            ("UNKNOWN", "Unknown: no counts were sent"),
                        ],
                        max_length=16,
                    ),
                ),
                ("late", models.BooleanField()),
                ("error", models.CharField(max_length=500, null=True)),
                ("refers_to", models.UUIDField(null=True)),
                ("occurred_at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField()),
                (
                    "transaction_id",
                    usage.fields.Xid8Field(db_default=models.Func(function="pg_current_xact_id")),
                ),
                ("correlation_id", models.CharField(max_length=128, null=True)),
                (
                    "meters",
                    django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), size=None),
                ),
                (
                    "measures",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), size=None),
                ),
                (
                    "charges",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                (
                    "overruns",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                (
                    "helds",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("ask", models.JSONField(null=True)),
                ("decision", models.JSONField(null=True)),
                ("metadata", models.JSONField(null=True)),
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
                    "plan",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="plans.plan",
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
                "ordering": ["-id"],
            },
        ),
        migrations.RunSQL(_PARTITIONED, reverse_sql=migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(fields=["tenant", "reservation_id"], name="usage_log_tenant_reservation"),
        ),
        migrations.AddIndex(
            model_name="usagelog", index=models.Index(fields=["tenant", "-id"], name="usage_log_tenant_id")
        ),
        migrations.AddIndex(
            model_name="usagelog", index=models.Index(fields=["transaction_id"], name="usage_log_transaction")
        ),
        migrations.AddConstraint(
            model_name="usagelog",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["REPORT", "COMPLETED", "FAILED", "RELEASED", "EXPIRED", "CORRECTION"])
                ),
                name="usage_usagelog_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="usagelog",
            constraint=models.CheckConstraint(
                condition=models.Q(("certainty__in", ["FINAL", "PARTIAL", "ESTIMATED", "UNKNOWN"])),
                name="usage_usagelog_certainty",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="usagelog",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="f3a171bc3242a49864acdde291f03724555e7a3d",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_00b97",
                    table="usage_usagelog",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="usagemeter",
            index=models.Index(fields=["tenant", "-period_start"], name="usage_meter_tenant_period"),
        ),
        migrations.AddIndex(
            model_name="usagemeter",
            index=models.Index(
                condition=models.Q(("period", "MINUTE")), fields=["period_start"], name="usage_meter_minutes"
            ),
        ),
        migrations.AddConstraint(
            model_name="usagemeter",
            constraint=models.CheckConstraint(
                condition=models.Q(("measure__in", ["UNITS", "REQUESTS", "TOKENS", "COST", "SLOTS"])),
                name="usage_usagemeter_measure",
            ),
        ),
        migrations.AddConstraint(
            model_name="usagemeter",
            constraint=models.CheckConstraint(
                condition=models.Q(("period__in", ["MINUTE", "DAY", "MONTH", "OPEN"])),
                name="usage_usagemeter_period",
            ),
        ),
        migrations.AddConstraint(
            model_name="usagemeter",
            constraint=models.CheckConstraint(
                condition=models.Q(("overrun__gte", 0), ("reserved__gte", 0), ("used__gte", 0)),
                name="usage_usagemeter_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="usagemeter",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("limit_amount__isnull", True),
                    (
                        "used__lte",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("limit_amount"), "+", models.F("overrun")
                            ),
                            "-",
                            models.F("reserved"),
                        ),
                    ),
                    _connector="OR",
                ),
                name="usage_usagemeter_no_overspend",
            ),
        ),
        migrations.AddIndex(
            model_name="usagereservation",
            index=models.Index(
                condition=models.Q(("status", "OPEN")), fields=["expires_at"], name="usage_reservation_open"
            ),
        ),
        migrations.AddIndex(
            model_name="usagereservation",
            index=models.Index(
                condition=models.Q(("status", "OPEN"), _negated=True),
                fields=["ended_at"],
                name="usage_reservation_ended",
            ),
        ),
        migrations.AddConstraint(
            model_name="usagereservation",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["OPEN", "COMMITTED", "RELEASED", "EXPIRED"])),
                name="usage_usagereservation_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="usagereservation",
            constraint=models.UniqueConstraint(
                fields=("tenant", "idempotency_key"), name="usage_usagereservation_tenant_idempotency_key"
            ),
        ),
    ]
