from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0004_find_channels_at_work"),
        ("tenants", "0006_show_all_usage"),
    ]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="report",
            field=models.CharField(
                choices=[
                    ("NONE", "No report"),
                    ("WEEKLY", "Each Monday, of the week before"),
                    ("MONTHLY", "On the first, of the month before"),
                ],
                default="NONE",
                help_text="How often it gets a report of the tenant's usage, at 8 in the morning; e-mail only.",
                max_length=8,
                verbose_name="usage report",
            ),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(("report__in", ["NONE", "WEEKLY", "MONTHLY"])), name="alerts_channel_report"
            ),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("report", "NONE"), models.Q(("kind", "EMAIL"), ("tenant__isnull", False)), _connector="OR"
                ),
                name="alerts_channel_reports_are_mails",
            ),
        ),
    ]
