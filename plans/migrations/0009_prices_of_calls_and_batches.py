import django.core.validators
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plans", "0008_percentile_holds_may_include_money"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="modelprice",
            options={"ordering": ["model", "unit", "is_batch", "above_input_tokens", "-valid_from"]},
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="modelprice",
            name="count_update",
        ),
        migrations.RemoveConstraint(
            model_name="modelprice",
            name="plans_modelprice_unit",
        ),
        migrations.RemoveConstraint(
            model_name="modelprice",
            name="plans_modelprice_price",
        ),
        migrations.RemoveConstraint(
            model_name="modelprice",
            name="plans_modelprice_once",
        ),
        migrations.AddField(
            model_name="modelprice",
            name="is_batch",
            field=models.BooleanField(
                default=False,
                help_text="The price holds for batched calls alone. Where there is none, they cost what any other call does.",
                verbose_name="of batched calls",
            ),
        ),
        migrations.AlterField(
            model_name="modelprice",
            name="nano_usd_per_million",
            field=models.BigIntegerField(
                help_text="Nano-USD for a million of them: USD 3 is 3,000,000,000.",
                validators=[
                    django.core.validators.MinValueValidator(0),
                    django.core.validators.MaxValueValidator(1000000000000000),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="modelprice",
            name="unit",
            field=models.CharField(
                choices=[
                    ("INPUT", "Input tokens"),
                    ("CACHED_INPUT", "Input tokens read from the cache"),
                    ("CACHE_WRITE", "Input tokens written to the cache"),
                    ("CACHE_WRITE_1H", "Input tokens written to the cache for an hour"),
                    ("OUTPUT", "Output tokens"),
                    ("REASONING", "Output tokens of reasoning"),
                    ("CALL", "Calls"),
                    ("WEB_SEARCH", "Web searches"),
                ],
                help_text="What it is the price of. Without a price of its own, what is cached costs as input and reasoning as output; calls are free, and searches of unknown price.",
                max_length=16,
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="modelprice",
            trigger=pgtrigger.compiler.Trigger(
                name="count_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    INSERT INTO tenants_configversion AS v (subject, number)\n    SELECT subject, 1 FROM (SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM old_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.model_id, o.unit, o.is_batch, o.above_input_tokens, o.nano_usd_per_million, o.valid_from) IS DISTINCT FROM (n.model_id, n.unit, n.is_batch, n.above_input_tokens, n.nano_usd_per_million, n.valid_from)) UNION SELECT '00000000-0000-0000-0000-000000000001'::uuid AS subject FROM new_rows r WHERE TRUE AND r.id IN (SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.model_id, o.unit, o.is_batch, o.above_input_tokens, o.nano_usd_per_million, o.valid_from) IS DISTINCT FROM (n.model_id, n.unit, n.is_batch, n.above_input_tokens, n.nano_usd_per_million, n.valid_from))) c WHERE subject IS NOT NULL GROUP BY subject ORDER BY subject\n    ON CONFLICT (subject) DO UPDATE SET number = v.number + 1;\n    RETURN NULL;\n",
                    hash="ae1260535d728e173127c7bbe32501057da61b94",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_count_update_1c032",
                    referencing="REFERENCING OLD TABLE AS old_rows  NEW TABLE AS new_rows ",
                    table="plans_modelprice",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="modelprice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "unit__in",
                        [
                            "INPUT",
                            "CACHED_INPUT",
                            "CACHE_WRITE",
                            "CACHE_WRITE_1H",
                            "OUTPUT",
                            "REASONING",
                            "CALL",
                            "WEB_SEARCH",
                        ],
                    )
                ),
                name="plans_modelprice_unit",
            ),
        ),
        migrations.AddConstraint(
            model_name="modelprice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("nano_usd_per_million__range", (0, 1000000000000)),
                    models.Q(
                        ("nano_usd_per_million__range", (0, 1000000000000000)), ("unit__in", ("CALL", "WEB_SEARCH"))
                    ),
                    _connector="OR",
                ),
                name="plans_modelprice_price",
            ),
        ),
        migrations.AddConstraint(
            model_name="modelprice",
            constraint=models.UniqueConstraint(
                fields=("model", "unit", "is_batch", "above_input_tokens", "valid_from"), name="plans_modelprice_once"
            ),
        ),
        migrations.RunSQL(
            migrations.RunSQL.noop,
            # Going back, what the older table cannot say is dropped.
            "DELETE FROM plans_modelprice WHERE is_batch"
            " OR unit IN ('CACHE_WRITE_1H', 'REASONING', 'CALL', 'WEB_SEARCH')",
        ),
    ]
