from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0011_rollout_rules_stay_on_record"),
        ("tenants", "0006_show_all_usage"),
    ]

    operations = [
        migrations.AddField(
            model_name="atitoken",
            name="revoked_at",
            field=models.DateTimeField(editable=False, help_text="Since when it is revoked.", null=True),
        ),
        # Of those that were revoked before, it is not known when.
        migrations.RunSQL(
            "UPDATE tenants_atitoken SET revoked_at = now() WHERE status = 'REVOKED'", migrations.RunSQL.noop
        ),
        migrations.AddConstraint(
            model_name="atitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("revoked_at__isnull", False), ("status", "REVOKED")),
                    models.Q(models.Q(("status", "REVOKED"), _negated=True), ("revoked_at__isnull", True)),
                    _connector="OR",
                ),
                name="tenants_atitoken_revoked_has_time",
            ),
        ),
    ]
