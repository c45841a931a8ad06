import django.core.validators
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import tenants.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="LLMModel",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "model_id",
                    models.CharField(help_text="The provider's own name; never shown to tenants.", max_length=128),
                ),
                (
                    "priority",
                    models.PositiveSmallIntegerField(default=10, help_text="Lower is tried first within a class."),
                ),
                (
                    "is_active",
                    models.BooleanField(default=True, help_text="A retired model stays priced for late commits."),
                ),
            ],
            options={
                "verbose_name": "LLM model",
                "ordering": ["model_class", "priority", "model_id"],
            },
        ),
        migrations.CreateModel(
            name="ModelClass",
            fields=[
                (
                    "code",
                    models.CharField(
                        help_text="The name services send. It cannot change later.",
                        max_length=48,
                        primary_key=True,
                        serialize=False,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Z][A-Z0-9_]*$", "Upper-case letters, digits and _ only, a letter first."
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(help_text="How people read it.", max_length=100)),
                (
                    "rank",
                    models.PositiveSmallIntegerField(
                        help_text="Cheap to dear; a downgrade goes one lower.", unique=True
                    ),
                ),
                (
                    "is_fallback",
                    models.BooleanField(
                        default=False, help_text="Taken where a task has no default; exactly one class is."
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "model classes",
                "ordering": ["rank"],
            },
        ),
        migrations.CreateModel(
            name="ModelPrice",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "unit",
                    models.CharField(
                        choices=[
                            ("INPUT", "Input tokens"),
                            ("CACHED_INPUT", "Input tokens read from the cache"),
                            ("CACHE_WRITE", "Input tokens written to the cache"),
                            ("OUTPUT", "Output tokens"),
                        ],
                        help_text="Which tokens.",
                        max_length=16,
                    ),
                ),
                (
                    "above_input_tokens",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="The price holds for calls with more input tokens than this; 0 = the base price.",
                    ),
                ),
                (
                    "nano_usd_per_million",
                    models.BigIntegerField(
                        help_text="Nano-USD for a million tokens: USD 3 is 3,000,000,000.",
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(1000000000000),
                        ],
                    ),
                ),
                (
                    "valid_from",
                    models.DateTimeField(help_text="From when; the latest start that has passed is what counts."),
                ),
            ],
            options={
                "ordering": ["model", "unit", "above_input_tokens", "-valid_from"],
            },
        ),
        migrations.CreateModel(
            name="Plan",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "code",
                    models.CharField(
                        help_text="The plan's tier, the same for all its revisions.",
                        max_length=48,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Z][A-Z0-9_]*$", "Upper-case letters, digits and _ only."
                            )
                        ],
                    ),
                ),
                ("revision", models.PositiveIntegerField(default=1, editable=False)),
                ("name", models.CharField(help_text="How customers read it.", max_length=100)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("DRAFT", "Draft"),
                            ("ACTIVE", "Active"),
                            ("DEPRECATED", "Deprecated: kept by its holders, not given anew"),
                        ],
                        default="DRAFT",
                        max_length=16,
                    ),
                ),
                (
                    "max_seats",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="How many people a tenant may have; empty = unlimited.",
                        null=True,
                    ),
                ),
                (
                    "monthly_budget_nano_usd",
                    models.BigIntegerField(
                        blank=True,
                        help_text="Money a tenant may spend a month, in nano-USD; empty = unlimited, 0 = nothing.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                        verbose_name="monthly budget",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["code", "-revision"],
            },
        ),
        migrations.CreateModel(
            name="PlanFeature",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "enabled",
                    models.BooleanField(default=True, help_text="Off: the feature is listed but refused."),
                ),
                (
                    "daily_quota",
                    models.BigIntegerField(
                        blank=True,
                        help_text="Units a day; empty = unlimited, 0 = nothing.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "monthly_quota",
                    models.BigIntegerField(
                        blank=True,
                        help_text="Units a month; empty = unlimited, 0 = nothing.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "daily_token_limit",
                    models.BigIntegerField(
                        blank=True,
                        help_text="Tokens a day; empty = unlimited, 0 = nothing.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "monthly_token_limit",
                    models.BigIntegerField(
                        blank=True,
                        help_text="Tokens a month; empty = unlimited, 0 = nothing.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "overage",
                    models.CharField(
                        choices=[
                            ("BLOCK", "Block: refuse beyond the quota"),
                            ("ALLOW", "Allow: count and say so, refuse nothing"),
                        ],
                        default="BLOCK",
                        help_text="What happens beyond these numbers.",
                        max_length=8,
                    ),
                ),
            ],
            options={
                "ordering": ["plan", "feature"],
            },
        ),
        migrations.CreateModel(
            name="PlanLLMAccess",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "allow_downgrade",
                    models.BooleanField(
                        default=True,
                        help_text="Whether a cheaper allowed class may be given when little is left.",
                    ),
                ),
            ],
            options={
                "verbose_name": "plan task",
                "ordering": ["plan", "task"],
            },
        ),
        migrations.CreateModel(
            name="PlanLLMAccessClass",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
            ],
            options={
                "verbose_name": "allowed model class",
                "verbose_name_plural": "allowed model classes",
                "ordering": ["access", "model_class"],
            },
        ),
        migrations.CreateModel(
            name="PolicyRule",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("GLOBAL", "Everybody"),
                            ("PLAN", "A plan"),
                            ("TENANT", "A tenant"),
                            ("USER", "One user of a tenant"),
                        ],
                        help_text="The most specific scope wins.",
                        max_length=8,
                    ),
                ),
                (
                    "user_key",
                    models.CharField(
                        blank=True, help_text="The caller's own id of its user.", max_length=128, null=True
                    ),
                ),
                (
                    "key",
                    models.CharField(
                        choices=[
                            ("MAX_TOKENS_IN", "Most input tokens of a call"),
                            ("MAX_TOKENS_OUT", "Most output tokens of a call"),
                            ("MIN_TOKENS_OUT", "Fewest output tokens worth a call"),
                            ("AGENT_MAX_STEPS", "Most steps of an agent"),
                            ("RETRIEVAL_TOP_K", "Most passages retrieved"),
                            ("FILES_PER_REQUEST", "Most files of a call"),
                            ("RESERVATION_TTL_SECONDS", "Seconds a reservation lives where none are asked"),
                            ("DEGRADE_AT_PERCENT", "Share of a quota above which a cheaper class is given"),
                            ("HOLD_PERCENTILE", "Percentile of real use that is held (100 = the maximum)"),
                            ("CONCURRENCY_LIMIT", "Reservations open at once"),
                            ("REQUESTS_PER_MINUTE", "Requests a minute"),
                            ("TOKENS_PER_MINUTE", "Tokens a minute"),
                            ("DAILY_QUOTA", "Units a day"),
                            ("MONTHLY_QUOTA", "Units a month"),
                            ("DAILY_TOKEN_LIMIT", "Tokens a day"),
                            ("MONTHLY_TOKEN_LIMIT", "Tokens a month"),
                            ("USER_DAILY_QUOTA", "Units a day for each user"),
                            ("USER_MONTHLY_QUOTA", "Units a month for each user"),
                            ("DAILY_BUDGET", "Nano-USD a day"),
                            ("MONTHLY_BUDGET", "Nano-USD a month"),
                        ],
                        help_text="What the number caps or limits.",
                        max_length=32,
                    ),
                ),
                (
                    "value",
                    models.BigIntegerField(blank=True, help_text="Empty = unlimited, 0 = nothing.", null=True),
                ),
                (
                    "set_by_tenant",
                    models.BooleanField(
                        default=False,
                        help_text="Written by a tenant's own admin: it can only lower what the levels above it allow.",
                    ),
                ),
                (
                    "reason",
                    models.CharField(blank=True, help_text="Why a tenant or user is an exception.", max_length=200),
                ),
                (
                    "ends_at",
                    models.DateTimeField(blank=True, help_text="When the exception ends; empty = never.", null=True),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["scope", "key"],
            },
        ),
        migrations.CreateModel(
            name="Provider",
            fields=[
                (
                    "code",
                    models.CharField(
                        help_text="What a commit sends as “api_code”.",
                        max_length=48,
                        primary_key=True,
                        serialize=False,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Z][A-Z0-9_]*$", "Upper-case letters, digits and _ only."
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(help_text="How people read it.", max_length=100)),
            ],
            options={
                "ordering": ["code"],
            },
        ),
        migrations.CreateModel(
            name="RolloutRule",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "gate",
                    models.CharField(
                        choices=[
                            ("ALL", "All gates"),
                            ("MODEL_ACCESS", "Model class"),
                            ("CAPS", "Caps of a call"),
                            ("CONCURRENCY", "Concurrency"),
                            ("RATES", "Requests and tokens a minute"),
                            ("DAILY_QUOTA", "Daily quota"),
                            ("MONTHLY_QUOTA", "Monthly quota"),
                            ("TOKEN_LIMITS", "Token limits"),
                            ("USER_QUOTA", "Quota of each user"),
                            ("BUDGET", "Budget"),
                        ],
                        help_text="Which gate.",
                        max_length=16,
                    ),
                ),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("OFF", "Off: nothing is checked or recorded"),
                            ("OBSERVE", "Observe: everything is recorded, nothing is refused"),
                            ("ENFORCE", "Enforce"),
                        ],
                        help_text="A single gate can be observed or enforced; all can be off.",
                        max_length=16,
                    ),
                ),
                (
                    "starts_at",
                    models.DateTimeField(
                        help_text="The latest start that has passed is what counts.", verbose_name="from"
                    ),
                ),
                (
                    "reason",
                    models.CharField(blank=True, help_text="Why, for those who read it later.", max_length=200),
                ),
            ],
            options={
                "ordering": ["gate", "-starts_at"],
            },
        ),
        migrations.CreateModel(
            name="Task",
            fields=[
                (
                    "code",
                    models.CharField(
                        help_text="The name services send. It cannot change later.",
                        max_length=48,
                        primary_key=True,
                        serialize=False,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Z][A-Z0-9_]*$", "Upper-case letters, digits and _ only, a letter first."
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(help_text="How people read it.", max_length=100)),
                (
                    "kind",
                    models.CharField(
                        choices=[("LLM", "LLM call"), ("API", "API call")],
                        help_text="Whether a model class is chosen for it.",
                        max_length=8,
                    ),
                ),
                (
                    "price_per_unit_nano_usd",
                    models.BigIntegerField(
                        blank=True,
                        help_text="API tasks: nano-USD per unit of its feature; empty = unknown, which a budget refuses.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                        verbose_name="price per unit",
                    ),
                ),
            ],
            options={
                "ordering": ["code"],
            },
        ),
        migrations.CreateModel(
            name="Feature",
            fields=[
                (
                    "code",
                    models.CharField(
                        help_text="The name services send. It cannot change later.",
                        max_length=48,
                        primary_key=True,
                        serialize=False,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Z][A-Z0-9_]*$", "Upper-case letters, digits and _ only, a letter first."
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(help_text="How people read it.", max_length=100)),
                (
                    "unit",
                    models.CharField(
                        choices=[
                            ("REQUESTS", "requests"),
                            ("TOKENS", "tokens"),
                            ("API_CALLS", "API calls"),
                            ("ITEMS", "items"),
                        ],
                        help_text="What its quotas count. It cannot change later.",
                        max_length=16,
                    ),
                ),
                (
                    "enforcement_mode",
                    models.CharField(
                        choices=[
                            ("OFF", "Off: nothing is checked or recorded"),
                            ("OBSERVE", "Observe: everything is recorded, nothing is refused"),
                            ("ENFORCE", "Enforce"),
                        ],
                        default="ENFORCE",
                        help_text="The mildest of tenant, feature and roll-out rule is what counts.",
                        max_length=16,
                    ),
                ),
                (
                    "on_failure",
                    models.CharField(
                        choices=[
                            ("CLOSED", "Closed: without an answer from here, do not call"),
                            ("OPEN", "Open: without an answer from here, call and report the usage later"),
                        ],
                        default="CLOSED",
                        help_text="What a client should do when it cannot reach this service.",
                        max_length=8,
                    ),
                ),
            ],
            options={
                "ordering": ["code"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("code__regex", "^[A-Z][A-Z0-9_]*$")), name="plans_feature_code"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("unit__in", ["REQUESTS", "TOKENS", "API_CALLS", "ITEMS"])),
                        name="plans_feature_unit",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("enforcement_mode__in", ["OFF", "OBSERVE", "ENFORCE"])),
                        name="plans_feature_enforcement_mode",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("on_failure__in", ["CLOSED", "OPEN"])),
                        name="plans_feature_on_failure",
                    ),
                ],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="feature",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_meaning",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."code" IS DISTINCT FROM (NEW."code") OR OLD."unit" IS DISTINCT FROM (NEW."unit"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="e8babcf9549bfab20520c0040ff517f15cbcfeef",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_meaning_2efee",
                    table="plans_feature",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="feature",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="ce91e48e1e4ec2d7989da5ad811511c147c638c2",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_93fce",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="plans_feature",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="feature",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE AND r.code IN (SELECT n.code FROM new_rows n JOIN old_rows o ON o.code = n.code WHERE (o.name, o.enforcement_mode, o.on_failure) IS DISTINCT FROM (n.name, n.enforcement_mode, n.on_failure)) UNION SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE AND r.code IN (SELECT n.code FROM new_rows n JOIN old_rows o ON o.code = n.code WHERE (o.name, o.enforcement_mode, o.on_failure) IS DISTINCT FROM (n.name, n.enforcement_mode, n.on_failure))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="fd875831592f801a47ca010857091fc55a5c0e1b",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_46f69",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_feature",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="feature",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="e2caa33c71f08539c3c1ffbd6d7e52f47011c4dd",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_f058e",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="plans_feature",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="modelclass",
            constraint=models.CheckConstraint(
                condition=models.Q(("code__regex", "^[A-Z][A-Z0-9_]*$")), name="plans_modelclass_code"
            ),
        ),
        migrations.AddConstraint(
            model_name="modelclass",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_fallback", True)),
                fields=("is_fallback",),
                name="plans_modelclass_one_fallback",
            ),
        ),
        migrations.AddField(
            model_name="llmmodel",
            name="model_class",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="models", to="plans.modelclass"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="modelclass",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_meaning",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."code" IS DISTINCT FROM (NEW."code"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="15444daa37ad95fa0aaca53d4b674df4f627484a",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_meaning_e603c",
                    table="plans_modelclass",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="modelclass",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="00ec7abe7e8569012f8cfe7d93a8c6a11d76fbf3",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_1bdb4",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="plans_modelclass",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="modelclass",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE AND r.code IN (SELECT n.code FROM new_rows n JOIN old_rows o ON o.code = n.code WHERE (o.name, o.rank, o.is_fallback) IS DISTINCT FROM (n.name, n.rank, n.is_fallback)) UNION SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE AND r.code IN (SELECT n.code FROM new_rows n JOIN old_rows o ON o.code = n.code WHERE (o.name, o.rank, o.is_fallback) IS DISTINCT FROM (n.name, n.rank, n.is_fallback))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="70e34deeaeaff4ac0358d80b95940540332bc5d4",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_ad753",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_modelclass",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="modelclass",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="9d8e66993c6538d876179d17a5f30de79e3a6ed0",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_1b36b",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="plans_modelclass",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="modelprice",
            name="model",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="prices", to="plans.llmmodel"
            ),
        ),
        migrations.AddField(
            model_name="plan",
            name="based_on",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="revisions",
                to="plans.plan",
            ),
        ),
        migrations.AddField(
            model_name="planfeature",
            name="feature",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="plan_features", to="plans.feature"
            ),
        ),
        migrations.AddField(
            model_name="planfeature",
            name="plan",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="features", to="plans.plan"
            ),
        ),
        migrations.AddField(
            model_name="planllmaccess",
            name="default_class",
            field=models.ForeignKey(
                blank=True,
                help_text="Used where a call names no class; must be one of the allowed ones.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="default_in",
                to="plans.modelclass",
            ),
        ),
        migrations.AddField(
            model_name="planllmaccess",
            name="plan",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="accesses", to="plans.plan"
            ),
        ),
        migrations.AddField(
            model_name="planllmaccessclass",
            name="access",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="classes", to="plans.planllmaccess"
            ),
        ),
        migrations.AddField(
            model_name="planllmaccessclass",
            name="model_class",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="accesses", to="plans.modelclass"
            ),
        ),
        migrations.AddField(
            model_name="planllmaccess",
            name="allowed_classes",
            field=models.ManyToManyField(
                related_name="allowed_in", through="plans.PlanLLMAccessClass", to="plans.modelclass"
            ),
        ),
        migrations.AddField(
            model_name="policyrule",
            name="feature",
            field=models.ForeignKey(
                blank=True,
                help_text="Only for this feature.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="policy_rules",
                to="plans.feature",
            ),
        ),
        migrations.AddField(
            model_name="policyrule",
            name="plan",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="policy_rules",
                to="plans.plan",
            ),
        ),
    ]
