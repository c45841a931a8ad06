from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0003_encrypt_secrets"),
        ("tenants", "0006_show_all_usage"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state", "SENDING")), fields=["leased_until"], name="alerts_delivery_sending"
            ),
        ),
    ]
