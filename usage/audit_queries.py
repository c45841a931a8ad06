"""The SQL of the audit. A check answers what breaks it: subject, what was expected, what was found.

Valid on PostgreSQL 15 to 18.
"""

# What PostgreSQL itself holds on every change of a meter: the net under I1.
CONSTRAINTS = ("usage_usagemeter_no_overspend", "usage_usagemeter_not_negative")
CONSTRAINT = """
    SELECT 1 FROM pg_constraint
     WHERE conrelid = 'usage_usagemeter'::regclass AND conname = %(name)s AND contype = 'c' AND convalidated
"""

STRAY_ROWS = "SELECT count(*) FROM (SELECT 1 FROM usage_usagelog_default LIMIT 1000) AS stray"

CLOCK = "SELECT clock_timestamp()"

# The tenants that a table names, one index probe each.
TABLES = ("usage_usagemeter", "usage_usagereservation", "usage_usagelog", "usage_usageevent", "usage_denial")
TENANTS_IN = """
    WITH RECURSIVE named(id) AS (
        (SELECT tenant_id FROM {table} ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT tenant_id FROM {table} WHERE tenant_id > named.id ORDER BY tenant_id LIMIT 1)
          FROM named WHERE named.id IS NOT NULL
    )
    SELECT id FROM named WHERE id IS NOT NULL
"""

# --- one tenant ---------------------------------------------------------------

# Whether the tenant exists; how many meters are looked at; those of periods that are over, with what they say; where
# the log of the periods looked at begins (a fact may be booked up to five minutes before its period); whether that is
# more than a slice; and below which transaction the log is settled for ever, for it only grows.
START = """
    WITH meters AS (
        SELECT *, verified_at IS NULL AND period_end <= clock_timestamp() AND reserved = 0
                  AND period <> 'MINUTE' AS ended
          FROM usage_usagemeter WHERE tenant_id = %(tenant)s AND (%(full)s OR verified_at IS NULL)
    ),
    looked_at AS (
        SELECT count(*) AS rows,
               array_agg(id ORDER BY id) FILTER (WHERE ended) AS ids,
               array_agg(used ORDER BY id) FILTER (WHERE ended) AS used,
               array_agg(overrun ORDER BY id) FILTER (WHERE ended) AS overruns,
               array_agg(archived ORDER BY id) FILTER (WHERE ended) AS archived,
               CASE WHEN %(full)s THEN '00000000-0000-0000-0000-000000000000'::uuid
                    ELSE ledger_uuid7_floor(
                        COALESCE(min(period_start) FILTER (WHERE period IN ('DAY', 'MONTH')), clock_timestamp())
                        - interval '10 minutes') END AS first
          FROM meters
    )
    SELECT EXISTS (SELECT 1 FROM tenants_tenant WHERE id = %(tenant)s), rows, ids, used, overruns, archived, first,
           (SELECT l.id FROM usage_usagelog l WHERE l.tenant_id = %(tenant)s AND l.id >= first
             ORDER BY l.id OFFSET %(slice)s LIMIT 1) IS NOT NULL,
           pg_snapshot_xmin(pg_current_snapshot())::text
      FROM looked_at
"""

# Where a slice of the log ends; no row where there is no further one.
SLICE_END = """
    SELECT id FROM usage_usagelog
     WHERE tenant_id = %(tenant)s AND id >= %(start)s ORDER BY id OFFSET %(slice)s LIMIT 1
"""

# One scan of the log for two sums: what was booked on each meter, and how many rows name each set of codes.
_BOOKED = """
    SELECT GROUPING(c.meter) = 0, c.meter, l.feature_id, l.task_id, l.model_class_id, l.plan_id,
           sum(c.charge), sum(c.overrun), count(*) FILTER (WHERE c.charge <> 0 OR c.overrun <> 0),
           count(*) FILTER (WHERE COALESCE(c.place, 1) = 1)
      FROM usage_usagelog l
      LEFT JOIN LATERAL unnest(l.meters, l.charges, l.overruns)
           WITH ORDINALITY AS c(meter, charge, overrun, place) ON true
     WHERE l.tenant_id = %(tenant)s AND {range}
     GROUP BY GROUPING SETS ((c.meter), (l.feature_id, l.task_id, l.model_class_id, l.plan_id))
"""
BOOKED_SLICE = _BOOKED.format(range="l.id >= %(start)s AND l.id < %(end)s AND l.transaction_id < %(settled)s::xid8")
BOOKED_SINCE = _BOOKED.format(range="l.id >= %(first)s AND l.transaction_id >= %(settled)s::xid8")

