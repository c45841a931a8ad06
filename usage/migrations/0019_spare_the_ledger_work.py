import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0018_days_of_users_that_were"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="usagemeter",
            name="usage_usagemeter_measure",
        ),
        migrations.RemoveConstraint(
            model_name="usagemeter",
            name="usage_usagemeter_period",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="usagemeter",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_usagemeter_measure",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.measure NOT IN ('UNITS', 'REQUESTS', 'TOKENS', 'COST', 'SLOTS'))",
                    func="\n            RAISE EXCEPTION '% is not among the values of measure.', NEW.measure\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'usage_usagemeter_measure';\n        ",
                    hash="6f46367588151396de5aa84d4d4a9bf04431b241",
                    operation='INSERT OR UPDATE OF "measure"',
                    pgid="pgtrigger_usage_usagemeter_measure_a4eb4",
                    table="usage_usagemeter",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="usagemeter",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_usagemeter_period",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.period NOT IN ('MINUTE', 'DAY', 'MONTH', 'OPEN'))",
                    func="\n            RAISE EXCEPTION '% is not among the values of period.', NEW.period\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'usage_usagemeter_period';\n        ",
                    hash="57062133191cf08cbddc7639b2d67ecde3dbed51",
                    operation='INSERT OR UPDATE OF "period"',
                    pgid="pgtrigger_usage_usagemeter_period_87276",
                    table="usage_usagemeter",
                    when="AFTER",
                ),
            ),
        ),
        # A reservation is written twice and gone in two days: compressing its 3 kB is a fifth of the work of holding it.
        migrations.RunSQL(
            "ALTER TABLE usage_usagereservation SET (toast_tuple_target = 8160)",
            "ALTER TABLE usage_usagereservation RESET (toast_tuple_target)",
        ),
    ]
