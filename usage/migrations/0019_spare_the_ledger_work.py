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
                name="usage_usagemeter_keys",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.measure NOT IN ('UNITS', 'REQUESTS', 'TOKENS', 'COST', 'SLOTS') OR NEW.period NOT IN ('MINUTE', 'DAY', 'MONTH', 'OPEN'))",
                    func="\n            RAISE EXCEPTION 'A row of % has a value outside its closed set.', TG_TABLE_NAME\n                USING ERRCODE = 'check_violation', CONSTRAINT = 'usage_usagemeter_keys';\n        ",
                    hash="0a3fb1b364b843ee99fdef0bab6d859801ec023a",
                    operation='INSERT OR UPDATE OF "measure", "period"',
                    pgid="pgtrigger_usage_usagemeter_keys_d15f4",
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