# I1 to I4 of every meter looked at, and what refers to none. Its log counts where all of it was read; SLOTS, the only
# meters without an end, are never charged, so what was read is all there is. Once part of its log is archived, only a
# least overrun is known. What charges or holds nothing makes no meter, and minutes may be pruned.
METERS = """
    WITH held AS (
        SELECT h.meter, sum(GREATEST(0, h.amount - h.booked)) AS held,
               bool_or(h.amount > 0 AND (h.period <> 'MINUTE' OR h.amount > h.booked)) AS must_exist
          FROM usage_usagereservation r,
               LATERAL unnest(r.meters, r.amounts, r.booked, r.periods) AS h(meter, amount, booked, period)
         WHERE r.tenant_id = %(tenant)s AND r.status = 'OPEN' AND h.meter IS NOT NULL
         GROUP BY h.meter
    ),
    booked AS (
        SELECT * FROM unnest(%(meters)s::uuid[], %(charges)s::numeric[], %(overruns)s::numeric[],
                             %(touching)s::bigint[]) AS b(meter, charge, overrun, touching)
    ),
    looked_at AS (
        SELECT m.*, COALESCE(b.charge, 0) AS booked_charge, COALESCE(b.overrun, 0) AS booked_overrun,
               COALESCE(h.held, 0) AS held,
               m.period <> 'MINUTE' AND (%(full)s OR (m.verified_at IS NULL AND (
                   m.period = 'OPEN' OR ledger_uuid7_floor(m.period_start - interval '10 minutes') >= %(first)s
               ))) AS counts,
               COALESCE(m.period_start - interval '10 minutes' < (
                   SELECT (max(month) + interval '1 month') AT TIME ZONE 'UTC' FROM usage_logarchive
               ), false) AS is_archived
          FROM usage_usagemeter m
          LEFT JOIN booked b ON b.meter = m.id
          LEFT JOIN held h ON h.meter = m.id
         WHERE m.tenant_id = %(tenant)s
           AND (%(full)s OR m.verified_at IS NULL OR m.id = ANY (ARRAY(SELECT meter FROM held)))
    )
    SELECT m.id, v.invariant,
           concat_ws(' ', 'meter', m.id, COALESCE(m.task_id, m.feature_id), m.measure, m.period,
                     CASE WHEN m.period <> 'OPEN'
                          THEN to_char(m.period_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') END),
           v.expected, v.found
      FROM looked_at m, LATERAL (VALUES
        ('I1', m.used::numeric + m.reserved > m.limit_amount::numeric + m.overrun,
         format('used + reserved at most limit + overrun = %%s', m.limit_amount::numeric + m.overrun),
         (m.used::numeric + m.reserved)::text),
        ('I1', m.used < 0 OR m.reserved < 0 OR m.overrun < 0,
         'used, reserved and overrun at least 0', format('%%s, %%s, %%s', m.used, m.reserved, m.overrun)),
        ('I2', m.counts AND m.used <> m.archived + m.booked_charge,
         format('used = charges in the log + archived = %%s', m.archived + m.booked_charge), m.used::text),
        ('I3', m.reserved <> m.held,
         format('reserved = sum of the open holds = %%s', m.held), m.reserved::text),
        ('I4', m.counts AND CASE WHEN m.archived = 0 AND NOT m.is_archived THEN m.overrun <> m.booked_overrun
                                 ELSE m.overrun < m.booked_overrun END,
         format('overrun = overruns in the log = %%s', m.booked_overrun), m.overrun::text),
        ('ORPHAN', m.feature_id NOT IN (SELECT code FROM plans_feature), 'a feature of the catalogue', m.feature_id),
        ('ORPHAN', m.task_id NOT IN (SELECT code FROM plans_task), 'a task of the catalogue', m.task_id)
      ) AS v(invariant, is_broken, expected, found)
     WHERE v.is_broken
    UNION ALL
    SELECT meter, 'ORPHAN', format('log rows of meter %%s', meter), 'a meter of this tenant', 'none'
      FROM booked b
     WHERE touching > 0 AND NOT EXISTS (
           SELECT 1 FROM usage_usagemeter m WHERE m.tenant_id = %(tenant)s AND m.id = b.meter)
    UNION ALL
    SELECT meter, 'I6', format('meter %%s of an open reservation', meter), 'a meter of this tenant', 'none'
      FROM held h
     WHERE must_exist AND NOT EXISTS (
           SELECT 1 FROM usage_usagemeter m WHERE m.tenant_id = %(tenant)s AND m.id = h.meter)
"""

