import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0005_keep_without_locking_keys"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="user",
            name="count_update",
        ),
        migrations.AddField(
            model_name="user",
            name="is_shown_all_usage",
            field=models.BooleanField(
                default=False,
                help_text="Lets an analyst or viewer see everybody's usage. Owners, admins and managers see it anyway.",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="user",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.tenant_id AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.tenant_id, o.role, o.status, o.is_shown_all_usage) IS DISTINCT FROM (n.tenant_id, n.role, n.status, n.is_shown_all_usage)) UNION SELECT r.tenant_id AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.tenant_id, o.role, o.status, o.is_shown_all_usage) IS DISTINCT FROM (n.tenant_id, n.role, n.status, n.is_shown_all_usage))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="eeeba8e0c7c999ac4f598876fb3f5817e36c110c",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_8cf95",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="tenants_user",
                    when="AFTER",
                ),
            ),
        ),
    ]
