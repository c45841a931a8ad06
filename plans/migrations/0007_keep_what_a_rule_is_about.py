import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0006_no_classes_for_api_tasks"),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name="policyrule",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_what_it_is_about",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."scope" IS DISTINCT FROM (NEW."scope") OR OLD."plan_id" IS DISTINCT FROM (NEW."plan_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."user_key" IS DISTINCT FROM (NEW."user_key") OR OLD."task_id" IS DISTINCT FROM (NEW."task_id") OR OLD."feature_id" IS DISTINCT FROM (NEW."feature_id") OR OLD."key" IS DISTINCT FROM (NEW."key"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="374346a4978734d99857b4ff7d37bdb3af2eb54a",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_what_it_is_about_c3f33",
                    table="plans_policyrule",
                    when="AFTER",
                ),
            ),
        ),
    ]
