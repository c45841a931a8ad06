"""Keys over two columns, which the database holds and Django cannot say."""

from django.db import migrations

# A task's default class is one of the classes allowed for it.
_DEFAULT_IS_ALLOWED = """
    ALTER TABLE plans_planllmaccess ADD CONSTRAINT plans_planllmaccess_default_is_allowed
        FOREIGN KEY (id, default_class_id) REFERENCES plans_planllmaccessclass (access_id, model_class_id)
        DEFERRABLE INITIALLY DEFERRED;
"""
# Only a draft can be deleted: tokens, logs and decisions refer to the others for ever.
_ONLY_DRAFTS_GO = """
    CREATE FUNCTION plans_plan_only_drafts_go() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'Only a draft can be deleted. Publish another revision instead.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'plans_plan_only_drafts_go';
    END $$;
    CREATE TRIGGER plans_plan_only_drafts_go BEFORE DELETE ON plans_plan
        FOR EACH ROW WHEN (OLD.status <> 'DRAFT') EXECUTE FUNCTION plans_plan_only_drafts_go();
"""


class Migration(migrations.Migration):
    dependencies = [("plans", "0002_relations")]

    operations = [
        migrations.RunSQL(
            _DEFAULT_IS_ALLOWED,
            "ALTER TABLE plans_planllmaccess DROP CONSTRAINT plans_planllmaccess_default_is_allowed",
        ),
        migrations.RunSQL(
            _ONLY_DRAFTS_GO,
            "DROP TRIGGER plans_plan_only_drafts_go ON plans_plan; DROP FUNCTION plans_plan_only_drafts_go()",
        ),
    ]
