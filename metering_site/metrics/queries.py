"""The SQL of the figures. Each reads an index, or as many rows as it says: never the log."""

MOST = 100_000
"""Reservations are counted up to here."""

RESERVATIONS = """
    SELECT (SELECT count(*) FROM (
               SELECT 1 FROM usage_usagereservation WHERE status = 'OPEN' LIMIT %(most)s) AS o),
           COALESCE((SELECT GREATEST(0, extract(epoch FROM clock_timestamp() - min(expires_at)))
                       FROM usage_usagereservation WHERE status = 'OPEN'), 0)::float8,
           (SELECT count(*) FROM (
               SELECT 1 FROM usage_usagereservation
                WHERE status = 'EXPIRED' AND ended_at > %(since)s LIMIT %(most)s) AS e)
"""

ALERTS = "SELECT kind, severity, count(*) FROM alerts_quotaalert WHERE resolved_at IS NULL GROUP BY kind, severity"

# By id, which begins with the time.
DELIVERIES = """
    SELECT c.kind, d.state, count(*)
      FROM alerts_delivery d JOIN alerts_channel c ON c.id = d.channel_id
     WHERE d.id >= %(first)s
     GROUP BY c.kind, d.state
"""

LATE_DELIVERY = """
    SELECT COALESCE(GREATEST(0, extract(epoch FROM clock_timestamp() - min(next_attempt_at))), 0)::float8
      FROM alerts_delivery WHERE state IN ('PENDING', 'SENDING', 'FAILED')
"""

# Other programs of the same database may call themselves as they like: they are one.
CONNECTIONS = """
    SELECT CASE WHEN application_name LIKE 'metering%%' THEN application_name ELSE 'other' END,
           COALESCE(state, 'unknown'), count(*)
      FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
     GROUP BY 1, 2
"""

SERVER = """
    SELECT current_setting('max_connections')::integer,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
           pg_database_size(current_database()),
           COALESCE((SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity
                      WHERE datname = current_database() AND pid <> pg_backend_pid()
                        AND backend_type = 'client backend'), 0)::float8
"""

PARTITIONS = """
    SELECT (to_regclass('usage_usagelog_' ||
                        to_char((now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY_MM')) IS NOT NULL)::integer,
           (SELECT count(*) FROM (SELECT 1 FROM usage_usagelog_default LIMIT 1000) AS s)
"""
