import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import tenants.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("plans", "0011_rollout_rules_stay_on_record"),
        ("tenants", "0005_keep_without_locking_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="Simulation",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "changes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=400),
                        default=list,
                        help_text="What is changed in it first, as PATH=VALUE.",
                        size=None,
                    ),
                ),
                ("days", models.PositiveSmallIntegerField(help_text="How many days back.")),
                (
                    "status",
                    models.CharField(
                        choices=[("QUEUED", "Waiting"), ("RUNNING", "Running"), ("DONE", "Done"), ("FAILED", "Failed")],
                        default="QUEUED",
                        max_length=16,
                    ),
                ),
                ("progress", models.FloatField(default=0.0, help_text="The share that is done, 0 to 1.")),
                ("operations", models.PositiveBigIntegerField(default=0, help_text="Recorded operations read so far.")),
                ("result", models.JSONField(null=True)),
                ("error", models.TextField(blank=True)),
                ("asked_by", models.CharField(help_text="Who asked for it.", max_length=254)),
                ("service_key", models.UUIDField(null=True)),
                ("idempotency_key", models.CharField(max_length=128, null=True)),
                ("fingerprint", models.CharField(blank=True, max_length=64)),
                ("attempt", models.PositiveSmallIntegerField(default=0, help_text="How often a worker began it.")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("heard_at", models.DateTimeField(help_text="When its worker last said how far it is.", null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "plan",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty = each tenant's own plan.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="plans.plan",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty = all who hold the plan, or everybody where none is named.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("status__in", ("QUEUED", "RUNNING"))),
                        fields=["status"],
                        name="enforcement_simulation_open",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["QUEUED", "RUNNING", "DONE", "FAILED"])),
                        name="enforcement_simulation_status",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("days__range", (1, 90))), name="enforcement_simulation_days"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("plan__isnull", False), ("changes__len__gt", 0), _connector="OR"),
                        name="enforcement_simulation_something_to_try",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("result__isnull", False), ("status", "DONE")),
                            models.Q(models.Q(("status", "DONE"), _negated=True), ("result__isnull", True)),
                            _connector="OR",
                        ),
                        name="enforcement_simulation_done_has_result",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at__isnull", True), ("status__in", ("QUEUED", "RUNNING"))),
                            models.Q(
                                models.Q(("status__in", ("QUEUED", "RUNNING")), _negated=True),
                                ("finished_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="enforcement_simulation_ended_has_time",
                    ),
                    models.UniqueConstraint(
                        fields=("service_key", "idempotency_key"),
                        name="enforcement_simulation_service_key_idempotency_key",
                    ),
                ],
            },
        ),
    ]
