import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0009_prices_of_calls_and_batches"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="planfeature",
            name="freeze_once_live",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="planllmaccess",
            name="freeze_once_live",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="planllmaccessclass",
            name="freeze_once_live",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="policyrule",
            name="freeze_once_live",
        ),
        migrations.AddField(
            model_name="plan",
            name="simulated_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="When it was last tried on recorded traffic; empty = not since it was last edited.",
                null=True,
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="plan",
            trigger=pgtrigger.compiler.Trigger(
                name="forget_simulation",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.status = 'DRAFT' AND NEW.simulated_at IS NOT NULL AND (OLD.code, OLD.name, OLD.based_on_id, OLD.max_seats, OLD.monthly_budget_nano_usd) IS DISTINCT FROM (NEW.code, NEW.name, NEW.based_on_id, NEW.max_seats, NEW.monthly_budget_nano_usd))",
                    func="UPDATE plans_plan SET simulated_at = NULL WHERE id = NEW.id; RETURN NULL;",
                    hash="abd501a6900c06da736a9ea41b276fad1cadec6a",
                    operation="UPDATE",
                    pgid="pgtrigger_forget_simulation_e8e5f",
                    table="plans_plan",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="planfeature",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_once_live",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE plan_status text;",
                    func="\n            IF TG_OP <> 'INSERT' THEN \n        UPDATE plans_plan SET simulated_at = NULL\n         WHERE id = (OLD.plan_id) AND status = 'DRAFT' AND simulated_at IS NOT NULL;\n        SELECT status INTO plan_status FROM plans_plan WHERE id = (OLD.plan_id) FOR SHARE;\n    \n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     END IF;\n            IF TG_OP <> 'DELETE' THEN \n        UPDATE plans_plan SET simulated_at = NULL\n         WHERE id = (NEW.plan_id) AND status = 'DRAFT' AND simulated_at IS NOT NULL;\n        SELECT status INTO plan_status FROM plans_plan WHERE id = (NEW.plan_id) FOR SHARE;\n    \n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     RETURN NEW; END IF;\n            RETURN OLD;\n        ",
                    hash="b916a44a5eaba9ba147d277e5a4a395967f826bd",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_once_live_f6333",
                    table="plans_planfeature",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="planllmaccess",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_once_live",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE plan_status text;",
                    func="\n            IF TG_OP <> 'INSERT' THEN \n        UPDATE plans_plan SET simulated_at = NULL\n         WHERE id = (OLD.plan_id) AND status = 'DRAFT' AND simulated_at IS NOT NULL;\n        SELECT status INTO plan_status FROM plans_plan WHERE id = (OLD.plan_id) FOR SHARE;\n    \n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     END IF;\n            IF TG_OP <> 'DELETE' THEN \n        UPDATE plans_plan SET simulated_at = NULL\n         WHERE id = (NEW.plan_id) AND status = 'DRAFT' AND simulated_at IS NOT NULL;\n        SELECT status INTO plan_status FROM plans_plan WHERE id = (NEW.plan_id) FOR SHARE;\n    \n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     RETURN NEW; END IF;\n            RETURN OLD;\n        ",
                    hash="0bf4970f5a5a773589c54d1a75a91f33b504805e",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_once_live_3c7ca",
                    table="plans_planllmaccess",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="planllmaccessclass",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_once_live",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE plan_status text;",
                    func="\n            IF TG_OP <> 'INSERT' THEN \n        UPDATE plans_plan SET simulated_at = NULL\n         WHERE id = (SELECT a.plan_id FROM plans_planllmaccess a WHERE a.id = OLD.access_id) AND status = 'DRAFT' AND simulated_at IS NOT NULL;\n        SELECT status INTO plan_status FROM plans_plan WHERE id = (SELECT a.plan_id FROM plans_planllmaccess a WHERE a.id = OLD.access_id) FOR SHARE;\n    \n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     END IF;\n            IF TG_OP <> 'DELETE' THEN \n        UPDATE plans_plan SET simulated_at = NULL\n         WHERE id = (SELECT a.plan_id FROM plans_planllmaccess a WHERE a.id = NEW.access_id) AND status = 'DRAFT' AND simulated_at IS NOT NULL;\n        SELECT status INTO plan_status FROM plans_plan WHERE id = (SELECT a.plan_id FROM plans_planllmaccess a WHERE a.id = NEW.access_id) FOR SHARE;\n    \n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     RETURN NEW; END IF;\n            RETURN OLD;\n        ",
                    hash="df916d01970c549dbbbc6e894e9c69c1cbd75f23",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_once_live_2dc98",
                    table="plans_planllmaccessclass",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="policyrule",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_once_live",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE plan_status text;",
                    func="\n            IF TG_OP <> 'INSERT' THEN \n        UPDATE plans_plan SET simulated_at = NULL\n         WHERE id = (OLD.plan_id) AND status = 'DRAFT' AND simulated_at IS NOT NULL;\n        SELECT status INTO plan_status FROM plans_plan WHERE id = (OLD.plan_id) FOR SHARE;\n    \n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     END IF;\n            IF TG_OP <> 'DELETE' THEN \n        UPDATE plans_plan SET simulated_at = NULL\n         WHERE id = (NEW.plan_id) AND status = 'DRAFT' AND simulated_at IS NOT NULL;\n        SELECT status INTO plan_status FROM plans_plan WHERE id = (NEW.plan_id) FOR SHARE;\n    \n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     RETURN NEW; END IF;\n            RETURN OLD;\n        ",
                    hash="79f64f41028d9770b2a80dbda0abfedb78470fd2",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_once_live_90a4e",
                    table="plans_policyrule",
                    when="BEFORE",
                ),
            ),
        ),
    ]