# Sets of codes that log rows name, of which the catalogue lacks one.
LOST_CODES = """
    SELECT DISTINCT 'ORPHAN', format('log rows of %%s %%s', v.kind, v.code), v.kind || ' of the catalogue', 'none'
      FROM unnest(%(features)s::text[], %(tasks)s::text[], %(classes)s::text[], %(plans)s::uuid[])
           AS c(feature, task, model_class, plan),
           LATERAL (VALUES
        ('feature', c.feature, EXISTS (SELECT 1 FROM plans_feature WHERE code = c.feature)),
        ('task', c.task, EXISTS (SELECT 1 FROM plans_task WHERE code = c.task)),
        ('model class', c.model_class, EXISTS (SELECT 1 FROM plans_modelclass WHERE code = c.model_class)),
        ('plan', c.plan::text, EXISTS (SELECT 1 FROM plans_plan WHERE id = c.plan))
      ) AS v(kind, code, is_known)
     WHERE v.code IS NOT NULL AND NOT v.is_known
"""

# Events that say BOOKED and whose row is neither in the log nor archived.
LOST_EVENTS = """
    SELECT 'ORPHAN', format('event %%s/%%s', e.source, e.event_id), 'its log row', COALESCE(e.log_id::text, 'none')
      FROM usage_usageevent e
     WHERE e.tenant_id = %(tenant)s AND NOT EXISTS (
           SELECT 1 FROM usage_usagelog l WHERE l.tenant_id = %(tenant)s AND l.id = e.log_id)
       AND NOT EXISTS (SELECT 1 FROM usage_logarchive a WHERE a.month = ledger_month(e.log_id))
"""

# Marks meters that still say what was verified. Locked in id order and never waited for, so this cannot deadlock.
VERIFY = """
    WITH found AS (
        SELECT m.id FROM usage_usagemeter m
          JOIN unnest(%(ids)s::uuid[], %(used)s::bigint[], %(overruns)s::bigint[], %(archived)s::bigint[])
               AS v(id, used, overrun, archived) ON v.id = m.id
         WHERE m.tenant_id = %(tenant)s AND m.verified_at IS NULL AND m.reserved = 0
           AND (m.used, m.overrun, m.archived) = (v.used, v.overrun, v.archived)
         ORDER BY m.id FOR NO KEY UPDATE OF m SKIP LOCKED
    )
    UPDATE usage_usagemeter m SET verified_at = clock_timestamp() FROM found
     WHERE m.tenant_id = %(tenant)s AND m.id = found.id
"""

# --- reservations, a slice at a time: each is right or wrong by itself --------
# Its log rows are younger than itself: the partitions before its own are left alone.

