import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0010_a_draft_knows_that_it_was_simulated"),
        ("tenants", "0005_keep_without_locking_keys"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="rolloutrule",
            name="count_update",
        ),
        migrations.AddField(
            model_name="rolloutrule",
            name="ends_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="From then on it is as if it were not there.",
                null=True,
                verbose_name="until",
            ),
        ),
        migrations.AlterField(
            model_name="rolloutrule",
            name="reason",
            field=models.CharField(
                blank=True, help_text="Why, for those who read it later. “Off” needs one.", max_length=200
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="rolloutrule",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_what_bound",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.starts_at <= clock_timestamp() AND ((OLD.tenant_id, OLD.gate, OLD.mode, OLD.starts_at) IS DISTINCT FROM (NEW.tenant_id, NEW.gate, NEW.mode, NEW.starts_at) OR (OLD.ends_at <= clock_timestamp() AND OLD.ends_at IS DISTINCT FROM NEW.ends_at)))",
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="0206830d61a9c9b2b0a482f19638a2b932d264ad",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_what_bound_8f1b4",
                    table="plans_rolloutrule",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="rolloutrule",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_that_it_bound",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.starts_at <= clock_timestamp())",
                    func="\n                    IF OLD.tenant_id IS NULL OR EXISTS (\n                        SELECT 1 FROM tenants_tenant WHERE id = OLD.tenant_id AND root_token_id IS NOT NULL\n                    ) THEN\n                        RAISE EXCEPTION 'It has begun, and stays on record. End it, or let another take its place.'\n                            USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_rolloutrule_keep_that_it_bound';\n                    END IF;\n                    RETURN OLD;\n                ",
                    hash="be18ad7df82943e4f3c40d581bf4f4f4af4eb92c",
                    operation="DELETE",
                    pgid="pgtrigger_keep_that_it_bound_1d5c9",
                    table="plans_rolloutrule",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="rolloutrule",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.tenant_id, o.gate, o.mode, o.starts_at, o.ends_at) IS DISTINCT FROM (n.tenant_id, n.gate, n.mode, n.starts_at, n.ends_at)) UNION SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.tenant_id, o.gate, o.mode, o.starts_at, o.ends_at) IS DISTINCT FROM (n.tenant_id, n.gate, n.mode, n.starts_at, n.ends_at))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="a9bdc8e095c0e9564715ecefea5ec5d171840545",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_486bd",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_rolloutrule",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="rolloutrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("mode", "OFF"), _negated=True), models.Q(("reason", ""), _negated=True), _connector="OR"
                ),
                name="plans_rolloutrule_off_has_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="rolloutrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("ends_at__isnull", True), ("ends_at__gte", models.F("starts_at")), _connector="OR"),
                name="plans_rolloutrule_ends_after_start",
            ),
        ),
    ]
