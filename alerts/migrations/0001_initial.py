import django.contrib.postgres.fields
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import alerts.models.channel
import tenants.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("plans", "0011_rollout_rules_stay_on_record"),
        ("tenants", "0006_show_all_usage"),
    ]

    operations = [
        migrations.CreateModel(
            name="Channel",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(help_text="What people call it.", max_length=100)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("EMAIL", "E-mail"),
                            ("CHAT_WEBHOOK", "Chat (Slack, Teams)"),
                            ("SIGNED_WEBHOOK", "Signed webhook"),
                            ("IN_APP", "In these pages"),
                        ],
                        help_text="How it tells.",
                        max_length=16,
                    ),
                ),
                (
                    "address",
                    models.CharField(
                        blank=True,
                        help_text="An e-mail address, or the https:// address of a webhook.",
                        max_length=2000,
                    ),
                ),
                (
                    "secrets",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(),
                        blank=True,
                        default=list,
                        editable=False,
                        help_text="What signs a webhook, encrypted, the newest first; the others still verify while they are changed.",
                        size=None,
                    ),
                ),
                (
                    "severities",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[("INFO", "Info"), ("WARNING", "Warning"), ("CRITICAL", "Critical")], max_length=16
                        ),
                        default=alerts.models.channel.every_severity,
                        help_text="What it tells, by how much it matters.",
                        size=None,
                    ),
                ),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(
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
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64),
                        blank=True,
                        default=list,
                        help_text="Which events of the product it tells beside alerts, such as reservation.denied.",
                        size=None,
                    ),
                ),
                (
                    "digest",
                    models.CharField(
                        choices=[("NONE", "Each at once"), ("HOURLY", "Once an hour"), ("DAILY", "Once a day")],
                        default="NONE",
                        help_text="Whether what is not critical is gathered into one message.",
                        max_length=8,
                    ),
                ),
                (
                    "quiet_from",
                    models.TimeField(
                        blank=True,
                        help_text="From then on, in the tenant's zone, what is not critical waits.",
                        null=True,
                    ),
                ),
                ("quiet_until", models.TimeField(blank=True, help_text="Until then it waits.", null=True)),
                (
                    "is_active",
                    models.BooleanField(default=True, help_text="Whether it tells at all.", verbose_name="active"),
                ),
                ("disabled_reason", models.CharField(blank=True, help_text="Why it was switched off.", max_length=200)),
                ("failures", models.PositiveIntegerField(default=0, editable=False, verbose_name="failures in a row")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="Whose alerts it tells; empty = those of super admins.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["tenant", "name"],
            },
        ),
        migrations.CreateModel(
            name="QuotaAlert",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("THRESHOLD", "Share of a limit used"),
                            ("AMOUNT", "Amount used"),
                            ("SATURATED", "Too many calls at once"),
                            ("REFUSALS", "Many refusals"),
                            ("USAGE_SPIKE", "More use than usual"),
                            ("SPEND_ANOMALY", "More spend than usual"),
                            ("RUN_OUT", "Will run out"),
                            ("UNPRICED", "Model without a price"),
                            ("EXPIRING", "Token or key expires"),
                            ("HOLDS_EXPIRED", "Commits are missing"),
                            ("AUDIT_BREACH", "The ledger does not add up"),
                            ("LAG", "Background work is late"),
                            ("CHANNEL_DISABLED", "Channel was switched off"),
                        ],
                        max_length=24,
                    ),
                ),
                (
                    "severity",
                    models.CharField(
                        choices=[("INFO", "Info"), ("WARNING", "Warning"), ("CRITICAL", "Critical")], max_length=16
                    ),
                ),
                ("subject", models.TextField(help_text="What it is about, by a name that stays: of a quota its keys.")),
                (
                    "user_key",
                    models.CharField(
                        help_text="Whose quota it is, where it is one's own.",
                        max_length=128,
                        null=True,
                        verbose_name="user",
                    ),
                ),
                (
                    "threshold",
                    models.BigIntegerField(
                        help_text="Percent of the limit; of an amount, nano-USD or the quota's unit."
                    ),
                ),
                (
                    "episode",
                    models.TextField(help_text="The span in which it is told once: of a quota its period and limit."),
                ),
                ("numbers", models.JSONField(help_text="The figures as they were.")),
                ("created_at", models.DateTimeField(verbose_name="noticed")),
                ("resolved_at", models.DateTimeField(null=True, verbose_name="over since")),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        help_text="Whose people are told; empty = super admins.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "alert",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "event",
                    models.CharField(
                        help_text="Which event of the product it is, where it is one.", max_length=64, null=True
                    ),
                ),
                (
                    "event_id",
                    models.CharField(help_text="Which one: told once to each channel.", max_length=128, null=True),
                ),
                ("payload", models.JSONField(help_text="What the event says.", null=True)),
                ("message_id", models.UUIDField(default=tenants.ids.uuid7, editable=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("PENDING", "Waiting"),
                            ("SENDING", "Being sent"),
                            ("SENT", "Sent"),
                            ("FAILED", "Failed, will be tried again"),
                            ("DEAD", "Given up"),
                        ],
                        default="PENDING",
                        max_length=16,
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(help_text="Not before then.")),
                ("leased_until", models.DateTimeField(help_text="Whoever sends it has until then.", null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField()),
                ("sent_at", models.DateTimeField(null=True)),
                (
                    "channel",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="alerts.channel",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
                (
                    "alert",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="alerts.quotaalert",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "deliveries",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="AlertPolicy",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "measure",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("UNITS", "Units of the feature"),
                            ("REQUESTS", "Requests"),
                            ("TOKENS", "Tokens"),
                            ("COST", "Nano-USD"),
                            ("SLOTS", "Open at once"),
                        ],
                        help_text="Empty = whatever is counted.",
                        max_length=16,
                        null=True,
                    ),
                ),
                (
                    "period",
                    models.CharField(
                        blank=True,
                        choices=[("MINUTE", "Minute"), ("DAY", "Day"), ("MONTH", "Month"), ("OPEN", "For ever")],
                        help_text="Empty = days and months.",
                        max_length=8,
                        null=True,
                    ),
                ),
                (
                    "percents",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveSmallIntegerField(),
                        blank=True,
                        default=list,
                        help_text="Shares of the limit in percent, such as 50, 80, 95, 100. None = not told.",
                        size=None,
                    ),
                ),
                (
                    "amounts",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        blank=True,
                        default=list,
                        help_text="Amounts, limit or not: nano-USD of money, else the quota's unit. Need a measure and a period.",
                        size=None,
                    ),
                ),
                (
                    "feature",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="Empty = every feature, and what features share.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="plans.feature",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="Empty = every tenant that has none of its own.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "alert policies",
                "ordering": ["tenant", "feature", "measure", "period"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("measure__in", ["UNITS", "REQUESTS", "TOKENS", "COST", "SLOTS"])),
                        name="alerts_alertpolicy_measure",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("period__in", ["MINUTE", "DAY", "MONTH", "OPEN"])),
                        name="alerts_alertpolicy_period",
                    ),
                    models.UniqueConstraint(
                        fields=("tenant", "feature", "measure", "period"),
                        name="alerts_alertpolicy_once",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amounts", []),
                            models.Q(("measure__isnull", False), ("period__isnull", False)),
                            _connector="OR",
                        ),
                        name="alerts_alertpolicy_amounts_have_a_unit",
                    ),
                    models.CheckConstraint(
                        condition=models.Func(
                            models.F("percents"),
                            output_field=models.BooleanField(),
                            template="(0 < ALL(%(expressions)s) AND 1000 >= ALL(%(expressions)s))",
                        ),
                        name="alerts_alertpolicy_percents",
                    ),
                    models.CheckConstraint(
                        condition=models.Func(
                            models.F("amounts"),
                            output_field=models.BooleanField(),
                            template="(0 < ALL(%(expressions)s) AND 1000000000000000000 >= ALL(%(expressions)s))",
                        ),
                        name="alerts_alertpolicy_amounts",
                    ),
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="alertpolicy",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_the_default",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.tenant_id IS NULL AND OLD.feature_id IS NULL AND OLD.measure IS NULL AND OLD.period IS NULL)",
                    func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                    hash="50eea19417235eede72cf1608785360dc8f19533",
                    operation="DELETE",
                    pgid="pgtrigger_keep_the_default_99c23",
                    table="alerts_alertpolicy",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="alertpolicy",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="71afef3ac29ccf0eca33d446841fa749630987c2",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_abc1f",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="alerts_alertpolicy",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="alertpolicy",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.tenant_id, o.feature_id, o.measure, o.period, o.percents, o.amounts) IS DISTINCT FROM (n.tenant_id, n.feature_id, n.measure, n.period, n.percents, n.amounts)) UNION SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.tenant_id, o.feature_id, o.measure, o.period, o.percents, o.amounts) IS DISTINCT FROM (n.tenant_id, n.feature_id, n.measure, n.period, n.percents, n.amounts))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="093b42cf44f49b446455f9dbf9425a590386f589",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_56b74",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="alerts_alertpolicy",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="alertpolicy",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT COALESCE(r.tenant_id, '00000000-0000-0000-0000-000000000001'::uuid) AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="cb688cef838a36a4b298448f5d54d9b2dc5a01b4",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_1b979",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="alerts_alertpolicy",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="channel",
            index=models.Index(
                condition=models.Q(("is_active", True)), fields=["tenant"], name="alerts_channel_active"
            ),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["EMAIL", "CHAT_WEBHOOK", "SIGNED_WEBHOOK", "IN_APP"])),
                name="alerts_channel_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(("digest__in", ["NONE", "HOURLY", "DAILY"])), name="alerts_channel_digest"
            ),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(("severities__contained_by", ["INFO", "WARNING", "CRITICAL"])),
                name="alerts_channel_severities",
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
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("address", ""), ("kind", "IN_APP")),
                    models.Q(models.Q(("kind", "IN_APP"), _negated=True), models.Q(("address", ""), _negated=True)),
                    _connector="OR",
                ),
                name="alerts_channel_has_address",
            ),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("quiet_from__isnull", True), ("quiet_until__isnull", True)),
                    models.Q(("quiet_from__isnull", False), ("quiet_until__isnull", False)),
                    _connector="OR",
                ),
                name="alerts_channel_quiet_hours_have_both_ends",
            ),
        ),
        migrations.AddIndex(
            model_name="quotaalert",
            index=models.Index(fields=["tenant", "-id"], name="alerts_alert_tenant_id"),
        ),
        migrations.AddIndex(
            model_name="quotaalert",
            index=models.Index(
                condition=models.Q(("resolved_at__isnull", True)), fields=["tenant"], name="alerts_alert_open"
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
        migrations.AddConstraint(
            model_name="quotaalert",
            constraint=models.CheckConstraint(
                condition=models.Q(("severity__in", ["INFO", "WARNING", "CRITICAL"])), name="alerts_quotaalert_severity"
            ),
        ),
        migrations.AddConstraint(
            model_name="quotaalert",
            constraint=models.UniqueConstraint(
                fields=("tenant", "kind", "subject", "threshold", "episode"),
                name="alerts_quotaalert_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="quotaalert",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("resolved_at__isnull", True), ("resolved_at__gte", models.F("created_at")), _connector="OR"
                ),
                name="alerts_quotaalert_resolved_after_created",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state__in", ("PENDING", "SENDING", "FAILED"))),
                fields=["next_attempt_at"],
                name="alerts_delivery_due",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["channel", "-id"], name="alerts_delivery_channel_id"),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["PENDING", "SENDING", "SENT", "FAILED", "DEAD"])),
                name="alerts_delivery_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("alert__isnull", False),
                        ("event__isnull", True),
                        ("event_id__isnull", True),
                        ("payload__isnull", True),
                    ),
                    models.Q(
                        ("alert__isnull", True),
                        ("event__isnull", False),
                        ("event_id__isnull", False),
                        ("payload__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="alerts_delivery_of_one_thing",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("sent_at__isnull", False), ("state", "SENT")),
                    models.Q(models.Q(("state", "SENT"), _negated=True), ("sent_at__isnull", True)),
                    _connector="OR",
                ),
                name="alerts_delivery_sent_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "SENDING"), _negated=True), ("leased_until__isnull", False), _connector="OR"
                ),
                name="alerts_delivery_sending_has_lease",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(fields=("message_id",), name="alerts_delivery_message_id"),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(
                condition=models.Q(("alert__isnull", False)),
                fields=("alert", "channel"),
                name="alerts_delivery_alert_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(
                condition=models.Q(("alert__isnull", True)),
                fields=("channel", "event_id"),
                name="alerts_delivery_event_once",
            ),
        ),
    ]
