from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0006_estimates_of_holds"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="usagelog",
            index=models.Index(
                condition=models.Q(("refers_to__isnull", False)),
                fields=["tenant", "refers_to"],
                name="usage_log_tenant_refers_to",
            ),
        ),
    ]
