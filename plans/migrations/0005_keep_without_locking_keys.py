import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0004_vocabulary"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="feature",
            name="keep_meaning",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="modelclass",
            name="keep_meaning",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="plan",
            name="freeze_once_live",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="task",
            name="keep_meaning",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="feature",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_meaning",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."code" IS DISTINCT FROM (NEW."code") OR OLD."unit" IS DISTINCT FROM (NEW."unit"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="f562c26b66132f2db003f384fb6f5a5f8b180330",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_meaning_2efee",
                    table="plans_feature",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="modelclass",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_meaning",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."code" IS DISTINCT FROM (NEW."code"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="2e3c437a7e0f9b4b2891a35a37e53b14d8970e8b",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_meaning_e603c",
                    table="plans_modelclass",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="plan",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_once_live",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.status <> 'DRAFT' AND (NEW.status = 'DRAFT' OR (OLD.code, OLD.revision, OLD.max_seats, OLD.monthly_budget_nano_usd) IS DISTINCT FROM (NEW.code, NEW.revision, NEW.max_seats, NEW.monthly_budget_nano_usd)))",
                    func="\n                    RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                        USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n                ",
                    hash="d333d2ec1535f45916121a89121bb92804485731",
                    operation="UPDATE",
                    pgid="pgtrigger_freeze_once_live_d6ea7",
                    table="plans_plan",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="task",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_meaning",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."code" IS DISTINCT FROM (NEW."code") OR OLD."feature_id" IS DISTINCT FROM (NEW."feature_id") OR OLD."kind" IS DISTINCT FROM (NEW."kind"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="48e956b30925ccd386412cf9edadbfa8d17d3898",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_meaning_a0d4c",
                    table="plans_task",
                    when="AFTER",
                ),
            ),
        ),
    ]
