import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import tenants.ids
import tenants.models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("plans", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Tenant",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "ati_id",
                    models.CharField(
                        help_text="The public name services send as “tenant”. It cannot change later.",
                        max_length=64,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Z][A-Z0-9_-]*$", "Upper-case letters, digits, - and _ only."
                            )
                        ],
                        verbose_name="ATI id",
                    ),
                ),
                (
                    "name",
                    models.CharField(help_text="The customer's name as people write it.", max_length=200),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[("ACTIVE", "Active"), ("SUSPENDED", "Suspended")],
                        default="ACTIVE",
                        help_text="A suspended tenant is refused everything new; usage already begun is still booked.",
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
                    "timezone",
                    models.CharField(
                        default="UTC", help_text="Its days and months begin at midnight here.", max_length=64
                    ),
                ),
                (
                    "billing_anchor_day",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="The day its month begins, 1 to 31; in a shorter month the last day.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(31),
                        ],
                    ),
                ),
                (
                    "next_timezone",
                    models.CharField(blank=True, help_text="The zone from the change on.", max_length=64, null=True),
                ),
                (
                    "next_billing_anchor_day",
                    models.PositiveSmallIntegerField(
                        blank=True, help_text="The anchor day from the change on.", null=True
                    ),
                ),
                (
                    "next_calendar_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="The end of the running month, when the change takes effect.",
                        null=True,
                    ),
                ),
                ("meter_secret", models.BinaryField(default=tenants.models.meter_secret, max_length=32)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["ati_id"],
            },
        ),
        migrations.CreateModel(
            name="ATIToken",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "name",
                    models.CharField(blank=True, help_text="What it is for, as people call it.", max_length=100),
                ),
                ("fingerprint", models.CharField(editable=False, max_length=16, unique=True)),
                ("hash", models.BinaryField(max_length=32)),
                (
                    "status",
                    models.CharField(
                        choices=[("ACTIVE", "Active"), ("SUSPENDED", "Suspended"), ("REVOKED", "Revoked")],
                        default="ACTIVE",
                        help_text="Suspended can be undone, revoked is for good.",
                        max_length=16,
                    ),
                ),
                (
                    "expires_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="From then on it signs nobody up and authenticates no call.",
                        null=True,
                    ),
                ),
                (
                    "max_uses",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="How many sign-ups an invitation allows; empty = unlimited.",
                        null=True,
                    ),
                ),
                ("usage_count", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "plan_starts_at",
                    models.DateTimeField(blank=True, help_text="When the plan begins.", null=True),
                ),
                (
                    "plan_ends_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When the tenant's plan ends, whichever is then in force.",
                        null=True,
                    ),
                ),
                (
                    "next_plan_at",
                    models.DateTimeField(blank=True, help_text="When the next plan takes over.", null=True),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "next_plan",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="next_root_tokens",
                        to="plans.plan",
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="root_tokens",
                        to="plans.plan",
                    ),
                ),
                (
                    "root",
                    models.ForeignKey(
                        editable=False,
                        help_text="The tenant's root token; itself for the root.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="branches",
                        to="tenants.atitoken",
                    ),
                ),
            ],
            options={
                "verbose_name": "ATI token",
                "ordering": ["tenant", "-created_at"],
            },
        ),
        migrations.CreateModel(
            name="TenantPlan",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="current_plan",
                        serialize=False,
                        to="tenants.tenant",
                    ),
                ),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "tenants_tenantplan",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "email",
                    models.EmailField(
                        help_text="Used to log in; stored in lower case.",
                        max_length=254,
                        verbose_name="e-mail",
                    ),
                ),
                (
                    "name",
                    models.CharField(blank=True, help_text="How the person is addressed.", max_length=200),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("SUPER_ADMIN", "Super admin"),
                            ("OWNER", "Owner"),
                            ("ADMIN", "Admin"),
                            ("MANAGER", "Manager"),
                            ("ANALYST", "Analyst"),
                            ("VIEWER", "Viewer"),
                        ],
                        default="VIEWER",
                        help_text="What they may do.",
                        max_length=16,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[("ACTIVE", "Active"), ("SUSPENDED", "Suspended")],
                        default="ACTIVE",
                        help_text="A suspended person cannot log in, and their tokens answer 401.",
                        max_length=16,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty for super admins only.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="users",
                        to="tenants.tenant",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "ordering": ["email"],
            },
            managers=[
                ("objects", tenants.models.UserManager()),
            ],
        ),
        migrations.AddField(
            model_name="tenant",
            name="root_token",
            field=models.OneToOneField(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="rooted_tenant",
                to="tenants.atitoken",
            ),
        ),
        migrations.AddField(
            model_name="atitoken",
            name="tenant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="ati_tokens", to="tenants.tenant"
            ),
        ),
        migrations.AddField(
            model_name="atitoken",
            name="user",
            field=models.ForeignKey(
                blank=True,
                help_text="Whose calls it authenticates; empty for an invitation. Set when issued only.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="ati_tokens",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="signup_token",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="signups",
                to="tenants.atitoken",
            ),
        ),
        migrations.CreateModel(
            name="ConfigVersion",
            fields=[
                ("subject", models.UUIDField(primary_key=True, serialize=False)),
                ("number", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("number__gt", 0)), name="tenants_configversion_number")
                ],
            },
        ),
        migrations.CreateModel(
            name="ServiceKey",
            fields=[
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(help_text="Which service uses it.", max_length=100)),
                ("prefix", models.CharField(editable=False, max_length=16, unique=True)),
                ("hash", models.BinaryField(max_length=32)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("enforce", "Reserve, commit, release"),
                                ("read", "Read usage"),
                                ("report", "Report usage events"),
                                ("admin", "Simulate plans"),
                            ],
                            max_length=16,
                        ),
                        help_text="What the key may do; give only what is needed.",
                        size=None,
                    ),
                ),
                (
                    "calls_per_second",
                    models.PositiveIntegerField(
                        default=1000,
                        help_text="Calls allowed a second, divided among the API processes; beyond it they get 429.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "expires_at",
                    models.DateTimeField(blank=True, help_text="From then on it answers 401.", null=True),
                ),
                (
                    "revoked_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When it stops working; in the future during a rotation's grace.",
                        null=True,
                    ),
                ),
                ("last_used_on", models.DateField(blank=True, editable=False, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "replaces",
                    models.OneToOneField(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="replaced_by",
                        to="tenants.servicekey",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty = it may act for any tenant.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="service_keys",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["name", "-created_at"],
            },
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["ACTIVE", "SUSPENDED"])), name="tenants_tenant_status"
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("enforcement_mode__in", ["OFF", "OBSERVE", "ENFORCE"])),
                name="tenants_tenant_enforcement_mode",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("ati_id__regex", "^[A-Z][A-Z0-9_-]*$")), name="tenants_tenant_ati_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("billing_anchor_day__range", (1, 31))),
                name="tenants_tenant_billing_anchor_day",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("next_billing_anchor_day__isnull", True),
                        ("next_calendar_at__isnull", True),
                        ("next_timezone__isnull", True),
                    ),
                    models.Q(
                        ("next_billing_anchor_day__isnull", False),
                        ("next_billing_anchor_day__range", (1, 31)),
                        ("next_calendar_at__isnull", False),
                        ("next_timezone__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="tenants_tenant_next_calendar",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.UniqueConstraint(fields=("id", "root_token"), name="tenants_tenant_id_root_token"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenant",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_identity",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."ati_id" IS DISTINCT FROM (NEW."ati_id") OR OLD."meter_secret" IS DISTINCT FROM (NEW."meter_secret"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="b8df60d71e060b7f5b5a01d9f7dfdd7206509c94",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_identity_cd2a4",
                    table="tenants_tenant",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenant",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.id AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="a33557751841b17d00d6132c92fe11bc491f5891",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_7fbe7",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="tenants_tenant",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenant",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.id AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.name, o.status, o.enforcement_mode, o.timezone, o.billing_anchor_day, o.next_timezone, o.next_billing_anchor_day, o.next_calendar_at, o.root_token_id) IS DISTINCT FROM (n.name, n.status, n.enforcement_mode, n.timezone, n.billing_anchor_day, n.next_timezone, n.next_billing_anchor_day, n.next_calendar_at, n.root_token_id)) UNION SELECT r.id AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.name, o.status, o.enforcement_mode, o.timezone, o.billing_anchor_day, o.next_timezone, o.next_billing_anchor_day, o.next_calendar_at, o.root_token_id) IS DISTINCT FROM (n.name, n.status, n.enforcement_mode, n.timezone, n.billing_anchor_day, n.next_timezone, n.next_billing_anchor_day, n.next_calendar_at, n.root_token_id))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="f1e2ddefa7a5890efa70d0c16bd5514d0a643e5f",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_2b3ee",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="tenants_tenant",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="tenant",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.id AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="a7f05bdb1a0eb86b455f06e2fa573f27551aad32",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_6df8f",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="tenants_tenant",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="atitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["ACTIVE", "SUSPENDED", "REVOKED"])),
                name="tenants_atitoken_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="atitoken",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="tenants_atitoken_tenant_id"),
        ),
        migrations.AddConstraint(
            model_name="atitoken",
            constraint=models.UniqueConstraint(
                condition=models.Q(("id", models.F("root"))),
                fields=("tenant",),
                name="tenants_atitoken_one_root_per_tenant",
            ),
        ),
        migrations.AddConstraint(
            model_name="atitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("id", models.F("root")), ("plan__isnull", False), ("plan_starts_at__isnull", False)),
                    models.Q(
                        models.Q(("id", models.F("root")), _negated=True),
                        ("next_plan__isnull", True),
                        ("plan__isnull", True),
                        ("plan_ends_at__isnull", True),
                        ("plan_starts_at__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="tenants_atitoken_plan_on_root_only",
            ),
        ),
        migrations.AddConstraint(
            model_name="atitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("id", models.F("root")), _negated=True), ("user__isnull", True), _connector="OR"
                ),
                name="tenants_atitoken_root_is_invitation",
            ),
        ),
        migrations.AddConstraint(
            model_name="atitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("next_plan__isnull", True), ("next_plan_at__isnull", True)),
                    models.Q(("next_plan__isnull", False), ("next_plan_at__isnull", False)),
                    _connector="OR",
                ),
                name="tenants_atitoken_next_plan_has_date",
            ),
        ),
        migrations.AddConstraint(
            model_name="atitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("next_plan_at__isnull", True),
                    ("plan_ends_at__isnull", True),
                    ("next_plan_at__lt", models.F("plan_ends_at")),
                    _connector="OR",
                ),
                name="tenants_atitoken_next_plan_before_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="atitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("plan_ends_at__isnull", True),
                    ("plan_starts_at__lt", models.F("plan_ends_at")),
                    _connector="OR",
                ),
                name="tenants_atitoken_plan_starts_before_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="atitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(("max_uses__isnull", True), ("user__isnull", True), _connector="OR"),
                name="tenants_atitoken_max_uses_on_invitation",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="atitoken",
            trigger=pgtrigger.compiler.Trigger(
                name="keep_owner",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."root_id" IS DISTINCT FROM (NEW."root_id") OR OLD."user_id" IS DISTINCT FROM (NEW."user_id"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="4107966ffd307552da47866bab497f9f1d9e0e76",
                    operation="UPDATE",
                    pgid="pgtrigger_keep_owner_40f48",
                    table="tenants_atitoken",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="atitoken",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.tenant_id AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="0e277ff2c5f1cb6d21b82a90f7d41764a5547cfb",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_ff4f8",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="tenants_atitoken",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="atitoken",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.tenant_id AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.user_id, o.hash, o.fingerprint, o.status, o.expires_at, o.plan_id, o.plan_starts_at, o.plan_ends_at, o.next_plan_id, o.next_plan_at) IS DISTINCT FROM (n.user_id, n.hash, n.fingerprint, n.status, n.expires_at, n.plan_id, n.plan_starts_at, n.plan_ends_at, n.next_plan_id, n.next_plan_at)) UNION SELECT r.tenant_id AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.user_id, o.hash, o.fingerprint, o.status, o.expires_at, o.plan_id, o.plan_starts_at, o.plan_ends_at, o.next_plan_id, o.next_plan_at) IS DISTINCT FROM (n.user_id, n.hash, n.fingerprint, n.status, n.expires_at, n.plan_id, n.plan_starts_at, n.plan_ends_at, n.next_plan_id, n.next_plan_at))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="bc8a796fd76826db9378d8896479aef8d0b4b28d",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_eb8b2",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="tenants_atitoken",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="atitoken",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.tenant_id AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="b808d517317c443fec46b5b6347bd0d536018a94",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_17abc",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="tenants_atitoken",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("email"), name="tenants_user_email"
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("role__in", ["SUPER_ADMIN", "OWNER", "ADMIN", "MANAGER", "ANALYST", "VIEWER"])),
                name="tenants_user_role",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["ACTIVE", "SUSPENDED"])), name="tenants_user_status"
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("role", "SUPER_ADMIN"), ("tenant__isnull", True)),
                    models.Q(models.Q(("role", "SUPER_ADMIN"), _negated=True), ("tenant__isnull", False)),
                    _connector="OR",
                ),
                name="tenants_user_super_admin_has_no_tenant",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_superuser", False), ("role", "SUPER_ADMIN"), _connector="OR"),
                name="tenants_user_superuser_is_super_admin",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("signup_token__isnull", True), ("tenant__isnull", False), _connector="OR"),
                name="tenants_user_signup_token_needs_tenant",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="tenants_user_tenant_id"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="user",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.tenant_id AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="898b9e49d70dab94da94d4be893ef6cec57d3fa6",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_881b7",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="tenants_user",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="user",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.tenant_id AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.tenant_id, o.role, o.status) IS DISTINCT FROM (n.tenant_id, n.role, n.status)) UNION SELECT r.tenant_id AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.tenant_id, o.role, o.status) IS DISTINCT FROM (n.tenant_id, n.role, n.status))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="c44706211c3058387c05ed9bccf8b42d6ed78858",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_8cf95",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="tenants_user",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="user",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT r.tenant_id AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="8ba1f593fb37c1ea7fe5e7de3cf280d6d29e06c8",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_e2ead",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="tenants_user",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="servicekey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("scopes__contained_by", ["enforce", "read", "report", "admin"]), ("scopes__len__gt", 0)
                ),
                name="tenants_servicekey_scopes",
            ),
        ),
        migrations.AddConstraint(
            model_name="servicekey",
            constraint=models.CheckConstraint(
                condition=models.Q(("calls_per_second__gt", 0)), name="tenants_servicekey_calls_per_second"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="servicekey",
            trigger=pgtrigger.compiler.Trigger(
                name="count_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000002'::uuid AS subject FROM new_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="2959357ca5d32c65268a3aa9cc165b700ea25c75",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_count_insert_ba545",
                    referencing="REFERENCING NEW TABLE AS new_rows ",
                    table="tenants_servicekey",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="servicekey",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000002'::uuid AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.prefix, o.hash, o.scopes, o.tenant_id, o.calls_per_second, o.expires_at, o.revoked_at) IS DISTINCT FROM (n.prefix, n.hash, n.scopes, n.tenant_id, n.calls_per_second, n.expires_at, n.revoked_at)) UNION SELECT '00000000-0000-0000-0000-000000000002'::uuid AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.prefix, o.hash, o.scopes, o.tenant_id, o.calls_per_second, o.expires_at, o.revoked_at) IS DISTINCT FROM (n.prefix, n.hash, n.scopes, n.tenant_id, n.calls_per_second, n.expires_at, n.revoked_at))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="5c33c1c08daa77e8be4ffd5ea39d95f21cbe9a70",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_f0d19",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="tenants_servicekey",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="servicekey",
            trigger=pgtrigger.compiler.Trigger(
                name="count_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000002'::uuid AS subject FROM old_rows r WHERE TRUE) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="e85fcc40f532ed6bfe7aa3b9478359a51bb7a858",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_count_delete_240d4",
                    referencing="REFERENCING OLD TABLE AS old_rows ",
                    table="tenants_servicekey",
                    when="AFTER",
                ),
            ),
        ),
    ]
