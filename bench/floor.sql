-- pgbench's side: the two functions that the API calls, with the arguments that it calls them with, and nothing else.
-- Variables: tenants (how many take part), cycle (1 = end each reservation after it, 0 = reserve only).
-- For -M prepared alone: pgbench passes what \gset took as parameters only there.
\set n random(1, :tenants)
SELECT tenant, numbers, (ledger_reserve(tenant, numbers, '-infinity', 'infinity',
                                        ask || jsonb_build_object('key', gen_random_uuid()))).id AS reservation
  FROM bench_ask WHERE n = :n
\gset
\if :cycle
SELECT outcome FROM ledger_end(:tenant::uuid, :numbers::bigint[], '-infinity', 'infinity', :reservation::uuid, NULL,
  '{"kind": "COMPLETED", "totals": [1180, null, null, 300, null, null, null], "cost": null, "unpriced": false,
    "certainty": "FINAL", "facts": {}, "fingerprint": "00"}');
\endif
