import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0007_unusual_prices"),
        ("tenants", "0007_tokens_know_when_they_were_revoked"),
    ]

    operations = [
        migrations.CreateModel(
            name="KnownPlan",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tenants.tenant",
                    ),
                ),
                ("plan_id", models.UUIDField(null=True)),
                ("previous_id", models.UUIDField(null=True)),
                ("changes", models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name="channel",
            name="listens_since",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(),
                editable=False,
                help_text="It tells events of the product that happened from then on.",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="channel",
            trigger=pgtrigger.compiler.Trigger(
                name="listen_from_now_on",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.events IS DISTINCT FROM OLD.events OR NEW.is_active AND NOT OLD.is_active)",
                    func="NEW.listens_since := clock_timestamp(); RETURN NEW;",
                    hash="e143dea76a0118e646309bc87cb2c99666b75b9a",
                    operation='UPDATE OF "events", "is_active"',
                    pgid="pgtrigger_listen_from_now_on_4139d",
                    table="alerts_channel",
                    when="BEFORE",
                ),
            ),
        ),
    ]
