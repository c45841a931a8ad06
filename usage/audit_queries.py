"""The SQL of the audit. A check answers what breaks it: subject, what was expected, what was found.

Valid on PostgreSQL 15 to 18. `tenant` stands in the WHERE of every statement about one tenant.
"""

# What PostgreSQL itself holds on every change of a meter: the net under I1.
CONSTRAINTS = ("usage_usagemeter_no_overspend", "usage_usagemeter_not_negative")
CONSTRAINT = """
    SELECT 1 FROM pg_constraint
     WHERE conrelid = 'usage_usagemeter'::regclass AND conname = %(name)s AND contype = 'c' AND convalidated
"""

STRAY_ROWS = "SELECT count(*) FROM (SELECT 1 FROM usage_usagelog_default LIMIT 1000) AS stray"

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

# Whether the tenant exists; below which transaction the log is settled for ever, for it only grows; and where the
# log of the unverified periods begins: a fact may be booked up to five minutes before its period.
START = """
    SELECT EXISTS (SELECT 1 FROM tenants_tenant WHERE id = %(tenant)s),
           pg_snapshot_xmin(pg_current_snapshot())::text,
           CASE WHEN %(full)s THEN '00000000-0000-0000-0000-000000000000'::uuid
                ELSE ledger_uuid7_floor(COALESCE(min(period_start), clock_timestamp()) - interval '10 minutes') END
      FROM usage_usagemeter
     WHERE tenant_id = %(tenant)s AND verified_at IS NULL AND period IN ('DAY', 'MONTH')
"""

# Where a slice of the log ends; no row where there is no further one.
SLICE_END = """
    SELECT id FROM usage_usagelog
     WHERE tenant_id = %(tenant)s AND id >= %(first)s ORDER BY id OFFSET %(rows)s LIMIT 1
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
BOOKED_SETTLED = _BOOKED.format(range="l.id >= %(first)s AND l.transaction_id < %(settled)s::xid8")
BOOKED_SLICE = _BOOKED.format(range="l.id >= %(first)s AND l.id < %(end)s AND l.transaction_id < %(settled)s::xid8")
BOOKED_SINCE = _BOOKED.format(range="l.id >= %(first)s AND l.transaction_id >= %(settled)s::xid8")

CLOCK = "SELECT clock_timestamp()"

_HELD = """
    SELECT h.meter, sum(GREATEST(0, h.amount - h.booked)) AS held,
           bool_or(h.amount > 0 AND (h.period <> 'MINUTE' OR h.amount > h.booked)) AS must_exist
      FROM usage_usagereservation r,
           LATERAL unnest(r.meters, r.amounts, r.booked, r.periods) AS h(meter, amount, booked, period)
     WHERE r.tenant_id = %(tenant)s AND r.status = 'OPEN' AND h.meter IS NOT NULL
     GROUP BY h.meter
