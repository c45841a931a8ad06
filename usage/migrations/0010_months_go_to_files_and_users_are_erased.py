import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import tenants.ids
from usage.migrations._sql import run_file

# They take rows of tables, which could not be dropped before them.
_DROP = """
    DROP FUNCTION ledger_is_erasing(usage_usagelog, usage_usagelog), ledger_erase_log(uuid, uuid, uuid, uuid),
                  ledger_erased_log(usage_usagelog, usage_erasure)
"""
_APPEND_ONLY = """
                    IF TG_OP = 'UPDATE' AND ledger_is_erasing(
                        jsonb_populate_record(NULL::usage_usagelog, to_jsonb(OLD)),
                        jsonb_populate_record(NULL::usage_usagelog, to_jsonb(NEW))
                    ) THEN
                        RETURN NEW;
                    END IF;
                    RAISE EXCEPTION 'Rows of % stay as they were booked.', TG_TABLE_NAME
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'usage_usagelog_append_only';
                """


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0011_rollout_rules_stay_on_record"),
        ("tenants", "0006_show_all_usage"),
        ("usage", "0009_find_costs_that_are_not_sure"),
    ]

    operations = [
        migrations.CreateModel(
            name="LogArchive",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("month", models.DateField(unique=True)),
                ("rows", models.PositiveBigIntegerField()),
                ("first_id", models.UUIDField(null=True)),
                ("last_id", models.UUIDField(null=True)),
                ("archived_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "ordering": ["month"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("first_id__isnull", True), ("last_id__isnull", True), ("rows", 0)),
                            models.Q(("first_id__isnull", False), ("last_id__isnull", False), ("rows__gt", 0)),
                            _connector="OR",
                        ),
                        name="usage_logarchive_rows_have_ids",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("month__day", 1)), name="usage_logarchive_month_is_its_first_day"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Erasure",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("user_key", models.CharField(max_length=128, null=True)),
                ("email", models.CharField(max_length=254, null=True)),
                ("pattern", models.TextField(null=True)),
                ("pseudonym", models.CharField(max_length=64, unique=True)),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at__isnull", True), ("user_key__isnull", False)),
                            models.Q(
                                ("email__isnull", True),
                                ("finished_at__isnull", False),
                                ("pattern__isnull", True),
                                ("user_key__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="usage_erasure_forgets_when_finished",
                    ),
                    models.UniqueConstraint(fields=("tenant", "user_key"), name="usage_erasure_tenant_user_key"),
                ],
            },
        ),
        run_file("ledger.sql"),
        migrations.RunSQL(migrations.RunSQL.noop, _DROP),
        run_file("erasure.sql"),
        pgtrigger.migrations.RemoveTrigger(model_name="usagelog", name="append_only"),
        pgtrigger.migrations.AddTrigger(
            model_name="usagelog",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func=_APPEND_ONLY,
                    hash="9fab2f129a9ea28a8526ffdf4f5b6c362ea1b69b",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_00b97",
                    table="usage_usagelog",
                    when="BEFORE",
                ),
            ),
        ),
    ]
