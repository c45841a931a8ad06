import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0004_calendar_since"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="atitoken",
            name="keep_owner",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="tenant",
            name="keep_identity",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="atitoken",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_owner",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."root_id" IS DISTINCT FROM (NEW."root_id") OR OLD."user_id" IS DISTINCT FROM (NEW."user_id"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="ac69edd15f96bb459487cf6e8e694b511dfcd357",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_owner_40f48",
                    table="tenants_atitoken",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenant",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_identity",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."ati_id" IS DISTINCT FROM (NEW."ati_id") OR OLD."meter_secret" IS DISTINCT FROM (NEW."meter_secret"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="4541a0fefeddd21daac17be6f1fba51c5c97b676",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_identity_cd2a4",
                    table="tenants_tenant",
                    when="AFTER",
                ),
            ),
        ),
    ]