"""

# I1 to I4 of every meter in scope. A meter counts where its whole log was read. SLOTS, the only meters without an
# end, are never charged, so what was read is all there is. Once part of its log is archived, only a floor of its
# overrun is known.
METERS = f"""
    WITH held AS ({_HELD}),
    booked AS (
        SELECT * FROM unnest(%(meters)s::uuid[], %(charges)s::numeric[], %(overruns)s::numeric[])
                      AS b(meter, charge, overrun)
    ),
    scope AS (
        SELECT m.*, COALESCE(b.charge, 0) AS booked_charge, COALESCE(b.overrun, 0) AS booked_overrun,
               COALESCE(h.held, 0) AS held,
               m.period <> 'MINUTE' AND (%(full)s OR (m.verified_at IS NULL AND (
                   m.period = 'OPEN' OR ledger_uuid7_floor(m.period_start - interval '10 minutes') >= %(first)s
               ))) AS counts
          FROM usage_usagemeter m
          LEFT JOIN booked b ON b.meter = m.id
          LEFT JOIN held h ON h.meter = m.id
         WHERE m.tenant_id = %(tenant)s
           AND (%(full)s OR m.verified_at IS NULL OR m.id IN (SELECT meter FROM held))
    )
    SELECT v.invariant, s.id,
           concat_ws(' ', 'meter', s.id, COALESCE(s.task_id, s.feature_id), s.measure, s.period,
                     CASE WHEN s.period <> 'OPEN'
                          THEN to_char(s.period_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') END),
           v.expected, v.found
      FROM scope s, LATERAL (VALUES
        ('I1', s.used + s.reserved > s.limit_amount + s.overrun,
         format('used + reserved at most limit + overrun = %%s', s.limit_amount + s.overrun),
         (s.used + s.reserved)::text),
        ('I1', s.used < 0 OR s.reserved < 0 OR s.overrun < 0,
         'used, reserved and overrun at least 0', format('%%s, %%s, %%s', s.used, s.reserved, s.overrun)),
        ('I2', s.counts AND s.used <> s.archived + s.booked_charge,
         format('used = charges in the log + archived = %%s', s.archived + s.booked_charge), s.used::text),
        ('I3', s.reserved <> s.held,
         format('reserved = sum of the open holds = %%s', s.held), s.reserved::text),
        ('I4', s.counts AND CASE WHEN s.archived = 0 THEN s.overrun <> s.booked_overrun
                                 ELSE s.overrun < s.booked_overrun END,
         format('overrun = overruns in the log = %%s', s.booked_overrun), s.overrun::text)
      ) AS v(invariant, is_broken, expected, found)
     WHERE v.is_broken
     ORDER BY s.id, v.invariant
"""  # noqa: S608 - constants of this module

# Charges and holds on meters that do not exist (of this tenant). What charges nothing makes no meter.
LOST_METERS = f"""
    SELECT 'ORPHAN', format('log rows of meter %%s', b.meter), 'a meter of this tenant', 'none'
      FROM unnest(%(meters)s::uuid[], %(touching)s::bigint[]) AS b(meter, touching)
     WHERE b.touching > 0 AND NOT EXISTS (
           SELECT 1 FROM usage_usagemeter m WHERE m.tenant_id = %(tenant)s AND m.id = b.meter)
    UNION ALL
    SELECT 'I6', format('meter %%s of an open reservation', h.meter), 'a meter of this tenant', 'none'
      FROM ({_HELD}) h
     WHERE h.must_exist AND NOT EXISTS (
           SELECT 1 FROM usage_usagemeter m WHERE m.tenant_id = %(tenant)s AND m.id = h.meter)
"""  # noqa: S608 - constants of this module

# Codes and plans that the ledger names and the catalogue has not; %(codes)s are those of the log rows that were read.
LOST_CODES = """
    WITH named AS (
        SELECT 'log rows' AS place, feature, task, model_class, plan
          FROM unnest(%(features)s::text[], %(tasks)s::text[], %(classes)s::text[], %(plans)s::uuid[])
               AS c(feature, task, model_class, plan)
        UNION
        SELECT 'meters', feature_id, task_id, NULL, NULL FROM usage_usagemeter
         WHERE tenant_id = %(tenant)s AND (%(full)s OR verified_at IS NULL)
        UNION
        SELECT 'open reservations', feature_id, task_id, model_class_id, plan_id FROM usage_usagereservation
         WHERE tenant_id = %(tenant)s AND status = 'OPEN'
    )
    SELECT DISTINCT 'ORPHAN', format('%%s of %%s %%s', n.place, v.kind, v.code), v.kind || ' of the catalogue', 'none'
      FROM named n, LATERAL (VALUES
        ('feature', n.feature, EXISTS (SELECT 1 FROM plans_feature f WHERE f.code = n.feature)),
        ('task', n.task, EXISTS (SELECT 1 FROM plans_task t WHERE t.code = n.task)),
        ('model class', n.model_class, EXISTS (SELECT 1 FROM plans_modelclass c WHERE c.code = n.model_class)),
        ('plan', n.plan::text, EXISTS (SELECT 1 FROM plans_plan p WHERE p.id = n.plan))
      ) AS v(kind, code, is_known)
     WHERE v.code IS NOT NULL AND NOT v.is_known
"""

# Open reservations: I1 of the grant as it was looked at, I5 (no ending), I6 (lists of one length), I11.
OPEN = """
    WITH opened AS (
        SELECT r.*, cardinality(r.meters) AS size,
               CASE WHEN jsonb_typeof(r.decision->'limits') = 'array' THEN r.decision->'limits' ELSE '[]' END AS limits
          FROM usage_usagereservation r WHERE r.tenant_id = %(tenant)s AND r.status = 'OPEN'
    )
    SELECT 'I11', format('reservation %%s', id), format('ended within 10 s after %%s', expires_at),
           format('OPEN at %%s', %(now)s::timestamptz)
      FROM opened WHERE expires_at < %(now)s::timestamptz - interval '10 seconds'
    UNION ALL
    SELECT 'I6', format('reservation %%s', id), format('%%s of each list', size),
           format('%%s measures, %%s periods, %%s amounts, %%s booked, %%s charges, %%s readings',
                  cardinality(measures), cardinality(periods), cardinality(amounts), cardinality(booked),
                  jsonb_array_length(charges), cardinality(readings) / 3.0)
      FROM opened
     WHERE (size, size, size, size, size, 3 * size) IS DISTINCT FROM
           (cardinality(measures), cardinality(periods), cardinality(amounts), cardinality(booked),
            jsonb_array_length(charges), cardinality(readings))
    UNION ALL
    SELECT 'I5', format('reservation %%s', r.id), 'OPEN: no row that ends it',
           format('%%s at %%s', l.status, l.recorded_at)
      FROM opened r
      JOIN usage_usagelog l ON l.tenant_id = %(tenant)s AND l.reservation_id = r.id
       AND l.status IN ('COMPLETED', 'FAILED', 'RELEASED', 'EXPIRED') AND l.decision IS NOT NULL
    UNION ALL
    SELECT 'I1', format('reservation %%s on meter %%s', r.id, r.meters[place]),
           format('used + reserved + amount at most %%s', g.bound->>1),
           format('%%s + %%s + %%s', r.readings[3 * place - 2], r.readings[3 * place - 1], r.amounts[place])
      FROM opened r, LATERAL jsonb_array_elements(r.limits) WITH ORDINALITY AS g(bound, nth),
           LATERAL (SELECT g.nth::int AS place) p
     WHERE r.amounts[place] > 0 AND (g.bound->>2)::boolean
       AND r.readings[3 * place - 2] + r.readings[3 * place - 1] + r.amounts[place] > (g.bound->>1)::numeric
"""

COUNTS = """
    SELECT (SELECT count(*) FROM usage_usagemeter
             WHERE tenant_id = %(tenant)s AND (%(full)s OR verified_at IS NULL)),
           (SELECT count(*) FROM usage_usagereservation WHERE tenant_id = %(tenant)s AND status = 'OPEN')
"""

# Periods that are over and not verified, with what they say.
ENDED_METERS = """
    SELECT id, used, overrun, archived FROM usage_usagemeter
     WHERE tenant_id = %(tenant)s AND verified_at IS NULL AND period_end <= %(now)s AND reserved = 0
       AND period <> 'MINUTE' AND ledger_uuid7_floor(period_start - interval '10 minutes') >= %(first)s
"""

# Marks meters that still say what was verified. Locked in id order and never waited for, like every writer's.
VERIFY = """
    WITH found AS (
        SELECT m.id FROM usage_usagemeter m
          JOIN unnest(%(ids)s::uuid[], %(used)s::bigint[], %(overruns)s::bigint[], %(archived)s::bigint[])
               AS v(id, used, overrun, archived) ON v.id = m.id
         WHERE m.tenant_id = %(tenant)s AND m.verified_at IS NULL AND m.reserved = 0
           AND (m.used, m.overrun, m.archived) = (v.used, v.overrun, v.archived)
         ORDER BY m.id FOR NO KEY UPDATE OF m SKIP LOCKED
    )
    UPDATE usage_usagemeter m SET verified_at = %(now)s FROM found
     WHERE m.tenant_id = %(tenant)s AND m.id = found.id
"""

# I5 of reservations that ended, a slice at a time in the order of their ends. A row that ends one carries its
# decision; a fact that names a released reservation has none.
ENDED = """
    WITH ended AS (
        SELECT id, tenant_id, status, ended_at FROM usage_usagereservation
         WHERE status <> 'OPEN' AND (ended_at, id) > (%(after)s, %(after_id)s)
           AND (%(tenants)s::uuid[] IS NULL OR tenant_id = ANY(%(tenants)s::uuid[]))
         ORDER BY ended_at, id LIMIT %(rows)s
    )
    SELECT r.tenant_id, r.id, r.ended_at, r.status,
           (r.status, e.completed, e.late, e.released, e.expired) IN (
               ('COMMITTED', 1, 0, 0, 0), ('COMMITTED', 1, 1, 0, 1), ('RELEASED', 0, 0, 1, 0), ('EXPIRED', 0, 0, 0, 1)),
           format('%%s COMPLETED or FAILED (%%s late), %%s RELEASED, %%s EXPIRED',
                  e.completed, e.late, e.released, e.expired)
      FROM ended r, LATERAL (
        SELECT count(*) FILTER (WHERE l.status IN ('COMPLETED', 'FAILED')) AS completed,
               count(*) FILTER (WHERE l.status IN ('COMPLETED', 'FAILED') AND l.late) AS late,
               count(*) FILTER (WHERE l.status = 'RELEASED') AS released,
               count(*) FILTER (WHERE l.status = 'EXPIRED') AS expired
          FROM usage_usagelog l
         WHERE l.tenant_id = r.tenant_id AND l.reservation_id = r.id AND l.decision IS NOT NULL
      ) e
     ORDER BY r.ended_at, r.id
"""

# Events that say BOOKED and whose row is not in the log.
LOST_EVENTS = """
    SELECT 'ORPHAN', format('event %%s/%%s', e.source, e.event_id), 'its log row', COALESCE(e.log_id::text, 'none')
      FROM usage_usageevent e
     WHERE e.tenant_id = %(tenant)s AND NOT EXISTS (
           SELECT 1 FROM usage_usagelog l WHERE l.tenant_id = %(tenant)s AND l.id = e.log_id)
"""
