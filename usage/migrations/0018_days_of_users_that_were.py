from django.db import migrations

# As 0016 does for tenants, here from the days by user and kind.
_FROM_DAYS = """
    ALTER TABLE usage_userdayrollup SET (fillfactor = 70);
    SELECT 1 FROM usage_rollupstate FOR UPDATE;
    DELETE FROM usage_userdayrollup;
    DO $$
    DECLARE r usage_dayrollup;
    BEGIN
        FOR r IN SELECT * FROM usage_dayrollup LOOP
            INSERT INTO usage_userdayrollup AS t (
                tenant_id, slot, user_key, status,
                bookings, unpriced, input_tokens, cached_input_tokens,
                cache_write_tokens, output_tokens, reasoning_tokens, api_calls,
                items, units, latencies, latency_ms,
                held_tokens, held_tokens_used, held_cost, held_cost_used,
                cost, latency_histogram)
            VALUES (
                r.tenant_id, r.slot, r.user_key, r.status,
                r.bookings, r.unpriced, r.input_tokens, r.cached_input_tokens,
                r.cache_write_tokens, r.output_tokens, r.reasoning_tokens, r.api_calls,
                r.items, r.units, r.latencies, r.latency_ms,
                r.held_tokens, r.held_tokens_used, r.held_cost, r.held_cost_used,
                r.cost, r.latency_histogram)
            ON CONFLICT (tenant_id, slot, user_key, status) DO UPDATE SET
                bookings = t.bookings + EXCLUDED.bookings,
                unpriced = t.unpriced + EXCLUDED.unpriced,
                input_tokens = t.input_tokens + EXCLUDED.input_tokens,
                cached_input_tokens = t.cached_input_tokens + EXCLUDED.cached_input_tokens,
                cache_write_tokens = t.cache_write_tokens + EXCLUDED.cache_write_tokens,
                output_tokens = t.output_tokens + EXCLUDED.output_tokens,
                reasoning_tokens = t.reasoning_tokens + EXCLUDED.reasoning_tokens,
                api_calls = t.api_calls + EXCLUDED.api_calls,
                items = t.items + EXCLUDED.items,
                units = t.units + EXCLUDED.units,
                latencies = t.latencies + EXCLUDED.latencies,
                latency_ms = t.latency_ms + EXCLUDED.latency_ms,
                held_tokens = t.held_tokens + EXCLUDED.held_tokens,
                held_tokens_used = t.held_tokens_used + EXCLUDED.held_tokens_used,
                held_cost = t.held_cost + EXCLUDED.held_cost,
                held_cost_used = t.held_cost_used + EXCLUDED.held_cost_used,
                cost = COALESCE(t.cost + EXCLUDED.cost, t.cost, EXCLUDED.cost),
                latency_histogram = rollup_added(t.latency_histogram, EXCLUDED.latency_histogram);
        END LOOP;
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0017_sum_days_of_users")]

    operations = [migrations.RunSQL(_FROM_DAYS, migrations.RunSQL.noop)]
