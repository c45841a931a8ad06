import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("plans", "0001_initial"),
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="policyrule",
            name="tenant",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="policy_rules",
                to="tenants.tenant",
            ),
        ),
        migrations.AddConstraint(
            model_name="provider",
            constraint=models.CheckConstraint(
                condition=models.Q(("code__regex", "^[A-Z][A-Z0-9_]*$")), name="plans_provider_code"
            ),
        ),
        migrations.AddField(
            model_name="llmmodel",
            name="provider",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="models", to="plans.provider"
            ),
        ),
        migrations.AddField(
            model_name="rolloutrule",
            name="tenant",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty = everybody. A tenant's own row beats everybody's.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="rollout_rules",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="feature",
            field=models.ForeignKey(
                help_text="What it consumes. It cannot change later.",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="tasks",
                to="plans.feature",
            ),
        ),
        migrations.AddField(
            model_name="policyrule",
            name="task",
            field=models.ForeignKey(
                blank=True,
                help_text="Only for this task; a limit then has a meter of its own, beside the general one.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="policy_rules",
                to="plans.task",
            ),
        ),
        migrations.AddField(
            model_name="planllmaccess",
            name="task",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="plan_accesses", to="plans.task"
            ),
        ),
        migrations.AddConstraint(
            model_name="modelprice",
            constraint=models.CheckConstraint(
                condition=models.Q(("unit__in", ["INPUT", "CACHED_INPUT", "CACHE_WRITE", "OUTPUT"])),
                name="plans_modelprice_unit",
            ),
        ),
        migrations.AddConstraint(
            model_name="modelprice",
            constraint=models.CheckConstraint(
                condition=models.Q(("nano_usd_per_million__range", (0, 1000000000000))),
                name="plans_modelprice_price",
            ),
        ),
        migrations.AddConstraint(
            model_name="modelprice",
            constraint=models.UniqueConstraint(
                fields=("model", "unit", "above_input_tokens", "valid_from"), name="plans_modelprice_once"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="modelprice",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="9733ab4eb8c1615dddba8b60ae378cdd1f1fd61f",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_78168",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="plans_modelprice",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="modelprice",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.model_id, o.unit, o.above_input_tokens, o.nano_usd_per_million, o.valid_from) IS DISTINCT FROM (n.model_id, n.unit, n.above_input_tokens, n.nano_usd_per_million, n.valid_from)) UNION SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.model_id, o.unit, o.above_input_tokens, o.nano_usd_per_million, o.valid_from) IS DISTINCT FROM (n.model_id, n.unit, n.above_input_tokens, n.nano_usd_per_million, n.valid_from))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="d18186ccbbb845a53ebe47a116c2c05d7f4dd6f6",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_1c032",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_modelprice",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="modelprice",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="4f4473bed9d2d10699dc499721c74e1b91b81b31",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_16306",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="plans_modelprice",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.UniqueConstraint(fields=("code", "revision"), name="plans_plan_code_revision"),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "ACTIVE")),
                fields=("code",),
                name="plans_plan_one_active_per_code",
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(("code__regex", "^[A-Z][A-Z0-9_]*$")), name="plans_plan_code"
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["DRAFT", "ACTIVE", "DEPRECATED"])),
                name="plans_plan_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("monthly_budget_nano_usd__isnull", True),
                    ("monthly_budget_nano_usd__range", (0, 1000000000000000000)),
                    _connector="OR",
                ),
                name="plans_plan_monthly_budget",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="plan",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_once_live",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.status <> 'DRAFT' AND (NEW.status = 'DRAFT' OR (OLD.code, OLD.revision, OLD.max_seats, OLD.monthly_budget_nano_usd) IS DISTINCT FROM (NEW.code, NEW.revision, NEW.max_seats, NEW.monthly_budget_nano_usd)))",
                    func="\n                    RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                        USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n                ",
                    hash="5d015e51fe0b2959e9d08233bd66406f64b481cc",
                    operation="UPDATE",
                    pgid="pgtrigger_freeze_once_live_d6ea7",
                    table="plans_plan",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="plan",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE r.status <> 'DRAFT') c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="228c2defbace50f2ab338dcf1ac98d8e3dd261e3",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_cd548",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="plans_plan",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="plan",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE r.status <> 'DRAFT' AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.code, o.name, o.status, o.max_seats, o.monthly_budget_nano_usd) IS DISTINCT FROM (n.code, n.name, n.status, n.max_seats, n.monthly_budget_nano_usd)) UNION SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE r.status <> 'DRAFT' AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.code, o.name, o.status, o.max_seats, o.monthly_budget_nano_usd) IS DISTINCT FROM (n.code, n.name, n.status, n.max_seats, n.monthly_budget_nano_usd))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="9a1d895bd429fbf240101dfc375a4de63ad65902",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_e22c0",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_plan",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="plan",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE r.status <> 'DRAFT') c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="b57581481802ca4d0a6f0e0f5aebc6c594e5b733",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_87a8f",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="plans_plan",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="planfeature",
            constraint=models.UniqueConstraint(fields=("plan", "feature"), name="plans_planfeature_plan_feature"),
        ),
        migrations.AddConstraint(
            model_name="planfeature",
            constraint=models.CheckConstraint(
                condition=models.Q(("overage__in", ["BLOCK", "ALLOW"])), name="plans_planfeature_overage"
            ),
        ),
        migrations.AddConstraint(
            model_name="planfeature",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("daily_quota__isnull", True),
                    ("daily_quota__range", (0, 1000000000000000000)),
                    _connector="OR",
                ),
                name="plans_planfeature_daily_quota",
            ),
        ),
        migrations.AddConstraint(
            model_name="planfeature",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("monthly_quota__isnull", True),
                    ("monthly_quota__range", (0, 1000000000000000000)),
                    _connector="OR",
                ),
                name="plans_planfeature_monthly_quota",
            ),
        ),
        migrations.AddConstraint(
            model_name="planfeature",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("daily_token_limit__isnull", True),
                    ("daily_token_limit__range", (0, 1000000000000000000)),
                    _connector="OR",
                ),
                name="plans_planfeature_daily_token_limit",
            ),
        ),
        migrations.AddConstraint(
            model_name="planfeature",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("monthly_token_limit__isnull", True),
                    ("monthly_token_limit__range", (0, 1000000000000000000)),
                    _connector="OR",
                ),
                name="plans_planfeature_monthly_token_limit",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="planfeature",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_once_live",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE plan_status text;",
                    func="\n            IF TG_OP <> 'INSERT' THEN SELECT status INTO plan_status FROM plans_plan WHERE id = (OLD.plan_id) FOR SHARE;\n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     END IF;\n            IF TG_OP <> 'DELETE' THEN SELECT status INTO plan_status FROM plans_plan WHERE id = (NEW.plan_id) FOR SHARE;\n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     RETURN NEW; END IF;\n            RETURN OLD;\n        ",
                    hash="fd7b295e848e77c9dc32ec703dd881d2422555b8",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_once_live_f6333",
                    table="plans_planfeature",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="planllmaccessclass",
            constraint=models.UniqueConstraint(
                fields=("access", "model_class"), name="plans_planllmaccessclass_access_model_class"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="planllmaccessclass",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_once_live",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE plan_status text;",
                    func="\n            IF TG_OP <> 'INSERT' THEN SELECT status INTO plan_status FROM plans_plan WHERE id = (SELECT a.plan_id FROM plans_planllmaccess a WHERE a.id = OLD.access_id) FOR SHARE;\n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     END IF;\n            IF TG_OP <> 'DELETE' THEN SELECT status INTO plan_status FROM plans_plan WHERE id = (SELECT a.plan_id FROM plans_planllmaccess a WHERE a.id = NEW.access_id) FOR SHARE;\n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     RETURN NEW; END IF;\n            RETURN OLD;\n        ",
                    hash="a72efc2940f27e823f1d4adc2787d11880c8c1bd",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_once_live_2dc98",
                    table="plans_planllmaccessclass",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="planllmaccessclass",
            trigger=pgtrigger.compiler.Trigger(
                name="only_for_llm_tasks",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n                    IF (SELECT t.kind FROM plans_planllmaccess a JOIN plans_task t ON t.code = a.task_id\n                         WHERE a.id = NEW.access_id) <> 'LLM' THEN\n                        RAISE EXCEPTION 'An API task has no model classes.'\n                            USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_planllmaccessclass_llm_only';\n                    END IF;\n                    RETURN NEW;\n                ",
                    hash="88c23265768b961ecd259100e07c1a04bbdee538",
                    operation="INSERT OR UPDATE",
                    pgid="pgtrigger_only_for_llm_tasks_dbaa9",
                    table="plans_planllmaccessclass",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="llmmodel",
            constraint=models.UniqueConstraint(
                fields=("provider", "model_id"), name="plans_llmmodel_provider_model_id"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="llmmodel",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="2d32b241bbbc0e0414406e220bc0886bf62b44cb",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_951d3",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="plans_llmmodel",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="llmmodel",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.provider_id, o.model_id, o.model_class_id, o.priority, o.is_active) IS DISTINCT FROM (n.provider_id, n.model_id, n.model_class_id, n.priority, n.is_active)) UNION SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.provider_id, o.model_id, o.model_class_id, o.priority, o.is_active) IS DISTINCT FROM (n.provider_id, n.model_id, n.model_class_id, n.priority, n.is_active))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="6108cf3b2db30e2ecdc0565fff96bb98efa9c2af",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_368ed",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_llmmodel",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="llmmodel",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="2e43f5a3e4eb37da863b4b2a75ce19fc18a031ae",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_25029",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="plans_llmmodel",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="rolloutrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "gate__in",
                        [
                            "ALL",
                            "MODEL_ACCESS",
                            "CAPS",
                            "CONCURRENCY",
                            "RATES",
                            "DAILY_QUOTA",
                            "MONTHLY_QUOTA",
                            "TOKEN_LIMITS",
                            "USER_QUOTA",
                            "BUDGET",
                        ],
                    )
                ),
                name="plans_rolloutrule_gate",
            ),
        ),
        migrations.AddConstraint(
            model_name="rolloutrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("mode__in", ["OFF", "OBSERVE", "ENFORCE"])), name="plans_rolloutrule_mode"
            ),
        ),
        migrations.AddConstraint(
            model_name="rolloutrule",
            constraint=models.CheckConstraint(
                condition=models.Q(models.Q(("mode", "OFF"), _negated=True), ("gate", "ALL"), _connector="OR"),
                name="plans_rolloutrule_off_is_for_all",
            ),
        ),
        migrations.AddConstraint(
            model_name="rolloutrule",
            constraint=models.UniqueConstraint(
                fields=("tenant", "gate", "starts_at"), name="plans_rolloutrule_once", nulls_distinct=False
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="rolloutrule",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="ed29f7e9ac29af2b9e7a84f42e185b5afe688c39",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_717c7",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="plans_rolloutrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="rolloutrule",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.tenant_id, o.gate, o.mode, o.starts_at) IS DISTINCT FROM (n.tenant_id, n.gate, n.mode, n.starts_at)) UNION SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.tenant_id, o.gate, o.mode, o.starts_at) IS DISTINCT FROM (n.tenant_id, n.gate, n.mode, n.starts_at))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="10ca19d029716f13e2ea8c0804b575243a88594b",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_486bd",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_rolloutrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="rolloutrule",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="c860f3f1c7a806b1dcd8938ac470cb76e173f131",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_bf01a",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="plans_rolloutrule",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(
                condition=models.Q(("code__regex", "^[A-Z][A-Z0-9_]*$")), name="plans_task_code"
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(condition=models.Q(("kind__in", ["LLM", "API"])), name="plans_task_kind"),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("price_per_unit_nano_usd__isnull", True),
                    models.Q(("kind", "API"), ("price_per_unit_nano_usd__range", (0, 1000000000000))),
                    _connector="OR",
                ),
                name="plans_task_price_per_unit",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="task",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_meaning",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."code" IS DISTINCT FROM (NEW."code") OR OLD."feature_id" IS DISTINCT FROM (NEW."feature_id") OR OLD."kind" IS DISTINCT FROM (NEW."kind"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="ea4f29f946c15d5ddb9f01d7a77fb4155c37a873",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_meaning_a0d4c",
                    table="plans_task",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="task",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="c95f79dadbc9059873e49b0b279791d259e15026",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_83aab",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="plans_task",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="task",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE AND r.code IN (SELECT n.code FROM new_rows n JOIN old_rows o ON o.code = n.code WHERE (o.name, o.price_per_unit_nano_usd) IS DISTINCT FROM (n.name, n.price_per_unit_nano_usd)) UNION SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE AND r.code IN (SELECT n.code FROM new_rows n JOIN old_rows o ON o.code = n.code WHERE (o.name, o.price_per_unit_nano_usd) IS DISTINCT FROM (n.name, n.price_per_unit_nano_usd))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="08a7ffa89b5d2d6530cf9c3d5f7fef7c5923b784",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_1f15a",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_task",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="task",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="d458f0ee7977de4ccb58f7e4af6ef21033256b71",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_032f8",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="plans_task",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("scope__in", ["GLOBAL", "PLAN", "TENANT", "USER"])),
                name="plans_policyrule_scope",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "key__in",
                        [
                            "MAX_TOKENS_IN",
                            "MAX_TOKENS_OUT",
                            "MIN_TOKENS_OUT",
                            "AGENT_MAX_STEPS",
                            "RETRIEVAL_TOP_K",
                            "FILES_PER_REQUEST",
                            "RESERVATION_TTL_SECONDS",
                            "DEGRADE_AT_PERCENT",
                            "HOLD_PERCENTILE",
                            "CONCURRENCY_LIMIT",
                            "REQUESTS_PER_MINUTE",
                            "TOKENS_PER_MINUTE",
                            "DAILY_QUOTA",
                            "MONTHLY_QUOTA",
                            "DAILY_TOKEN_LIMIT",
                            "MONTHLY_TOKEN_LIMIT",
                            "USER_DAILY_QUOTA",
                            "USER_MONTHLY_QUOTA",
                            "DAILY_BUDGET",
                            "MONTHLY_BUDGET",
                        ],
                    )
                ),
                name="plans_policyrule_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("plan__isnull", True),
                        ("scope", "GLOBAL"),
                        ("tenant__isnull", True),
                        ("user_key__isnull", True),
                    ),
                    models.Q(
                        ("plan__isnull", False),
                        ("scope", "PLAN"),
                        ("tenant__isnull", True),
                        ("user_key__isnull", True),
                    ),
                    models.Q(
                        ("plan__isnull", True),
                        ("scope", "TENANT"),
                        ("tenant__isnull", False),
                        ("user_key__isnull", True),
                    ),
                    models.Q(
                        ("plan__isnull", True),
                        ("scope", "USER"),
                        ("tenant__isnull", False),
                        ("user_key__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="plans_policyrule_scope_references",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("task__isnull", True), ("feature__isnull", True), _connector="OR"),
                name="plans_policyrule_task_or_feature",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        (
                            "key__in",
                            [
                                "DAILY_QUOTA",
                                "DAILY_TOKEN_LIMIT",
                                "MONTHLY_QUOTA",
                                "MONTHLY_TOKEN_LIMIT",
                                "USER_DAILY_QUOTA",
                                "USER_MONTHLY_QUOTA",
                            ],
                        ),
                        _negated=True,
                    ),
                    ("scope", "GLOBAL"),
                    ("task__isnull", False),
                    ("feature__isnull", False),
                    _connector="OR",
                ),
                name="plans_policyrule_quota_names_target",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("scope", "USER"), _negated=True),
                    (
                        "key__in",
                        [
                            "AGENT_MAX_STEPS",
                            "DEGRADE_AT_PERCENT",
                            "FILES_PER_REQUEST",
                            "HOLD_PERCENTILE",
                            "MAX_TOKENS_IN",
                            "MAX_TOKENS_OUT",
                            "MIN_TOKENS_OUT",
                            "RESERVATION_TTL_SECONDS",
                            "RETRIEVAL_TOP_K",
                            "USER_DAILY_QUOTA",
                            "USER_MONTHLY_QUOTA",
                        ],
                    ),
                    _connector="OR",
                ),
                name="plans_policyrule_user_keys",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("set_by_tenant", False),
                    models.Q(
                        ("key__in", ["USER_DAILY_QUOTA", "USER_MONTHLY_QUOTA"]),
                        ("scope__in", ["TENANT", "USER"]),
                        ("value__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="plans_policyrule_set_by_tenant",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ends_at__isnull", True), ("scope__in", ["GLOBAL", "PLAN"])),
                    models.Q(("scope__in", ["TENANT", "USER"]), models.Q(("reason", ""), _negated=True)),
                    _connector="OR",
                ),
                name="plans_policyrule_exception_has_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("value__isnull", True), ("value__range", (0, 1000000000000000000)), _connector="OR"
                ),
                name="plans_policyrule_value",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("key", "DEGRADE_AT_PERCENT"), _negated=True),
                    ("value__isnull", True),
                    ("value__range", (0, 100)),
                    _connector="OR",
                ),
                name="plans_policyrule_value_degrade_at_percent",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("key", "MIN_TOKENS_OUT"), _negated=True),
                    models.Q(("value__isnull", False), ("value__range", (0, 1000000000))),
                    _connector="OR",
                ),
                name="plans_policyrule_value_min_tokens_out",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("key", "RESERVATION_TTL_SECONDS"), _negated=True),
                    models.Q(("value__isnull", False), ("value__range", (1, 86400))),
                    _connector="OR",
                ),
                name="plans_policyrule_value_reservation_ttl_seconds",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("key", "HOLD_PERCENTILE"), _negated=True),
                    models.Q(("value__isnull", False), ("value__range", (1, 100))),
                    _connector="OR",
                ),
                name="plans_policyrule_value_hold_percentile",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.UniqueConstraint(
                fields=("scope", "plan", "tenant", "user_key", "task", "feature", "key", "set_by_tenant"),
                name="plans_policyrule_once",
                nulls_distinct=False,
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="policyrule",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_once_live",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE plan_status text;",
                    func="\n            IF TG_OP <> 'INSERT' THEN SELECT status INTO plan_status FROM plans_plan WHERE id = (OLD.plan_id) FOR SHARE;\n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     END IF;\n            IF TG_OP <> 'DELETE' THEN SELECT status INTO plan_status FROM plans_plan WHERE id = (NEW.plan_id) FOR SHARE;\n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     RETURN NEW; END IF;\n            RETURN OLD;\n        ",
                    hash="252dc2704b0abb0424834f9ca1b6358bbcd87268",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_once_live_90a4e",
                    table="plans_policyrule",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="policyrule",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_defaults",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.scope = 'GLOBAL' AND OLD.task_id IS NULL AND OLD.feature_id IS NULL)",
                    func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                    hash="36b405748d9b945dbd1b927c276657a2898dce12",
                    operation="DELETE",
                    pgid="pgtrigger_keep_defaults_4cb9f",
                    table="plans_policyrule",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="policyrule",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM new_rows r WHERE r.scope <> 'PLAN') c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="ffa8b237e1f263d7767a768b801f9c872bd57205",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_c7a28",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="plans_policyrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="policyrule",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM old_rows r WHERE r.scope <> 'PLAN' AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.scope, o.plan_id, o.tenant_id, o.user_key, o.task_id, o.feature_id, o.key, o.value, o.set_by_tenant, o.ends_at) IS DISTINCT FROM (n.scope, n.plan_id, n.tenant_id, n.user_key, n.task_id, n.feature_id, n.key, n.value, n.set_by_tenant, n.ends_at)) UNION SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM new_rows r WHERE r.scope <> 'PLAN' AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.scope, o.plan_id, o.tenant_id, o.user_key, o.task_id, o.feature_id, o.key, o.value, o.set_by_tenant, o.ends_at) IS DISTINCT FROM (n.scope, n.plan_id, n.tenant_id, n.user_key, n.task_id, n.feature_id, n.key, n.value, n.set_by_tenant, n.ends_at))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="fec236e9a95e0f4324944e529734a697b0a785d0",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_22aae",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_policyrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="policyrule",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM old_rows r WHERE r.scope <> 'PLAN') c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="21d5da32e66f98590302e42aced1e9d37c314120",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_70c9f",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="plans_policyrule",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="planllmaccess",
            constraint=models.UniqueConstraint(fields=("plan", "task"), name="plans_planllmaccess_plan_task"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="planllmaccess",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_once_live",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE plan_status text;",
                    func="\n            IF TG_OP <> 'INSERT' THEN SELECT status INTO plan_status FROM plans_plan WHERE id = (OLD.plan_id) FOR SHARE;\n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     END IF;\n            IF TG_OP <> 'DELETE' THEN SELECT status INTO plan_status FROM plans_plan WHERE id = (NEW.plan_id) FOR SHARE;\n        IF plan_status <> 'DRAFT' THEN\n            RAISE EXCEPTION 'This plan is not a draft: its promises cannot change. Make a new revision.'\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_frozen';\n        END IF;\n     RETURN NEW; END IF;\n            RETURN OLD;\n        ",
                    hash="4558656f57fb788c85006776936fb6baa60ea358",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_once_live_3c7ca",
                    table="plans_planllmaccess",
                    when="BEFORE",
                ),
            ),
        ),
    ]
