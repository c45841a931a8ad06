import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0005_keep_without_locking_keys"),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name="planllmaccess",
            trigger=pgtrigger.compiler.Trigger(
                name="no_classes_for_api_tasks",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    constraint="CONSTRAINT",
                    func="\n                    IF EXISTS (SELECT FROM plans_planllmaccess a JOIN plans_task t ON t.code = a.task_id\n                                 JOIN plans_planllmaccessclass c ON c.access_id = a.id\n                                WHERE a.id = NEW.id AND t.kind <> 'LLM') THEN\n                        RAISE EXCEPTION 'An API task has no model classes.'\n                            USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_planllmaccessclass_llm_only';\n                    END IF;\n                    RETURN NULL;\n                ",
                    hash="972b9ff82e2ede038883beeaa159577a4deda6a0",
                    operation='UPDATE OF "task_id"',
                    pgid="pgtrigger_no_classes_for_api_tasks_b8725",
                    table="plans_planllmaccess",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
    ]
