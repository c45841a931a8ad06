"""Keys over two columns that keep a tenant's rows among themselves, and the view of each tenant's plan."""

from django.db import migrations

_KEYS = {
    # Every token's root is its tenant's one root token, which cannot be replaced while a token names it.
    (
        "tenants_atitoken",
        "root_is_the_tenants",
    ): "(tenant_id, root_id) REFERENCES tenants_tenant (id, root_token_id)",
    (
        "tenants_tenant",
        "root_token_is_its_own",
    ): "(id, root_token_id) REFERENCES tenants_atitoken (tenant_id, id)",
    (
        "tenants_atitoken",
        "user_is_the_tenants",
    ): "(tenant_id, user_id) REFERENCES tenants_user (tenant_id, id)",
    ("tenants_user", "signup_token_is_the_tenants"): (
        "(tenant_id, signup_token_id) REFERENCES tenants_atitoken (tenant_id, id)"
    ),
}
_TENANT_PLAN = """
    CREATE VIEW tenants_tenantplan AS
    SELECT t.id AS tenant_id, r.id AS root_token_id,
           CASE WHEN r.next_plan_at <= now() THEN r.next_plan_id ELSE r.plan_id END AS plan_id,
           CASE WHEN r.next_plan_at <= now() THEN r.next_plan_at ELSE r.plan_starts_at END AS since,
           CASE WHEN r.next_plan_at > now() THEN r.next_plan_at ELSE r.plan_ends_at END AS until
      FROM tenants_tenant t JOIN tenants_atitoken r ON r.id = t.root_token_id
     WHERE r.plan_starts_at <= now() AND (r.plan_ends_at IS NULL OR r.plan_ends_at > now())
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial"), ("plans", "0002_relations")]

    operations = [
        *(
            migrations.RunSQL(
                f"ALTER TABLE {table} ADD CONSTRAINT {table}_{name} FOREIGN KEY {key} DEFERRABLE INITIALLY DEFERRED",
                f"ALTER TABLE {table} DROP CONSTRAINT {table}_{name}",
            )
            for (table, name), key in _KEYS.items()
        ),
        migrations.RunSQL(_TENANT_PLAN, "DROP VIEW tenants_tenantplan"),
    ]