# Open ones in the order of their deadlines: I1 of the grant as it was looked at, I5 (no row ends it), I6 (lists of one
# length), I11. One that is right answers too, without an invariant: it says where the next slice begins.
OPEN = """
    WITH opened AS (
        SELECT r.*, cardinality(r.meters) AS size FROM usage_usagereservation r
         WHERE r.status = 'OPEN' AND (r.expires_at, r.id) > (%(after)s, %(after_id)s)
           AND (%(tenants)s::uuid[] IS NULL OR r.tenant_id = ANY(%(tenants)s::uuid[]))
         ORDER BY r.expires_at, r.id LIMIT %(slice)s
    )
    SELECT r.expires_at, r.id, r.tenant_id, v.invariant, v.expected, v.found
      FROM opened r
      LEFT JOIN LATERAL (
        SELECT 'I11', format('ended within 10 s after %%s', date_trunc('second', r.expires_at)),
               format('OPEN at %%s', date_trunc('second', %(now)s::timestamptz))
         WHERE r.expires_at < %(now)s::timestamptz - interval '10 seconds'
        UNION ALL
        SELECT 'I6', format('%%s of each list', r.size),
               format('%%s measures, %%s periods, %%s amounts, %%s booked, %%s charges, %%s readings',
                      cardinality(r.measures), cardinality(r.periods), cardinality(r.amounts), cardinality(r.booked),
                      jsonb_array_length(r.charges), cardinality(r.readings) / 3.0)
         WHERE (r.size, r.size, r.size, r.size, r.size, 3 * r.size) IS DISTINCT FROM
               (cardinality(r.measures), cardinality(r.periods), cardinality(r.amounts), cardinality(r.booked),
                jsonb_array_length(r.charges), cardinality(r.readings))
        UNION ALL
        SELECT 'I5', 'OPEN: no row that ends it', format('%%s at %%s', l.status, date_trunc('second', l.recorded_at))
          FROM usage_usagelog l
         WHERE l.tenant_id = r.tenant_id AND l.reservation_id = r.id
           AND l.id >= ledger_uuid7_floor(ledger_uuid7_at(r.id))
           AND l.status IN ('COMPLETED', 'FAILED', 'RELEASED', 'EXPIRED') AND l.decision IS NOT NULL
        UNION ALL
        SELECT 'I1', format('used + reserved + amount at most %%s on meter %%s', g.bound->>1, r.meters[g.place]),
               format('%%s + %%s + %%s', r.readings[3 * g.place - 2], r.readings[3 * g.place - 1], r.amounts[g.place])
          FROM (SELECT bound, nth::int AS place
                  FROM jsonb_array_elements(CASE WHEN jsonb_typeof(r.decision->'limits') = 'array'
                                                 THEN r.decision->'limits' ELSE '[]' END)
                       WITH ORDINALITY AS l(bound, nth)) g
         WHERE r.amounts[g.place] > 0 AND (g.bound->>2)::boolean
           AND r.readings[3 * g.place - 2] + r.readings[3 * g.place - 1] + r.amounts[g.place]
               > (g.bound->>1)::numeric
        UNION ALL
        SELECT 'ORPHAN', 'feature of the catalogue', r.feature_id
         WHERE r.feature_id NOT IN (SELECT code FROM plans_feature)
        UNION ALL
        SELECT 'ORPHAN', 'task of the catalogue', r.task_id WHERE r.task_id NOT IN (SELECT code FROM plans_task)
        UNION ALL
        SELECT 'ORPHAN', 'model class of the catalogue', r.model_class_id
         WHERE r.model_class_id NOT IN (SELECT code FROM plans_modelclass)
        UNION ALL
        SELECT 'ORPHAN', 'plan of the catalogue', r.plan_id::text WHERE r.plan_id NOT IN (SELECT id FROM plans_plan)
      ) AS v(invariant, expected, found) ON true
     ORDER BY r.expires_at, r.id, v.invariant
"""

# Those with one kind of end, in the order of their ends: I5. A row that ends a reservation carries its decision; a fact
# that names a released one has none.
ENDED = """
    WITH ended AS (
        SELECT id, tenant_id, status, ended_at FROM usage_usagereservation
         WHERE status = %(status)s AND status <> 'OPEN'
           AND (ended_at, id) > (%(after)s, %(after_id)s) AND ended_at <= %(now)s
           AND (%(tenants)s::uuid[] IS NULL OR tenant_id = ANY(%(tenants)s::uuid[]))
         ORDER BY ended_at, id LIMIT %(slice)s
    )
    SELECT r.ended_at, r.id, r.tenant_id,
           CASE WHEN (r.status, e.completed, e.late, e.released, e.expired) NOT IN (
                         ('COMMITTED', 1, 0, 0, 0), ('COMMITTED', 1, 1, 0, 1), ('RELEASED', 0, 0, 1, 0),
                         ('EXPIRED', 0, 0, 0, 1)) THEN 'I5' END,
           format('%%s: one row that ends it so', r.status),
           format('%%s COMPLETED or FAILED (%%s late), %%s RELEASED, %%s EXPIRED',
                  e.completed, e.late, e.released, e.expired)
      FROM ended r, LATERAL (
        SELECT count(*) FILTER (WHERE l.status IN ('COMPLETED', 'FAILED')) AS completed,
               count(*) FILTER (WHERE l.status IN ('COMPLETED', 'FAILED') AND l.late) AS late,
               count(*) FILTER (WHERE l.status = 'RELEASED') AS released,
               count(*) FILTER (WHERE l.status = 'EXPIRED') AS expired
          FROM usage_usagelog l
         WHERE l.tenant_id = r.tenant_id AND l.reservation_id = r.id
           AND l.id >= ledger_uuid7_floor(ledger_uuid7_at(r.id)) AND l.decision IS NOT NULL
      ) e
     ORDER BY r.ended_at, r.id
"""
