from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0011_rollout_rules_stay_on_record"),
        ("tenants", "0005_keep_without_locking_keys"),
        ("usage", "0008_find_what_observed_gates_let_through"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(
                condition=models.Q(("certainty__in", ["ESTIMATED", "UNKNOWN"])), fields=["id"], name="usage_log_unsure"
            ),
        ),
    ]
