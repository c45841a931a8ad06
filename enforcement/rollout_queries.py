"""The SQL of the roll-out report: pages of what was let through, is open, was refused, and was asked at all.

Each row begins with the length of its page and the page's last id. Valid on PostgreSQL 15 to 18.
"""

# What of a decision was let through: the codes of observed gates without a meter, and the gates of the limits it
# passed, each once. `overage` are places of limits that the plan lets usage pass.
_LET_THROUGH = """
    CROSS JOIN LATERAL (
        SELECT code AS what, false AS is_overage
          FROM jsonb_array_elements_text(COALESCE(d.decision->'would_deny', '[]')) AS w(code)
        UNION
        SELECT d.decision->'limits'->place::int->>0, COALESCE(d.decision->'overage' @> to_jsonb(place::int), false)
          FROM jsonb_array_elements_text(COALESCE(d.decision->'over', '[]')) AS o(place)
    ) AS passed
"""
_WATCHED = "(decision ? 'over' OR decision ? 'would_deny')"

# A late commit is another row of an operation that ended before: its cost counts, and not the request again. Reports
# on the way were paid before the end.
LOG = f"""
    WITH page AS MATERIALIZED (
        SELECT id, tenant_id, reservation_id, attempt, late, cost, decision FROM usage_usagelog
         WHERE {_WATCHED} AND id >= %(after)s AND id < %(until)s ORDER BY id LIMIT %(page)s
    ),
    d AS (
        SELECT page.*, COALESCE(cost, 0) + COALESCE((
                   SELECT sum(r.cost) FROM usage_usagelog r
                    WHERE page.attempt > 0 AND NOT page.late AND r.tenant_id = page.tenant_id
                      AND r.reservation_id = page.reservation_id AND r.status = 'REPORT'), 0) AS paid
          FROM page WHERE %(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s
    )
    SELECT (SELECT count(*) FROM page), (SELECT id FROM page ORDER BY id DESC LIMIT 1), d.tenant_id, passed.what,
           passed.is_overage, count(*) FILTER (WHERE NOT d.late), min(d.id::text), max(d.id::text), sum(d.paid)
      FROM (SELECT 1) AS one LEFT JOIN (d {_LET_THROUGH}) ON true
     GROUP BY d.tenant_id, passed.what, passed.is_overage
"""  # noqa: S608 - constants of this module

OPEN = f"""
    WITH page AS MATERIALIZED (
        SELECT id, tenant_id, expires_at, decision FROM usage_usagereservation
         WHERE status = 'OPEN' AND expires_at >= %(expires)s AND (expires_at, id) > (%(expires)s, %(after)s)
         ORDER BY expires_at, id LIMIT %(page)s
    ),
    last AS (SELECT count(*) AS rows, max(expires_at) AS expires_at FROM page),
    d AS (SELECT * FROM page WHERE {_WATCHED} AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s))
    SELECT last.rows, (SELECT id FROM page ORDER BY expires_at DESC, id DESC LIMIT 1), d.tenant_id, passed.what,
           passed.is_overage, count(d.id), min(d.id::text), max(d.id::text), last.expires_at
      FROM last LEFT JOIN (d {_LET_THROUGH}) ON true
     GROUP BY last.rows, last.expires_at, d.tenant_id, passed.what, passed.is_overage
"""  # noqa: S608 - constants of this module

DENIALS = """
    WITH page AS MATERIALIZED (
        SELECT id, tenant_id, code, count, last_at FROM usage_denial
         WHERE id >= %(after)s AND id < %(until)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s)
         ORDER BY id LIMIT %(page)s
    )
    SELECT (SELECT count(*) FROM page), (SELECT id FROM page ORDER BY id DESC LIMIT 1), tenant_id, code,
           sum(count), min(id::text), max(last_at)
      FROM page GROUP BY tenant_id, code
"""

REQUESTS = """
    WITH page AS MATERIALIZED (
        SELECT id, tenant_id, late, status FROM usage_usagelog
         WHERE id >= %(after)s AND id < %(until)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s)
         ORDER BY id LIMIT %(page)s
    )
    SELECT (SELECT count(*) FROM page), (SELECT id FROM page ORDER BY id DESC LIMIT 1), tenant_id,
           count(*) FILTER (WHERE NOT late AND status IN ('COMPLETED', 'FAILED', 'RELEASED', 'EXPIRED'))
      FROM page GROUP BY tenant_id
"""
