import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0007_keep_what_a_rule_is_about"),
        ("tenants", "0005_keep_without_locking_keys"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="policyrule",
            name="count_update",
        ),
        migrations.AddField(
            model_name="policyrule",
            name="includes_money",
            field=models.BooleanField(
                default=False,
                help_text="For HOLD_PERCENTILE alone: hold budgets by it too. They may then be overspent, by what a decision states at most.",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="policyrule",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM old_rows r WHERE r.scope <> 'PLAN' AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.scope, o.plan_id, o.tenant_id, o.user_key, o.task_id, o.feature_id, o.key, o.value, o.set_by_tenant, o.includes_money, o.ends_at) IS DISTINCT FROM (n.scope, n.plan_id, n.tenant_id, n.user_key, n.task_id, n.feature_id, n.key, n.value, n.set_by_tenant, n.includes_money, n.ends_at)) UNION SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM new_rows r WHERE r.scope <> 'PLAN' AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.scope, o.plan_id, o.tenant_id, o.user_key, o.task_id, o.feature_id, o.key, o.value, o.set_by_tenant, o.includes_money, o.ends_at) IS DISTINCT FROM (n.scope, n.plan_id, n.tenant_id, n.user_key, n.task_id, n.feature_id, n.key, n.value, n.set_by_tenant, n.includes_money, n.ends_at))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="87a7be945b810c1fde6c8e1aebd1c89a06ea82ff",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_22aae",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_policyrule",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="policyrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("includes_money", False), ("key", "HOLD_PERCENTILE"), _connector="OR"),
                name="plans_policyrule_includes_money",
            ),
        ),
    ]
