import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0005_channels_report_usage"),
        ("tenants", "0006_show_all_usage"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="delivery",
            name="alerts_delivery_state",
        ),
        migrations.AddField(
            model_name="delivery",
            name="digest",
            field=models.ForeignKey(
                db_index=False,
                help_text="The message that tells this one with others.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="gathered",
                to="alerts.delivery",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="state",
            field=models.CharField(
                choices=[
                    ("PENDING", "Waiting"),
                    ("GATHERED", "Waiting in a digest"),
                    ("SENDING", "Being sent"),
                    ("SENT", "Sent"),
                    ("FAILED", "Failed, will be tried again"),
                    ("DEAD", "Given up"),
                ],
                default="PENDING",
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("digest__isnull", False)), fields=["digest"], name="alerts_delivery_digest"
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["PENDING", "GATHERED", "SENDING", "SENT", "FAILED", "DEAD"])),
                name="alerts_delivery_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "GATHERED"), _negated=True), ("digest__isnull", False), _connector="OR"
                ),
                name="alerts_delivery_gathered_has_digest",
            ),
        ),
    ]
