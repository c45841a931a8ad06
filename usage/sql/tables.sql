-- The clock inside an id: the first 48 bits of a UUIDv7 are milliseconds since 1970.
CREATE FUNCTION ledger_uuid7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
$$;

-- The smallest id of an instant: a bound for ranges over time.
CREATE FUNCTION ledger_uuid7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
$$;

CREATE FUNCTION ledger_uuid7_at(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_timestamp(('x' || lpad(translate(left(id::text, 13), '-', ''), 16, '0'))::bit(64)::bigint / 1000.0)
$$;

-- The log: one partition a month by the instant inside the id. The keeper calls this with months to come.
CREATE FUNCTION ledger_make_partition(month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    partition_name text := 'usage_usagelog_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass(partition_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'CREATE TABLE %I PARTITION OF usage_usagelog FOR VALUES FROM (%L) TO (%L)', partition_name,
        ledger_uuid7_floor(date_trunc('month', month)::timestamp AT TIME ZONE 'UTC'),
        ledger_uuid7_floor((date_trunc('month', month) + interval '1 month')::timestamp AT TIME ZONE 'UTC'));
    RETURN true;
END
$$;
