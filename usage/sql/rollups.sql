-- What the roll-ups compute with.

-- The place of a latency in a histogram, 1 to 64: up to 10 ms, then four to a doubling, and beyond 7.7 minutes.
CREATE OR REPLACE FUNCTION rollup_latency_bucket(p_milliseconds bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_milliseconds IS NOT NULL
                THEN LEAST(64, 1 + ceil(GREATEST(0, ln(GREATEST(p_milliseconds, 1) / 10.0::float8) / ln(2::float8) * 4)))::integer END
$$;

-- How often each place occurs, up to the last that does. The loop is paid once a value: counting 64 times does not.
CREATE OR REPLACE FUNCTION rollup_histogram(p_places integer[]) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    v_counts integer[] := array_fill(0, ARRAY[(SELECT max(place) FROM unnest(p_places) AS p(place))]);
    v_place integer;
BEGIN
    FOREACH v_place IN ARRAY p_places LOOP
        v_counts[v_place] := v_counts[v_place] + 1;
    END LOOP;
    RETURN v_counts;
END
$$;

-- Two histograms together.
CREATE OR REPLACE FUNCTION rollup_added(p_one integer[], p_other integer[]) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN cardinality(p_one) = 0 THEN p_other
                WHEN cardinality(p_other) = 0 THEN p_one
                ELSE (SELECT array_agg(COALESCE(one, 0) + COALESCE(other, 0) ORDER BY n)
                        FROM unnest(p_one, p_other) WITH ORDINALITY AS c(one, other, n)) END
$$;
