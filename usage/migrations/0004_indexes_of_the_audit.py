from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0006_no_classes_for_api_tasks"),
        ("tenants", "0005_keep_without_locking_keys"),
        ("usage", "0003_units_are_a_closed_set"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="usagereservation",
            name="usage_reservation_ended",
        ),
        migrations.AddIndex(
            model_name="usagemeter",
            index=models.Index(
                condition=models.Q(("verified_at__isnull", True)), fields=["tenant"], name="usage_meter_unverified"
            ),
        ),
        migrations.AddIndex(
            model_name="usagereservation",
            index=models.Index(
                condition=models.Q(("status", "OPEN")), fields=["tenant"], name="usage_reservation_held"
            ),
        ),
        migrations.AddIndex(
            model_name="usagereservation",
            index=models.Index(
                condition=models.Q(("status", "OPEN"), _negated=True),
                fields=["status", "ended_at"],
                name="usage_reservation_ended",
            ),
        ),
        migrations.AddConstraint(
            model_name="usagereservation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("status", "OPEN")),
                    models.Q(models.Q(("status", "OPEN"), _negated=True), ("ended_at__isnull", False)),
                    _connector="OR",
                ),
                name="usage_usagereservation_ended_has_time",
            ),
        ),
    ]
