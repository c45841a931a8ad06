-- What floor.sql asks with: for each bench tenant the very ask of its first permit through the API.
CREATE TABLE bench_ask AS
SELECT row_number() OVER (ORDER BY t.ati_id)::integer AS n, r.tenant_id AS tenant,
       ledger_numbers(r.tenant_id) AS numbers,
       jsonb_build_object(
           'fingerprint', encode(r.fingerprint, 'hex'), 'ttl', 86400, 'user_key', r.user_key,
           'feature', r.feature_id, 'task', r.task_id, 'model_class', r.model_class_id, 'plan', r.plan_id,
           'unit', r.unit, 'rates', r.rates, 'meters', r.meters, 'measures', r.measures, 'periods', r.periods,
           'amounts', r.amounts, 'limits', limits.amounts, 'enforced', limits.enforced,
           'degrade_above', array_fill(NULL::bigint, ARRAY[cardinality(r.meters)]), 'charges', r.charges,
           'held_totals', r.held_totals, 'held_cost', r.held_cost, 'correlation_id', r.correlation_id,
           'ask', r.ask, 'metadata', r.metadata, 'decision', r.decision) AS ask
  FROM tenants_tenant t
  JOIN usage_usagereservation r ON r.tenant_id = t.id AND r.idempotency_key = 'first'
 CROSS JOIN LATERAL (
       SELECT jsonb_agg(each->1 ORDER BY place) AS amounts, jsonb_agg(each->2 ORDER BY place) AS enforced
         FROM jsonb_array_elements(r.decision->'limits') WITH ORDINALITY AS e(each, place)) AS limits
 WHERE t.ati_id LIKE 'BENCH\_%';
ALTER TABLE bench_ask ADD PRIMARY KEY (n);
ANALYZE;
