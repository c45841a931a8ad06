"""The ledger's SQL functions, partitions to begin with, and the guard of what the ledger refers to."""

from django.db import migrations

from usage.migrations._sql import run_file

_TABLES = """
    -- Counters change all the time: room on each page keeps their updates HOT.
    ALTER TABLE usage_usagemeter SET (fillfactor = 50);
    SELECT ledger_make_partition((date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n))::date)
      FROM generate_series(-1, 3) AS g(n);
"""

# table -> what of the ledger keeps one of its rows from being deleted
_REFERENCES = {
    "tenants_tenant": "SELECT 1 FROM usage_usagemeter WHERE tenant_id = OLD.id",
    "plans_feature": "SELECT 1 FROM usage_usagemeter WHERE feature_id = OLD.code",
    "plans_task": "SELECT 1 FROM usage_usagemeter WHERE feature_id = OLD.feature_id",
    "plans_modelclass": "SELECT 1 FROM usage_usagelog WHERE model_class_id = OLD.code",
}
_GUARD = """
    CREATE FUNCTION ledger_keep_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS ({reference}) THEN
            RAISE EXCEPTION 'The ledger refers to this row of {table}: it cannot be deleted.'
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_keep_{table}';
        END IF;
        RETURN OLD;
    END $$;
    CREATE TRIGGER ledger_keep BEFORE DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION ledger_keep_{table}();
"""
_UNGUARD = "DROP TRIGGER ledger_keep ON {table}; DROP FUNCTION ledger_keep_{table}();"

_DROP = """
    DO $$ DECLARE f record;
    BEGIN
        FOR f IN SELECT oid::regprocedure AS name FROM pg_proc WHERE proname LIKE 'ledger\\_%' LOOP
            EXECUTE 'DROP FUNCTION ' || f.name;
        END LOOP;
        DROP TYPE ledger_weight, ledger_ask, ledger_answer;
    END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0001_initial"),
        ("tenants", "0002_composite_keys"),
        ("plans", "0004_vocabulary"),
    ]

    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, _DROP),
        run_file("tables.sql"),
        run_file("types.sql"),
        run_file("ledger.sql"),
        migrations.RunSQL(_TABLES, migrations.RunSQL.noop),
        *(
            migrations.RunSQL(_GUARD.format(table=table, reference=reference), _UNGUARD.format(table=table))
            for table, reference in _REFERENCES.items()
        ),
    ]
