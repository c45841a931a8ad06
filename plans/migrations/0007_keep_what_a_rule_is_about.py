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
                    condition="WHEN (OLD.scope = 'GLOBAL' AND OLD.task_id IS NULL AND OLD.feature_id IS NULL AND (OLD.scope, OLD.key, OLD.task_id, OLD.feature_id) IS DISTINCT FROM (NEW.scope, NEW.key, NEW.task_id, NEW.feature_id))",
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="7689afbb43b6714ce44567020f6a5c28118d088e",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_what_it_is_about_c3f33",
                    table="plans_policyrule",
                    when="AFTER",
                ),
            ),
        ),
    ]
