from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0006_no_classes_for_api_tasks"),
        ("tenants", "0005_keep_without_locking_keys"),
        ("usage", "0002_ledger"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="usagelog",
            constraint=models.CheckConstraint(
                condition=models.Q(("unit__in", ["REQUESTS", "TOKENS", "API_CALLS", "ITEMS"])),
                name="usage_usagelog_unit",
            ),
        ),
        migrations.AddConstraint(
            model_name="usagereservation",
            constraint=models.CheckConstraint(
                condition=models.Q(("unit__in", ["REQUESTS", "TOKENS", "API_CALLS", "ITEMS"])),
                name="usage_usagereservation_unit",
            ),
        ),
    ]
