import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0006_digests_gather_deliveries"),
        ("tenants", "0006_show_all_usage"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="channel",
            name="alerts_channel_kinds",
        ),
        migrations.RemoveConstraint(
            model_name="quotaalert",
            name="alerts_quotaalert_kind",
        ),
        migrations.AlterField(
            model_name="channel",
            name="kinds",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("THRESHOLD", "Share of a limit used"),
                        ("AMOUNT", "Amount used"),
                        ("SATURATED", "Too many calls at once"),
                        ("REFUSALS", "Many refusals"),
                        ("USAGE_SPIKE", "More use than usual"),
                        ("SPEND_ANOMALY", "More spend than usual"),
                        ("RUN_OUT", "Will run out"),
                        ("UNPRICED", "Model without a price"),
                        ("UNUSUAL_PRICE", "Unusual price"),
                        ("EXPIRING", "Token or key expires"),
                        ("HOLDS_EXPIRED", "Commits are missing"),
                        ("AUDIT_BREACH", "The ledger does not add up"),
                        ("LAG", "Background work is late"),
                        ("CHANNEL_DISABLED", "Channel was switched off"),
                    ],
                    max_length=24,
                ),
                blank=True,
                default=list,
                help_text="Which alerts it tells; none chosen = all.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="channel",
            name="report",
            field=models.CharField(
                choices=[
                    ("NONE", "No report"),
                    ("WEEKLY", "Each Monday, of the week before"),
                    ("MONTHLY", "On a month's first day, of the month before"),
                ],
                default="NONE",
                help_text="How often it gets a report of the tenant's usage, at 8 in the morning; e-mail only.",
                max_length=8,
                verbose_name="usage report",
            ),
        ),
        migrations.AlterField(
            model_name="quotaalert",
            name="kind",
            field=models.CharField(
                choices=[
                    ("THRESHOLD", "Share of a limit used"),
                    ("AMOUNT", "Amount used"),
                    ("SATURATED", "Too many calls at once"),
                    ("REFUSALS", "Many refusals"),
                    ("USAGE_SPIKE", "More use than usual"),
                    ("SPEND_ANOMALY", "More spend than usual"),
                    ("RUN_OUT", "Will run out"),
                    ("UNPRICED", "Model without a price"),
                    ("UNUSUAL_PRICE", "Unusual price"),
                    ("EXPIRING", "Token or key expires"),
                    ("HOLDS_EXPIRED", "Commits are missing"),
                    ("AUDIT_BREACH", "The ledger does not add up"),
                    ("LAG", "Background work is late"),
                    ("CHANNEL_DISABLED", "Channel was switched off"),
                ],
                max_length=24,
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state__in", ["SENT", "DEAD"])), fields=["created_at"], name="alerts_delivery_ended"
            ),
        ),
        migrations.AddIndex(
            model_name="quotaalert",
            index=models.Index(
                condition=models.Q(("resolved_at__isnull", False)), fields=["resolved_at"], name="alerts_alert_resolved"
            ),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kinds__contained_by",
                        [
                            "THRESHOLD",
                            "AMOUNT",
                            "SATURATED",
                            "REFUSALS",
                            "USAGE_SPIKE",
                            "SPEND_ANOMALY",
                            "RUN_OUT",
                            "UNPRICED",
                            "UNUSUAL_PRICE",
                            "EXPIRING",
                            "HOLDS_EXPIRED",
                            "AUDIT_BREACH",
                            "LAG",
                            "CHANNEL_DISABLED",
                        ],
                    )
                ),
                name="alerts_channel_kinds",
            ),
        ),
        migrations.AddConstraint(
            model_name="quotaalert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "THRESHOLD",
                            "AMOUNT",
                            "SATURATED",
                            "REFUSALS",
                            "USAGE_SPIKE",
                            "SPEND_ANOMALY",
                            "RUN_OUT",
                            "UNPRICED",
                            "UNUSUAL_PRICE",
                            "EXPIRING",
                            "HOLDS_EXPIRED",
                            "AUDIT_BREACH",
                            "LAG",
                            "CHANNEL_DISABLED",
                        ],
                    )
                ),
                name="alerts_quotaalert_kind",
            ),
        ),
    ]
