import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import tenants.models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0003_lower_case_email")]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="tenant",
            name="count_update",
        ),
        migrations.AddField(
            model_name="tenant",
            name="calendar_since",
            field=models.DateTimeField(
                blank=True, editable=False, help_text="When an earlier change took effect.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="tenant",
            name="next_timezone",
            field=models.CharField(
                blank=True,
                help_text="The zone from the change on.",
                max_length=64,
                null=True,
                validators=[tenants.models.known_zone],
            ),
        ),
        migrations.AlterField(
            model_name="tenant",
            name="timezone",
            field=models.CharField(
                default="UTC",
                help_text="Its days and months begin at midnight here.",
                max_length=64,
                validators=[tenants.models.known_zone],
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenant",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.id AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.name, o.status, o.enforcement_mode, o.timezone, o.billing_anchor_day, o.calendar_since, o.next_timezone, o.next_billing_anchor_day, o.next_calendar_at, o.root_token_id) IS DISTINCT FROM (n.name, n.status, n.enforcement_mode, n.timezone, n.billing_anchor_day, n.calendar_since, n.next_timezone, n.next_billing_anchor_day, n.next_calendar_at, n.root_token_id)) UNION SELECT r.id AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.name, o.status, o.enforcement_mode, o.timezone, o.billing_anchor_day, o.calendar_since, o.next_timezone, o.next_billing_anchor_day, o.next_calendar_at, o.root_token_id) IS DISTINCT FROM (n.name, n.status, n.enforcement_mode, n.timezone, n.billing_anchor_day, n.calendar_since, n.next_timezone, n.next_billing_anchor_day, n.next_calendar_at, n.root_token_id))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="d1b104794873e2817a88acca542735246d7a4896",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_2b3ee",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="tenants_tenant",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("calendar_since__isnull", True),
                    ("next_calendar_at__isnull", True),
                    ("calendar_since__lt", models.F("next_calendar_at")),
                    _connector="OR",
                ),
                name="tenants_tenant_next_calendar_after_since",
            ),
        ),
    ]
