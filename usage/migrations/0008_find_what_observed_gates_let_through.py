from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0011_rollout_rules_stay_on_record"),
        ("tenants", "0005_keep_without_locking_keys"),
        ("usage", "0007_find_the_corrections_of_a_row"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(
                condition=models.Q(("decision__has_key", "over"), ("decision__has_key", "would_deny"), _connector="OR"),
                fields=["id"],
                name="usage_log_watched",
            ),
        ),
    ]
