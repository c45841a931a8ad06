-- What erasing a user does to what is kept of them. `e` is the erasure that goes on: user_key becomes pseudonym; what
-- `pattern` matches (NULL: nothing surely does) names the user in words.

CREATE OR REPLACE FUNCTION ledger_erased_text(p_text text, p_pattern text, p_pseudonym text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_pattern IS NULL THEN p_text ELSE regexp_replace(p_text, p_pattern, p_pseudonym, 'g') END
$$;

CREATE OR REPLACE FUNCTION ledger_erased_texts(p_texts text[], p_pattern text, p_pseudonym text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_texts IS NULL OR p_pattern IS NULL THEN p_texts
                ELSE ARRAY(SELECT regexp_replace(t, p_pattern, p_pseudonym, 'g')
                             FROM unnest(p_texts) WITH ORDINALITY AS u(t, place) ORDER BY place) END
$$;

-- In JSON a user stands in members named user, and first in the scope of a meter; values are texts as well.
CREATE OR REPLACE FUNCTION ledger_erased_json(p_json jsonb, p_key text, p_pattern text, p_pseudonym text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    v_user jsonb := to_jsonb(p_key);
BEGIN
    -- Most of what is looked at names nobody, and is not taken apart.
    IF p_json IS NULL OR (position(btrim(v_user::text, '"') IN p_json::text) = 0
                          AND (p_pattern IS NULL OR p_json::text !~ p_pattern)) THEN
        RETURN p_json;
    END IF;
    RETURN CASE jsonb_typeof(p_json)
        WHEN 'object' THEN (
            SELECT COALESCE(jsonb_object_agg(key, CASE WHEN key = 'user' AND value = v_user THEN to_jsonb(p_pseudonym)
                       ELSE ledger_erased_json(value, p_key, p_pattern, p_pseudonym) END), '{}')
              FROM jsonb_each(p_json))
        WHEN 'array' THEN (
            SELECT COALESCE(jsonb_agg(CASE
                       WHEN place = 1 AND value = v_user AND jsonb_array_length(p_json) = 8
                            AND p_json->>3 IN ('UNITS', 'REQUESTS', 'TOKENS', 'COST', 'SLOTS')
                       THEN to_jsonb(p_pseudonym)
                       ELSE ledger_erased_json(value, p_key, p_pattern, p_pseudonym) END ORDER BY place), '[]')
              FROM jsonb_array_elements(p_json) WITH ORDINALITY AS e(value, place))
        WHEN 'string' THEN to_jsonb(ledger_erased_text(p_json #>> '{}', p_pattern, p_pseudonym))
        ELSE p_json END;
END
$$;

-- A log row as an erasure leaves it: on the user's own rows the callers' words go, elsewhere only the user's name.
CREATE OR REPLACE FUNCTION ledger_erased_log(l usage_usagelog, e usage_erasure) RETURNS usage_usagelog
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF l.user_key = e.user_key THEN
        l.user_key := e.pseudonym;
        l.metadata := NULL;
        l.correlation_id := NULL;
        l.error := NULL;
    ELSE
        l.metadata := ledger_erased_json(l.metadata, e.user_key, e.pattern, e.pseudonym);
        l.correlation_id := left(ledger_erased_text(l.correlation_id, e.pattern, e.pseudonym), 128);
        l.error := left(ledger_erased_text(l.error, e.pattern, e.pseudonym), 500);
    END IF;
    l.ask := ledger_erased_json(l.ask, e.user_key, e.pattern, e.pseudonym);
    l.decision := ledger_erased_json(l.decision, e.user_key, e.pattern, e.pseudonym);
    RETURN l;
END
$$;

-- The one function that changes rows of the log: those of a tenant with ids in (p_after, p_through]; how many it did.
-- The trigger append_only lets pass exactly what ledger_erased_log makes of a row, while this runs.
CREATE OR REPLACE FUNCTION ledger_erase_log(p_tenant uuid, p_erasure uuid, p_after uuid, p_through uuid)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    e usage_erasure;
    v_erased integer;
BEGIN
    SELECT * INTO STRICT e FROM usage_erasure
     WHERE tenant_id = p_tenant AND id = p_erasure AND finished_at IS NULL;
    PERFORM set_config('ledger.erasure', p_erasure::text, true);
    UPDATE usage_usagelog l
       SET user_key = n.user_key, metadata = n.metadata, correlation_id = n.correlation_id, error = n.error,
           ask = n.ask, decision = n.decision
      FROM usage_usagelog o, LATERAL ledger_erased_log(o, e) AS n
     WHERE o.tenant_id = p_tenant AND o.id > p_after AND o.id <= p_through
       AND l.tenant_id = p_tenant AND l.id = o.id AND l.id > p_after AND l.id <= p_through
       AND (l.user_key, l.metadata, l.correlation_id, l.error, l.ask, l.decision)
           IS DISTINCT FROM (n.user_key, n.metadata, n.correlation_id, n.error, n.ask, n.decision);
    GET DIAGNOSTICS v_erased = ROW_COUNT;
    PERFORM set_config('ledger.erasure', '', true);
    RETURN v_erased;
END
$$;

CREATE OR REPLACE FUNCTION ledger_is_erasing(p_old usage_usagelog, p_new usage_usagelog) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_erasure uuid := NULLIF(current_setting('ledger.erasure', true), '');
    e usage_erasure;
BEGIN
    IF v_erasure IS NULL THEN
        RETURN false;
    END IF;
    SELECT * INTO e FROM usage_erasure
     WHERE id = v_erasure AND tenant_id = p_old.tenant_id AND finished_at IS NULL;
    RETURN FOUND AND to_jsonb(p_new) = to_jsonb(ledger_erased_log(p_old, e));
END
$$;
