-- The accounting rules. Every function is one operation: called alone, in autocommit, at READ COMMITTED.
-- The tenant is the first argument and stands in the WHERE of every statement; array elements are copied into
-- scalar variables before a statement uses them (both for Citus, see docs/decisions.md).
--
-- Totals and held_totals are arrays in this order:
--   1 input  2 cached input  3 cache write  4 output  5 reasoning tokens  6 API calls  7 items
-- The totals of an ending may have an 8th number, which is priced and counted nowhere: web searches.
-- Rates are nano-USD: per million of 1 input  2 cached input  3 cache write  4 output tokens, 5 per unit, and
-- per million of 6 API calls  7 web searches.

CREATE OR REPLACE FUNCTION ledger_numbers(p_tenant uuid) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY[
        max(number) FILTER (WHERE subject = '00000000-0000-0000-0000-000000000001'),
        max(number) FILTER (WHERE subject = '00000000-0000-0000-0000-000000000002'),
        max(number) FILTER (WHERE subject = p_tenant)]
    FROM tenants_configversion
    WHERE subject IN ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', p_tenant)
$$;

-- Whether an answer decided with these numbers, for this window, may still be given. A NULL was not relied on.
CREATE OR REPLACE FUNCTION ledger_is_stale(
    p_numbers bigint[], p_now_numbers bigint[], p_from timestamptz, p_until timestamptz, p_now timestamptz
) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (p_numbers[1] IS NOT NULL AND p_numbers[1] IS DISTINCT FROM p_now_numbers[1])
        OR (p_numbers[2] IS NOT NULL AND p_numbers[2] IS DISTINCT FROM p_now_numbers[2])
        OR (p_numbers[3] IS NOT NULL AND p_numbers[3] IS DISTINCT FROM p_now_numbers[3])
        OR p_now < p_from OR p_now >= p_until
$$;

-- used, reserved and overrun of each meter in turn; a missing meter reads 0.
CREATE OR REPLACE FUNCTION ledger_read(p_tenant uuid, p_meters uuid[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    v_readings bigint[] := array_fill(0::bigint, ARRAY[3 * cardinality(p_meters)]);
    v_meter uuid;
    v_used bigint;
    v_reserved bigint;
    v_overrun bigint;
    i integer := 0;
BEGIN
    FOREACH v_meter IN ARRAY p_meters LOOP
        SELECT used, reserved, overrun INTO v_used, v_reserved, v_overrun
            FROM usage_usagemeter WHERE tenant_id = p_tenant AND id = v_meter;
        IF FOUND THEN
            v_readings[i + 1] := v_used;
            v_readings[i + 2] := v_reserved;
            v_readings[i + 3] := v_overrun;
        END IF;
        i := i + 3;
    END LOOP;
    RETURN v_readings;
END
$$;

-- A meter's row, with zeros, from its place in a list of charges: [user, feature, task, measure, period, start, end].
CREATE OR REPLACE FUNCTION ledger_add_meter(p_tenant uuid, p_meter uuid, p_charge jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO usage_usagemeter (id, tenant_id, user_key, feature_id, task_id, measure, period, period_start,
                                  period_end, used, reserved, overrun, archived)
    VALUES (p_meter, p_tenant, p_charge->>0, p_charge->>1, p_charge->>2, p_charge->>3, p_charge->>4,
            (p_charge->>5)::timestamptz, (p_charge->>6)::timestamptz, 0, 0, 0, 0)
    ON CONFLICT (id) DO NOTHING
$$;

-- The month whose partition a UUIDv7 is in.
CREATE OR REPLACE FUNCTION ledger_month(p_id uuid) RETURNS date LANGUAGE sql IMMUTABLE AS $$
    SELECT date_trunc('month', ledger_uuid7_at(p_id) AT TIME ZONE 'UTC')::date
$$;

-- A decision with the places of its charges that went beyond a limit, where nothing refused for it.
CREATE OR REPLACE FUNCTION ledger_noting(p_decision jsonb, p_over integer[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN cardinality(p_over) = 0 THEN p_decision
                ELSE p_decision || jsonb_build_object('over', p_over) END
$$;

CREATE OR REPLACE FUNCTION ledger_insert(p_tenant uuid, p_id uuid, p_now timestamptz, p_ask ledger_ask, p_readings bigint[])
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_zeros bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_ask.meters)]);
BEGIN
    INSERT INTO usage_usagereservation (
        id, tenant_id, user_key, feature_id, task_id, model_class_id, plan_id, unit, rates, meters, measures,
        periods, amounts, booked, charges, readings, held_totals, held_cost, totals, idempotency_key,
        fingerprint, status, expires_at, attempt, correlation_id, ask, metadata, decision)
    VALUES (
        p_id, p_tenant, p_ask.user_key, p_ask.feature, p_ask.task, p_ask.model_class, p_ask.plan, p_ask.unit,
        p_ask.rates, p_ask.meters, p_ask.measures, p_ask.periods, p_ask.amounts, v_zeros, p_ask.charges,
        p_readings, p_ask.held_totals, p_ask.held_cost, '{0,0,0,0,0,0,0}', p_ask.key,
        decode(p_ask.fingerprint, 'hex'), 'OPEN', p_now + make_interval(secs => p_ask.ttl), 0,
        p_ask.correlation_id, p_ask.ask, p_ask.metadata, p_ask.decision)
    ON CONFLICT (tenant_id, idempotency_key) DO NOTHING;
    RETURN FOUND;
END
$$;

-- The answer to a key that has a reservation: REPLAY, or CONFLICT where the body was another; NULL where it has none.
CREATE OR REPLACE FUNCTION ledger_replay(
    p_tenant uuid, p_key text, p_fingerprint text, p_now timestamptz, p_numbers bigint[]
) RETURNS ledger_answer LANGUAGE plpgsql AS $$
DECLARE
    r usage_usagereservation;
    v_outcome text;
BEGIN
    SELECT * INTO r FROM usage_usagereservation WHERE tenant_id = p_tenant AND idempotency_key = p_key;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_outcome := CASE WHEN encode(r.fingerprint, 'hex') = p_fingerprint THEN 'REPLAY' ELSE 'CONFLICT' END;
    RETURN ROW(v_outcome, r.id, p_tenant, p_now, p_numbers, r.status, r.expires_at,
               jsonb_build_object('decision', r.decision, 'charges', r.charges, 'amounts', r.amounts),
               r.readings)::ledger_answer;
END
$$;

-- GRANTED, REPLAY or CONFLICT; DENIED or DEGRADE with the readings, nothing written; STALE.
-- A race lost after the look raises LR001 and leaves nothing: ask again.
CREATE OR REPLACE FUNCTION ledger_reserve(
    p_tenant uuid, p_numbers bigint[], p_from timestamptz, p_until timestamptz, p_ask jsonb
) RETURNS ledger_answer LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_numbers bigint[] := ledger_numbers(p_tenant);
    v_ask ledger_ask := jsonb_populate_record(NULL::ledger_ask, p_ask);
    v_answer ledger_answer;
    v_readings bigint[];
    v_outcome text;
    v_id uuid;
    v_meter uuid;
    v_amount bigint;
    v_limit bigint;
    v_enforced boolean;
    v_total bigint;
    v_over integer[] := '{}';  -- places of the charges that are beyond a limit that is not enforced
BEGIN
    IF ledger_is_stale(p_numbers, v_numbers, p_from, p_until, v_now) THEN
        RETURN ROW('STALE', NULL, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
    END IF;
    v_answer := ledger_replay(p_tenant, v_ask.key, v_ask.fingerprint, v_now, v_numbers);
    IF v_answer.outcome IS NOT NULL THEN
        RETURN v_answer;
    END IF;

    v_readings := ledger_read(p_tenant, v_ask.meters);
    FOR i IN 1 .. cardinality(v_ask.meters) LOOP
        CONTINUE WHEN v_ask.amounts[i] = 0;
        v_total := v_readings[3 * i - 2] + v_readings[3 * i - 1] + v_ask.amounts[i];
        IF v_total > v_ask.limits[i] THEN
            IF v_ask.enforced[i] THEN
                v_outcome := 'DENIED';
                EXIT;
            END IF;
            v_over := v_over || (i - 1);
        END IF;
        IF v_total > v_ask.degrade_above[i] THEN
            v_outcome := 'DEGRADE';
        END IF;
    END LOOP;
    IF v_outcome IS NOT NULL THEN
        -- A twin may have been granted between the two looks; this statement sees it.
        v_answer := ledger_replay(p_tenant, v_ask.key, v_ask.fingerprint, v_now, v_numbers);
        IF v_answer.outcome IS NOT NULL THEN
            RETURN v_answer;
        END IF;
        RETURN ROW(v_outcome, NULL, p_tenant, v_now, v_numbers, NULL, NULL, NULL, v_readings)::ledger_answer;
    END IF;

    v_id := ledger_uuid7(v_now);
    v_ask.decision := ledger_noting(v_ask.decision, v_over);
    WHILE NOT ledger_insert(p_tenant, v_id, v_now, v_ask, v_readings) LOOP
        v_answer := ledger_replay(p_tenant, v_ask.key, v_ask.fingerprint, v_now, v_numbers);
        IF v_answer.outcome IS NOT NULL THEN
            RETURN v_answer;
        END IF;  -- else it vanished again: insert once more
    END LOOP;

    FOR i IN 1 .. cardinality(v_ask.meters) LOOP
        v_meter := v_ask.meters[i];
        v_amount := v_ask.amounts[i];
        v_limit := v_ask.limits[i];
        v_enforced := v_ask.enforced[i];
        CONTINUE WHEN v_amount = 0;
        FOR miss IN 1 .. 2 LOOP
            UPDATE usage_usagemeter
               SET reserved = reserved + v_amount, limit_amount = CASE WHEN v_enforced THEN v_limit END
             WHERE tenant_id = p_tenant AND id = v_meter
               AND (NOT v_enforced OR v_limit IS NULL OR used + reserved + v_amount <= v_limit);
            EXIT WHEN FOUND;
            IF miss = 1 THEN
                PERFORM ledger_add_meter(p_tenant, v_meter, v_ask.charges->(i - 1));
            ELSE
                v_readings := ledger_read(p_tenant, v_ask.meters);
                FOR own IN 1 .. i - 1 LOOP  -- as others see them, without what this call took just now
                    v_readings[3 * own - 1] := v_readings[3 * own - 1] - v_ask.amounts[own];
                END LOOP;
                RAISE EXCEPTION 'lost the race for meter %', v_meter
                    USING ERRCODE = 'LR001', DETAIL = v_readings::text;
            END IF;
        END LOOP;
    END LOOP;
    RETURN ROW('GRANTED', v_id, p_tenant, v_now, v_numbers, 'OPEN', v_now + make_interval(secs => v_ask.ttl),
               NULL, v_readings)::ledger_answer;
END
$$;

-- A batch of one tenant, decided in item order against running sums: one answer an item, or one STALE for all.
CREATE OR REPLACE FUNCTION ledger_reserve_batch(
    p_tenant uuid, p_numbers bigint[], p_from timestamptz, p_until timestamptz, p_asks jsonb
) RETURNS SETOF ledger_answer LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_numbers bigint[] := ledger_numbers(p_tenant);
    v_asks ledger_ask[];
    v_answers ledger_answer[];
    v_meters uuid[];
    v_running bigint[];
    v_sums bigint[];
    v_rooms bigint[];
    v_limits bigint[];
    v_charges jsonb[];
    v_keys text[] := '{}';
    v_ask ledger_ask;
    v_answer ledger_answer;
    v_readings bigint[];
    v_places integer[];
    v_place integer;
    v_outcome text;
    v_total bigint;
    v_meter uuid;
    v_sum bigint;
    v_room bigint;
    v_limit bigint;
    v_item integer;
    v_over integer[];
BEGIN
    IF ledger_is_stale(p_numbers, v_numbers, p_from, p_until, v_now) THEN
        RETURN NEXT ROW('STALE', NULL, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
        RETURN;
    END IF;
    SELECT array_agg(jsonb_populate_record(NULL::ledger_ask, item) ORDER BY place) INTO v_asks
        FROM jsonb_array_elements(p_asks) WITH ORDINALITY AS e(item, place);
    SELECT COALESCE(array_agg(id ORDER BY id), '{}') INTO v_meters
        FROM (SELECT DISTINCT m.id FROM unnest(v_asks) a, unnest(a.meters) AS m(id)) d;
    v_running := ledger_read(p_tenant, v_meters);
    v_sums := array_fill(0::bigint, ARRAY[cardinality(v_meters)]);
    v_rooms := array_fill(NULL::bigint, ARRAY[cardinality(v_meters)]);
    v_limits := v_rooms;
    v_charges := array_fill(NULL::jsonb, ARRAY[cardinality(v_meters)]);
    v_answers := array_fill(NULL::ledger_answer, ARRAY[cardinality(v_asks)]);

    FOR n IN 1 .. cardinality(v_asks) LOOP
        v_ask := v_asks[n];
        v_answer := ledger_replay(p_tenant, v_ask.key, v_ask.fingerprint, v_now, v_numbers);
        IF v_answer.outcome IS NULL AND v_ask.key = ANY(v_keys) THEN
            v_answer := ROW('TWIN', NULL, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
        END IF;
        IF v_answer.outcome IS NULL THEN
            v_outcome := 'GRANTED';
            v_readings := '{}';
            v_places := '{}';
            v_over := '{}';
            FOR i IN 1 .. cardinality(v_ask.meters) LOOP
                v_place := array_position(v_meters, v_ask.meters[i]);
                v_places := v_places || v_place;
                v_readings := v_readings || v_running[3 * v_place - 2 : 3 * v_place];
                CONTINUE WHEN v_ask.amounts[i] = 0 OR v_outcome = 'DENIED';
                v_total := v_running[3 * v_place - 2] + v_running[3 * v_place - 1] + v_ask.amounts[i];
                IF v_total > v_ask.limits[i] THEN
                    IF v_ask.enforced[i] THEN
                        v_outcome := 'DENIED';
                        CONTINUE;
                    END IF;
                    v_over := v_over || (i - 1);
                END IF;
                IF v_total > v_ask.degrade_above[i] THEN
                    v_outcome := 'DEGRADE';
                END IF;
            END LOOP;
            v_answer := ROW(v_outcome, NULL, p_tenant, v_now, v_numbers, NULL, NULL, NULL, v_readings)::ledger_answer;
            IF v_outcome = 'GRANTED' THEN
                v_answer.id := ledger_uuid7(v_now);
                v_answer.status := 'OPEN';
                v_answer.expires_at := v_now + make_interval(secs => v_ask.ttl);
                v_keys := v_keys || v_ask.key;
                v_asks[n].decision := ledger_noting(v_ask.decision, v_over);
                FOR i IN 1 .. cardinality(v_ask.meters) LOOP
                    CONTINUE WHEN v_ask.amounts[i] = 0;
                    v_place := v_places[i];
                    v_running[3 * v_place - 1] := v_running[3 * v_place - 1] + v_ask.amounts[i];
                    v_sums[v_place] := v_sums[v_place] + v_ask.amounts[i];
                    v_limits[v_place] := CASE WHEN v_ask.enforced[i] THEN v_ask.limits[i] END;
                    -- What others may have taken by then, for this item's own limit to hold as well.
                    v_rooms[v_place] := LEAST(v_rooms[v_place], v_limits[v_place] - v_sums[v_place]);
                    v_charges[v_place] := v_ask.charges->(i - 1);
                END LOOP;
            END IF;
        END IF;
        v_answers[n] := v_answer;
    END LOOP;

    FOR v_item IN SELECT n FROM generate_series(1, cardinality(v_asks)) AS g(n)
                   WHERE (v_answers[n]).outcome = 'GRANTED' ORDER BY (v_asks[n]).key LOOP
        v_ask := v_asks[v_item];
        v_answer := v_answers[v_item];
        IF NOT ledger_insert(p_tenant, v_answer.id, v_now, v_ask, v_answer.readings) THEN
            RAISE EXCEPTION 'lost the race for key %', v_ask.key USING ERRCODE = 'LR001', DETAIL = v_running::text;
        END IF;
    END LOOP;
    FOR i IN 1 .. cardinality(v_meters) LOOP
        v_meter := v_meters[i];
        v_sum := v_sums[i];
        v_room := v_rooms[i];
        v_limit := v_limits[i];
        CONTINUE WHEN v_sum = 0;
        FOR miss IN 1 .. 2 LOOP
            UPDATE usage_usagemeter SET reserved = reserved + v_sum, limit_amount = v_limit
             WHERE tenant_id = p_tenant AND id = v_meter AND (v_room IS NULL OR used + reserved <= v_room);
            EXIT WHEN FOUND;
            IF miss = 1 THEN
                PERFORM ledger_add_meter(p_tenant, v_meter, v_charges[i]);
            ELSE
                RAISE EXCEPTION 'lost the race for meter %', v_meter
                    USING ERRCODE = 'LR001', DETAIL = v_running::text;
            END IF;
        END LOOP;
    END LOOP;

    FOR n IN 1 .. cardinality(v_asks) LOOP
        v_answer := v_answers[n];
        IF v_answer.outcome = 'TWIN' THEN
            v_ask := v_asks[n];
            v_answer := ledger_replay(p_tenant, v_ask.key, v_ask.fingerprint, v_now, v_numbers);
        END IF;
        RETURN NEXT v_answer;
    END LOOP;
END
$$;

-- Confirms a refusal or a pass-through decided without meters: CONFIRMED, or REPLAY, CONFLICT, STALE.
-- With meters (and no key) it is the look of a check: their readings, nothing promised.
CREATE OR REPLACE FUNCTION ledger_confirm(
    p_tenant uuid, p_numbers bigint[], p_from timestamptz, p_until timestamptz,
    p_key text, p_fingerprint text, p_meters uuid[]
) RETURNS ledger_answer LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_numbers bigint[] := ledger_numbers(p_tenant);
    v_answer ledger_answer;
BEGIN
    IF ledger_is_stale(p_numbers, v_numbers, p_from, p_until, v_now) THEN
        RETURN ROW('STALE', NULL, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
    END IF;
    IF p_key IS NOT NULL THEN
        v_answer := ledger_replay(p_tenant, p_key, p_fingerprint, v_now, v_numbers);
        IF v_answer.outcome IS NOT NULL THEN
            RETURN v_answer;
        END IF;
    END IF;
    RETURN ROW('CONFIRMED', NULL, p_tenant, v_now, v_numbers, NULL, NULL, NULL,
               ledger_read(p_tenant, p_meters))::ledger_answer;
END
$$;

-- The one rule of booking: g = T - booked per meter; what of the hold that ends; what no hold covered.
-- p_totals may have NULLs (not said); p_cost is of what they say, NULL where the flat rates of the hold count.
CREATE OR REPLACE FUNCTION ledger_weigh(
    r usage_usagereservation, p_kind text, p_totals bigint[], p_cost bigint, p_unpriced boolean, p_certainty text
) RETURNS ledger_weight LANGUAGE plpgsql AS $$
DECLARE
    w ledger_weight;
    v_total bigint;
    v_hold bigint;
    v_left bigint;
    v_booked bigint;
    v_counted boolean := p_kind IN ('COMPLETED', 'FAILED', 'REPORT');
    v_unknown boolean := false;
    v_tokens bigint;
    v_searches bigint := COALESCE(p_totals[8], 0);
    v_cost numeric;
BEGIN
    w.certainty := p_certainty;
    w.totals := r.totals;
    IF v_counted THEN
        FOR i IN 1 .. 7 LOOP
            IF p_totals[i] IS NOT NULL THEN
                w.totals[i] := p_totals[i];
            ELSIF p_kind = 'COMPLETED' THEN
                w.totals[i] := GREATEST(r.totals[i], r.held_totals[i]);
                v_unknown := v_unknown OR (i IN (1, 4) AND r.model_class_id IS NOT NULL);
            END IF;
            IF p_kind = 'REPORT' THEN  -- totals so far do not fall
                w.totals[i] := GREATEST(w.totals[i], r.totals[i]);
            END IF;
        END LOOP;
        -- A part that was not said again, or is of an earlier report, stays within its whole.
        IF p_totals[2] IS NULL OR p_kind = 'REPORT' THEN
            w.totals[2] := LEAST(w.totals[2], w.totals[1] - COALESCE(p_totals[3], 0));
        END IF;
        IF p_totals[3] IS NULL OR p_kind = 'REPORT' THEN
            w.totals[3] := LEAST(w.totals[3], w.totals[1] - w.totals[2]);
        END IF;
        IF p_totals[5] IS NULL OR p_kind = 'REPORT' THEN
            w.totals[5] := LEAST(w.totals[5], w.totals[4]);
        END IF;
        IF v_unknown THEN
            w.certainty := 'UNKNOWN';
        END IF;
    END IF;
    v_tokens := w.totals[1] + w.totals[4];
    w.units := CASE r.unit
        WHEN 'TOKENS' THEN v_tokens
        WHEN 'API_CALLS' THEN w.totals[6]
        WHEN 'ITEMS' THEN w.totals[7]
        ELSE CASE WHEN p_kind = 'COMPLETED' THEN 1 ELSE 0 END
    END;
    IF NOT v_counted THEN
        v_cost := r.cost;
    ELSIF r.model_class_id IS NULL AND r.rates IS NOT NULL THEN
        v_cost := w.units::numeric * COALESCE(r.rates[5], 0);  -- an API task is priced by the task alone
    ELSIF p_cost IS NOT NULL AND w.totals[1] = COALESCE(p_totals[1], 0) AND w.totals[4] = COALESCE(p_totals[4], 0) THEN
        v_cost := p_cost;
    ELSIF p_kind <> 'COMPLETED' AND w.totals[1:4] = r.totals[1:4] THEN
        v_cost := CASE WHEN v_tokens = 0 THEN COALESCE(r.cost, 0) ELSE r.cost END;  -- no news of tokens
    ELSIF p_unpriced OR (v_unknown AND p_totals[1] IS NULL AND p_totals[4] IS NULL) THEN
        v_cost := GREATEST(r.held_cost, r.cost);
        IF NOT v_unknown THEN
            w.certainty := 'ESTIMATED';
        END IF;
    ELSE
        v_cost := GREATEST(p_cost, ceil(
            ((w.totals[1] - w.totals[2] - w.totals[3])::numeric * r.rates[1] + w.totals[2]::numeric * r.rates[2]
             + w.totals[3]::numeric * r.rates[3] + w.totals[4]::numeric * r.rates[4]
             + w.totals[6]::numeric * COALESCE(r.rates[6], 0) + v_searches::numeric * COALESCE(r.rates[7], 0)
            ) / 1000000));
        IF v_searches > 0 AND r.rates[7] IS NULL THEN  -- nobody knows what these cost
            w.certainty := 'ESTIMATED';
        END IF;
    END IF;
    IF p_kind = 'REPORT' THEN
        v_cost := GREATEST(v_cost, r.cost);
    END IF;
    w.cost := CASE WHEN v_cost IS NOT NULL THEN LEAST(v_cost, 1000000000000000) END;  -- LEAST passes over NULL
    IF v_counted AND w.cost IS NULL AND w.certainty = 'FINAL' THEN
        w.certainty := 'ESTIMATED';  -- nobody knows what it cost: not the last word
    END IF;

    FOR i IN 1 .. cardinality(r.meters) LOOP
        v_booked := r.booked[i];
        v_total := CASE r.measures[i]
            WHEN 'SLOTS' THEN 0
            WHEN 'REQUESTS' THEN 1
            WHEN 'UNITS' THEN CASE WHEN v_counted THEN w.units ELSE v_booked END
            WHEN 'TOKENS' THEN CASE WHEN v_counted THEN v_tokens ELSE v_booked END
            ELSE CASE WHEN v_counted THEN COALESCE(w.cost, 0) ELSE v_booked END
        END;
        w.g[i] := v_total - v_booked;
        IF p_kind = 'REPORT' THEN
            w.g[i] := GREATEST(w.g[i], 0);
        END IF;
        v_hold := CASE WHEN r.status = 'OPEN' THEN GREATEST(0, r.amounts[i] - v_booked) ELSE 0 END;
        v_left := CASE WHEN r.status = 'OPEN' AND p_kind = 'REPORT'
                       THEN GREATEST(0, r.amounts[i] - v_booked - w.g[i]) ELSE 0 END;
        w.freed[i] := v_hold - v_left;
        w.over[i] := GREATEST(0, w.g[i] - v_hold);
    END LOOP;
    FOR i IN 1 .. 7 LOOP
        w.row_totals[i] := w.totals[i] - r.totals[i];
    END LOOP;
    w.row_cost := w.cost - COALESCE(r.cost, 0);
    w.row_units := CASE r.unit
        WHEN 'TOKENS' THEN w.row_totals[1] + w.row_totals[4]
        WHEN 'API_CALLS' THEN w.row_totals[6]
        WHEN 'ITEMS' THEN w.row_totals[7]
        ELSE w.units
    END;
    RETURN w;
END
$$;

-- Applies booked, freed and overrun amounts to meters given in id order. A minute that ended over an hour ago
-- may be pruned: it is not made again.
CREATE OR REPLACE FUNCTION ledger_apply(
    p_tenant uuid, p_now timestamptz, p_meters uuid[], p_charges jsonb, p_g bigint[], p_freed bigint[],
    p_over bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_meter uuid;
    v_g bigint;
    v_freed bigint;
    v_over bigint;
    v_charge jsonb;
BEGIN
    FOR i IN 1 .. cardinality(p_meters) LOOP
        v_meter := p_meters[i];
        v_g := p_g[i];
        v_freed := p_freed[i];
        v_over := p_over[i];
        v_charge := p_charges->(i - 1);
        IF v_g = 0 AND v_freed = 0 AND v_over = 0 THEN  -- many may add up to 0 and leave their overrun
            IF v_charge->>4 <> 'MINUTE' THEN  -- what is logged at 0 may be corrected: there is a row to do it on
                PERFORM ledger_add_meter(p_tenant, v_meter, v_charge);
            END IF;
            CONTINUE;
        END IF;
        FOR miss IN 1 .. 2 LOOP
            UPDATE usage_usagemeter
               SET used = used + v_g, reserved = reserved - v_freed, overrun = overrun + v_over,
                   verified_at = NULL
             WHERE tenant_id = p_tenant AND id = v_meter;
            EXIT WHEN FOUND OR miss = 2;
            EXIT WHEN v_charge->>4 = 'MINUTE' AND (v_charge->>6)::timestamptz < p_now - interval '1 hour';
            PERFORM ledger_add_meter(p_tenant, v_meter, v_charge);
        END LOOP;
    END LOOP;
END
$$;

-- Writes the log row of a weight. p_kind is its status; minutes stay out of its charges.
CREATE OR REPLACE FUNCTION ledger_log(
    p_tenant uuid, r usage_usagereservation, p_now timestamptz, p_kind text, w ledger_weight, p_facts jsonb,
    p_occurred timestamptz
) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    v_id uuid := ledger_uuid7(p_now);
    v_meters uuid[] := '{}';
    v_measures text[] := '{}';
    v_charges bigint[] := '{}';
    v_overruns bigint[] := '{}';
    v_helds bigint[] := '{}';
    v_ends boolean := p_kind NOT IN ('REPORT', 'CORRECTION');
BEGIN
    FOR i IN 1 .. cardinality(r.meters) LOOP
        CONTINUE WHEN r.periods[i] = 'MINUTE';
        v_meters := v_meters || r.meters[i];
        v_measures := v_measures || r.measures[i];
        v_charges := v_charges || w.g[i];
        v_overruns := v_overruns || w.over[i];
        v_helds := v_helds || r.amounts[i];
    END LOOP;
    INSERT INTO usage_usagelog (
        id, tenant_id, reservation_id, status, attempt, user_key, feature_id, task_id, unit, model_class_id,
        model, api_code, plan_id, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
        reasoning_tokens, api_calls, items, units, cost, price, latency_ms, certainty, late, error, refers_to,
        occurred_at, recorded_at, correlation_id, meters, measures, charges, overruns, helds, ask, decision,
        metadata)
    VALUES (
        v_id, p_tenant, r.id, p_kind, r.attempt, r.user_key, r.feature_id, r.task_id, r.unit,
        COALESCE(p_facts->>'model_class', r.model_class_id), p_facts->>'model', p_facts->>'api_code', r.plan_id,
        w.row_totals[1], w.row_totals[2], w.row_totals[3], w.row_totals[4], w.row_totals[5], w.row_totals[6],
        w.row_totals[7], w.row_units, w.row_cost,
        COALESCE(p_facts->'price', to_jsonb(r.rates)), (p_facts->>'latency_ms')::bigint, w.certainty,
        r.status = 'EXPIRED', p_facts->>'error', (p_facts->>'refers_to')::uuid, p_occurred, p_now,
        COALESCE(p_facts->>'correlation_id', r.correlation_id), v_meters, v_measures, v_charges, v_overruns,
        v_helds, CASE WHEN v_ends THEN r.ask END,
        CASE WHEN v_ends THEN r.decision || jsonb_build_object('readings', r.readings) END,
        COALESCE(p_facts->'metadata', r.metadata));
    RETURN v_id;
END
$$;

-- Writes an ending or report down: the log row, and the reservation's new state with its first answer.
CREATE OR REPLACE FUNCTION ledger_write(
    p_tenant uuid, r usage_usagereservation, p_now timestamptz, p_kind text, w ledger_weight, p_facts jsonb,
    p_fingerprint text
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_log uuid := ledger_log(p_tenant, r, p_now, p_kind, w, p_facts, ledger_uuid7_at(r.id));
    v_status text := CASE p_kind
        WHEN 'COMPLETED' THEN 'COMMITTED' WHEN 'FAILED' THEN 'COMMITTED' WHEN 'REPORT' THEN 'OPEN' ELSE p_kind END;
    v_booked bigint[] := r.booked;
    v_left bigint[] := r.booked;
    v_result jsonb;
BEGIN
    FOR i IN 1 .. cardinality(r.meters) LOOP
        v_booked[i] := r.booked[i] + w.g[i];
        v_left[i] := GREATEST(0, r.amounts[i] - v_booked[i]);
    END LOOP;
    v_result := jsonb_build_object(
        'status', v_status, 'late', r.status = 'EXPIRED', 'cost', w.cost, 'log_id', v_log, 'charges', r.charges,
        'user', r.user_key, 'feature', r.feature_id, 'task', r.task_id, 'model_class', r.model_class_id,
        'amounts', w.g, 'overruns', w.over, 'left', v_left, 'readings', ledger_read(p_tenant, r.meters),
        'limits', r.decision->'limits', 'at', p_now);
    UPDATE usage_usagereservation
       SET status = v_status, booked = v_booked, totals = w.totals, cost = w.cost,
           attempt = LEAST(attempt + 1, 32767),
           ended_at = CASE WHEN v_status <> 'OPEN' THEN p_now END,
           end_fingerprint = CASE WHEN v_status <> 'OPEN' THEN decode(p_fingerprint, 'hex') END,
           result = CASE WHEN v_status <> 'OPEN' THEN v_result END
     WHERE tenant_id = p_tenant AND id = r.id;
    RETURN v_result;
END
$$;

-- What asking for `p_kind` means for a reservation as it stands:
-- BOOK, or REPLAY, CONFLICT (same ending, other body), ENDED (another ending), EXPIRED (a late release), GONE.
CREATE OR REPLACE FUNCTION ledger_verdict(r usage_usagereservation, p_kind text, p_fingerprint text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN r.status = 'OPEN' THEN 'BOOK'
        WHEN p_kind = 'REPORT' THEN 'GONE'
        WHEN r.status = 'EXPIRED' THEN CASE WHEN p_kind = 'RELEASED' THEN 'EXPIRED' ELSE 'BOOK' END
        WHEN (r.status = 'RELEASED') <> (p_kind = 'RELEASED') THEN 'ENDED'
        WHEN encode(r.end_fingerprint, 'hex') = p_fingerprint THEN 'REPLAY'
        ELSE 'CONFLICT'
    END
$$;

-- Commit (COMPLETED, FAILED), RELEASED or REPORT of one reservation: BOOKED, or a verdict as above, MISSING, STALE.
-- p_tenant NULL: the id alone names it. p_end: kind, totals, cost, unpriced, certainty, fingerprint, facts.
CREATE OR REPLACE FUNCTION ledger_end(
    p_tenant uuid, p_numbers bigint[], p_from timestamptz, p_until timestamptz, p_id uuid, p_user text, p_end jsonb
) RETURNS ledger_answer LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_numbers bigint[] := ledger_numbers(p_tenant);
    v_kind text := p_end->>'kind';
    v_fingerprint text := p_end->>'fingerprint';
    v_totals bigint[] := ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(p_end->'totals') AS t(x));
    v_verdict text;
    r usage_usagereservation;
    w ledger_weight;
    v_body jsonb;
BEGIN
    IF ledger_is_stale(p_numbers, v_numbers, p_from, p_until, v_now) THEN
        RETURN ROW('STALE', p_id, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
    END IF;
    SELECT * INTO r FROM usage_usagereservation
     WHERE id = p_id AND (p_tenant IS NULL OR tenant_id = p_tenant) AND (p_user IS NULL OR user_key = p_user)
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN ROW('MISSING', p_id, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
    END IF;
    v_now := clock_timestamp();  -- its rows are later than those it waited for
    IF p_tenant IS NULL THEN
        v_numbers := ledger_numbers(r.tenant_id);
    END IF;
    v_verdict := ledger_verdict(r, v_kind, v_fingerprint);
    IF v_verdict <> 'BOOK' THEN
        RETURN ROW(v_verdict, p_id, r.tenant_id, v_now, v_numbers, r.status, r.expires_at, r.result, NULL)
            ::ledger_answer;
    END IF;
    w := ledger_weigh(r, v_kind, v_totals, (p_end->>'cost')::bigint, (p_end->>'unpriced')::boolean,
                      p_end->>'certainty');
    PERFORM ledger_apply(r.tenant_id, v_now, r.meters, r.charges, w.g, w.freed, w.over);
    v_body := ledger_write(r.tenant_id, r, v_now, v_kind, w, p_end->'facts', v_fingerprint);
    RETURN ROW('BOOKED', p_id, r.tenant_id, v_now, v_numbers, v_body->>'status', r.expires_at, v_body, NULL)
        ::ledger_answer;
END
$$;

-- Applies many weights to their meters: summed to one update a meter, in id order.
CREATE OR REPLACE FUNCTION ledger_fold(
    p_tenant uuid, p_now timestamptz, p_rows usage_usagereservation[], p_weights ledger_weight[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_meters uuid[];
    v_charges jsonb;
    v_g bigint[];
    v_freed bigint[];
    v_over bigint[];
BEGIN
    SELECT array_agg(id ORDER BY id), jsonb_agg(charge ORDER BY id), array_agg(g ORDER BY id),
           array_agg(freed ORDER BY id), array_agg(over ORDER BY id)
      INTO v_meters, v_charges, v_g, v_freed, v_over
      FROM (SELECT m.id, (array_agg(r.charges->(m.place::int - 1)))[1] AS charge, sum(w.g[m.place])::bigint AS g,
                   sum(w.freed[m.place])::bigint AS freed, sum(w.over[m.place])::bigint AS over
              FROM generate_subscripts(p_rows, 1) AS n,
                   LATERAL (SELECT (p_rows[n]).meters, (p_rows[n]).charges) AS r,
                   LATERAL (SELECT (p_weights[n]).g, (p_weights[n]).freed, (p_weights[n]).over) AS w,
                   LATERAL unnest(r.meters) WITH ORDINALITY AS m(id, place)
             GROUP BY m.id) folded;
    IF v_meters IS NOT NULL THEN
        PERFORM ledger_apply(p_tenant, p_now, v_meters, v_charges, v_g, v_freed, v_over);
    END IF;
END
$$;

-- Many commits of one tenant in one transaction: one answer an item in order, or one STALE for all.
-- An item has the reservation's id beside what ledger_end takes as p_end.
CREATE OR REPLACE FUNCTION ledger_end_batch(
    p_tenant uuid, p_numbers bigint[], p_from timestamptz, p_until timestamptz, p_user text, p_items jsonb
) RETURNS SETOF ledger_answer LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_numbers bigint[] := ledger_numbers(p_tenant);
    v_item jsonb;
    v_id uuid;
    v_ids uuid[];
    v_rows usage_usagereservation[] := '{}';
    v_weights ledger_weight[] := '{}';
    v_ends jsonb[] := '{}';
    v_booked uuid[] := '{}';
    v_verdict text;
    r usage_usagereservation;
BEGIN
    IF ledger_is_stale(p_numbers, v_numbers, p_from, p_until, v_now) THEN
        RETURN NEXT ROW('STALE', NULL, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
        RETURN;
    END IF;
    SELECT array_agg((item->>'id')::uuid) INTO v_ids FROM jsonb_array_elements(p_items) AS e(item);
    PERFORM 1 FROM usage_usagereservation WHERE tenant_id = p_tenant AND id = ANY(v_ids) ORDER BY id FOR UPDATE;
    v_now := clock_timestamp();

    -- The first mention of each reservation that can be booked now; every other item is answered afterwards.
    FOR v_item IN SELECT DISTINCT ON (item->>'id') item
                    FROM jsonb_array_elements(p_items) WITH ORDINALITY AS e(item, place)
                   ORDER BY item->>'id', place LOOP
        v_id := v_item->>'id';
        SELECT * INTO r FROM usage_usagereservation
         WHERE tenant_id = p_tenant AND id = v_id AND (p_user IS NULL OR user_key = p_user);
        IF FOUND AND ledger_verdict(r, v_item->>'kind', v_item->>'fingerprint') = 'BOOK' THEN
            v_rows := v_rows || r;
            v_ends := v_ends || v_item;
            v_booked := v_booked || v_id;
            v_weights := v_weights || ledger_weigh(
                r, v_item->>'kind', ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(v_item->'totals') AS t(x)),
                (v_item->>'cost')::bigint, (v_item->>'unpriced')::boolean, v_item->>'certainty');
        END IF;
    END LOOP;
    PERFORM ledger_fold(p_tenant, v_now, v_rows, v_weights);
    FOR i IN 1 .. cardinality(v_rows) LOOP
        v_item := v_ends[i];
        PERFORM ledger_write(p_tenant, v_rows[i], v_now, v_item->>'kind', v_weights[i], v_item->'facts',
                             v_item->>'fingerprint');
    END LOOP;

    FOR v_item IN SELECT item FROM jsonb_array_elements(p_items) WITH ORDINALITY AS e(item, place) ORDER BY place LOOP
        v_id := v_item->>'id';
        SELECT * INTO r FROM usage_usagereservation
         WHERE tenant_id = p_tenant AND id = v_id AND (p_user IS NULL OR user_key = p_user);
        IF NOT FOUND THEN
            RETURN NEXT ROW('MISSING', v_id, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
        ELSE
            v_verdict := ledger_verdict(r, v_item->>'kind', v_item->>'fingerprint');
            IF v_id = ANY(v_booked) THEN  -- its first mention; the next one is a replay or a conflict
                v_verdict := 'BOOKED';
                v_booked := array_remove(v_booked, v_id);
            END IF;
            RETURN NEXT ROW(v_verdict, v_id, p_tenant, v_now, v_numbers, r.status, r.expires_at, r.result, NULL)
                ::ledger_answer;
        END IF;
    END LOOP;
END
$$;

-- Moves the deadline: EXTENDED, GONE (it ended), MISSING or STALE. It lives at most 7 days in all.
CREATE OR REPLACE FUNCTION ledger_extend(
    p_tenant uuid, p_numbers bigint[], p_from timestamptz, p_until timestamptz, p_id uuid, p_user text, p_ttl integer
) RETURNS ledger_answer LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_numbers bigint[] := ledger_numbers(p_tenant);
    r usage_usagereservation;
BEGIN
    IF ledger_is_stale(p_numbers, v_numbers, p_from, p_until, v_now) THEN
        RETURN ROW('STALE', p_id, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
    END IF;
    SELECT * INTO r FROM usage_usagereservation
     WHERE id = p_id AND (p_tenant IS NULL OR tenant_id = p_tenant) AND (p_user IS NULL OR user_key = p_user)
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN ROW('MISSING', p_id, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
    ELSIF r.status <> 'OPEN' THEN
        RETURN ROW('GONE', p_id, r.tenant_id, v_now, v_numbers, r.status, r.expires_at, NULL, NULL)::ledger_answer;
    END IF;
    UPDATE usage_usagereservation
       SET expires_at = GREATEST(expires_at, LEAST(v_now + make_interval(secs => p_ttl),
                                                   ledger_uuid7_at(r.id) + interval '7 days'))
     WHERE tenant_id = r.tenant_id AND id = p_id RETURNING expires_at INTO r.expires_at;
    RETURN ROW('EXTENDED', p_id, r.tenant_id, v_now, v_numbers, 'OPEN', r.expires_at, NULL, NULL)::ledger_answer;
END
$$;

-- Expires up to p_most due reservations of one tenant, skipping those somebody works on; how many it did.
CREATE OR REPLACE FUNCTION ledger_expire(p_tenant uuid, p_most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_rows usage_usagereservation[] := '{}';
    v_weights ledger_weight[] := '{}';
    r usage_usagereservation;
BEGIN
    FOR r IN SELECT * FROM usage_usagereservation
              WHERE tenant_id = p_tenant AND status = 'OPEN' AND id IN (
                  SELECT id FROM usage_usagereservation
                   WHERE tenant_id = p_tenant AND status = 'OPEN' AND expires_at <= v_now
                   ORDER BY expires_at LIMIT p_most)
                AND expires_at <= v_now
              ORDER BY id FOR UPDATE SKIP LOCKED LOOP
        v_rows := v_rows || r;
        v_weights := v_weights || ledger_weigh(r, 'EXPIRED', NULL, NULL, false, 'FINAL');
    END LOOP;
    PERFORM ledger_fold(p_tenant, v_now, v_rows, v_weights);
    FOR i IN 1 .. cardinality(v_rows) LOOP
        PERFORM ledger_write(p_tenant, v_rows[i], v_now, 'EXPIRED', v_weights[i], '{}', NULL);
    END LOOP;
    RETURN cardinality(v_rows);
END
$$;

-- Books usage events of one tenant in one transaction, one answer an item in order: BOOKED, DUPLICATE or CONFLICT
-- (the same source and id, or the same reservation, with another body), MISSING (no reservation, and no fact) or
-- ARCHIVED (so may be the row of the reservation it names), or one STALE for all.
-- An item: source, event_id, fingerprint, what ledger_end takes as p_end, reservation (id or null), occurred_at,
-- and for a fact `row`: the fields of a reservation that holds nothing. The body of what was booked says on which
-- meters, as that of an ending does.
CREATE OR REPLACE FUNCTION ledger_record(
    p_tenant uuid, p_numbers bigint[], p_from timestamptz, p_until timestamptz, p_user text, p_items jsonb
) RETURNS SETOF ledger_answer LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_numbers bigint[] := ledger_numbers(p_tenant);
    v_item jsonb;
    v_end jsonb;
    v_id uuid;
    v_log uuid;
    v_event usage_usageevent;
    v_rows usage_usagereservation[] := '{}';
    v_weights ledger_weight[] := '{}';
    v_items jsonb[] := '{}';
    v_prints jsonb := '{}';    -- reservation -> end_fingerprint it is booked with here; null where it was gone
    v_logs jsonb := '{}';      -- reservation -> its log row
    v_refused jsonb := '{}';   -- [source, event_id] -> why its event is not kept
    v_outcomes jsonb := '{}';  -- place -> outcome
    v_bodies jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(p_items)]);  -- by place: what was booked
    v_body jsonb;
    v_print text;
    v_place bigint;
    v_outcome text;
    r usage_usagereservation;
    w ledger_weight;
BEGIN
    IF ledger_is_stale(p_numbers, v_numbers, p_from, p_until, v_now) THEN
        RETURN NEXT ROW('STALE', NULL, p_tenant, v_now, v_numbers, NULL, NULL, NULL, NULL)::ledger_answer;
        RETURN;
    END IF;
    -- Events first, in key order; then the reservations they name, in id order; then meters, in id order.
    FOR v_item, v_place IN SELECT item, place FROM jsonb_array_elements(p_items) WITH ORDINALITY AS e(item, place)
                            ORDER BY item->>'source', item->>'event_id', place LOOP
        INSERT INTO usage_usageevent (id, tenant_id, source, event_id, fingerprint, recorded_at)
        VALUES (ledger_uuid7(v_now), p_tenant, v_item->>'source', v_item->>'event_id',
                decode(v_item->>'fingerprint', 'hex'), v_now)
        ON CONFLICT (tenant_id, source, event_id) DO NOTHING;
        IF NOT FOUND THEN
            v_outcomes := v_outcomes || jsonb_build_object(v_place::text, 'SEEN');
        END IF;
    END LOOP;
    PERFORM 1 FROM usage_usagereservation
      WHERE tenant_id = p_tenant
        AND id IN (SELECT (item->>'reservation')::uuid FROM jsonb_array_elements(p_items) AS e(item))
      ORDER BY id FOR UPDATE;
    v_now := clock_timestamp();

    FOR v_item, v_place IN SELECT item, place FROM jsonb_array_elements(p_items) WITH ORDINALITY AS e(item, place)
                            ORDER BY place LOOP
        CONTINUE WHEN v_outcomes ? v_place::text;
        v_id := v_item->>'reservation';
        v_print := v_item->>'end_fingerprint';
        v_outcome := 'FACT';
        IF v_prints ? v_id::text THEN
            v_outcome := CASE WHEN COALESCE(v_prints->>v_id::text, v_print) = v_print THEN 'TWIN' ELSE 'CONFLICT' END;
        ELSIF v_id IS NOT NULL THEN
            SELECT * INTO r FROM usage_usagereservation WHERE tenant_id = p_tenant AND id = v_id;
            IF FOUND THEN
                v_outcome := CASE
                    WHEN r.user_key IS DISTINCT FROM COALESCE(p_user, r.user_key) THEN 'MISSING'  -- another's
                    WHEN r.status IN ('OPEN', 'EXPIRED') THEN 'COMMIT'
                    WHEN r.status = 'RELEASED' THEN 'FACT'
                    WHEN encode(r.end_fingerprint, 'hex') = v_print THEN 'DUPLICATE'
                    ELSE 'CONFLICT' END;
                v_log := (r.result->>'log_id')::uuid;
            ELSE
                SELECT id INTO v_log FROM usage_usagelog
                 WHERE tenant_id = p_tenant AND reservation_id = v_id AND status IN ('COMPLETED', 'FAILED') LIMIT 1;
                v_outcome := CASE
                    WHEN FOUND THEN 'DUPLICATE'
                    -- Whether it was booked is told by files alone.
                    WHEN EXISTS (SELECT 1 FROM usage_logarchive WHERE month = ledger_month(v_id)) THEN 'ARCHIVED'
                    ELSE 'GONE' END;
            END IF;
        END IF;
        IF v_outcome IN ('FACT', 'GONE') THEN
            IF v_item->'row' = 'null'::jsonb THEN
                v_outcome := 'MISSING';
            ELSE
                r := jsonb_populate_record(NULL::usage_usagereservation, v_item->'row');
                r.tenant_id := p_tenant;
                r.id := v_id;
                r.status := 'RELEASED';
            END IF;
        END IF;
        IF v_outcome IN ('FACT', 'GONE', 'COMMIT') THEN
            v_rows := v_rows || r;
            v_items := v_items || (v_item || jsonb_build_object('place', v_place, 'as', v_outcome));
            v_weights := v_weights || ledger_weigh(
                r, v_item->>'kind', ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(v_item->'totals') AS t(x)),
                (v_item->>'cost')::bigint, (v_item->>'unpriced')::boolean, v_item->>'certainty');
            IF v_outcome <> 'FACT' THEN
                v_prints := v_prints || jsonb_build_object(v_id::text, CASE v_outcome WHEN 'COMMIT' THEN v_print END);
            END IF;
        ELSIF v_outcome = 'DUPLICATE' THEN
            UPDATE usage_usageevent SET log_id = v_log WHERE tenant_id = p_tenant
               AND source = v_item->>'source' AND event_id = v_item->>'event_id';
        ELSIF v_outcome <> 'TWIN' THEN
            v_refused := v_refused || jsonb_build_object(
                jsonb_build_array(v_item->'source', v_item->'event_id')::text, v_outcome);
            DELETE FROM usage_usageevent WHERE tenant_id = p_tenant
               AND source = v_item->>'source' AND event_id = v_item->>'event_id';
        END IF;
        IF v_outcome NOT IN ('FACT', 'GONE', 'COMMIT') THEN
            v_outcomes := v_outcomes || jsonb_build_object(v_place::text, v_outcome);
        END IF;
    END LOOP;

    PERFORM ledger_fold(p_tenant, v_now, v_rows, v_weights);
    FOR i IN 1 .. cardinality(v_rows) LOOP
        v_item := v_items[i];
        r := v_rows[i];
        w := v_weights[i];
        IF v_item->>'as' = 'COMMIT' THEN
            v_body := ledger_write(p_tenant, r, v_now, v_item->>'kind', w, v_item->'facts', v_item->>'end_fingerprint');
            v_log := v_body->>'log_id';
        ELSE
            v_log := ledger_log(p_tenant, r, v_now, v_item->>'kind', w, v_item->'facts',
                                (v_item->>'occurred_at')::timestamptz);
            v_body := jsonb_build_object('charges', r.charges, 'user', r.user_key, 'task', r.task_id,
                                         'amounts', w.g, 'readings', ledger_read(p_tenant, r.meters));
        END IF;
        v_bodies[(v_item->>'place')::integer] := v_body;
        IF r.id IS NOT NULL THEN
            v_logs := v_logs || jsonb_build_object(r.id::text, v_log);
        END IF;
        UPDATE usage_usageevent SET log_id = v_log WHERE tenant_id = p_tenant
           AND source = v_item->>'source' AND event_id = v_item->>'event_id';
        v_outcomes := v_outcomes || jsonb_build_object(v_item->>'place', 'BOOKED');
    END LOOP;

    FOR v_item, v_place IN SELECT item, place FROM jsonb_array_elements(p_items) WITH ORDINALITY AS e(item, place)
                            ORDER BY place LOOP
        v_outcome := v_outcomes->>v_place::text;
        IF v_outcome = 'TWIN' THEN
            v_outcome := 'DUPLICATE';
            UPDATE usage_usageevent SET log_id = (v_logs->>(v_item->>'reservation'))::uuid WHERE tenant_id = p_tenant
               AND source = v_item->>'source' AND event_id = v_item->>'event_id';
        END IF;
        SELECT * INTO v_event FROM usage_usageevent WHERE tenant_id = p_tenant
           AND source = v_item->>'source' AND event_id = v_item->>'event_id';
        IF v_outcome = 'SEEN' THEN
            v_outcome := COALESCE(
                v_refused->>jsonb_build_array(v_item->'source', v_item->'event_id')::text,
                CASE WHEN encode(v_event.fingerprint, 'hex') = v_item->>'fingerprint'
                     THEN 'DUPLICATE' ELSE 'CONFLICT' END);
        END IF;
        RETURN NEXT ROW(v_outcome, v_event.log_id, p_tenant, v_now, v_numbers, NULL, NULL,
                        v_bodies[v_place::integer], NULL)::ledger_answer;
    END LOOP;
END
$$;

-- Sets a COMPLETED or FAILED row right: books the difference between p_end's totals and what the row and its
-- earlier corrections say, in the row's own periods. BOOKED, UNCHANGED or MISSING.
CREATE OR REPLACE FUNCTION ledger_correct(p_tenant uuid, p_log uuid, p_end jsonb) RETURNS ledger_answer LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    l usage_usagelog;
    c usage_usagelog;
    r usage_usagereservation;
    w ledger_weight;
    v_totals bigint[] := ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(p_end->'totals') AS t(x));
    v_log uuid;
    v_place integer;
BEGIN
    SELECT * INTO l FROM usage_usagelog
     WHERE tenant_id = p_tenant AND id = p_log AND status IN ('COMPLETED', 'FAILED') FOR UPDATE;
    IF NOT FOUND THEN
        RETURN ROW('MISSING', p_log, p_tenant, v_now, NULL, NULL, NULL, NULL, NULL)::ledger_answer;
    END IF;
    r.id := l.reservation_id;
    r.tenant_id := p_tenant;
    r.user_key := l.user_key;
    r.feature_id := l.feature_id;
    r.task_id := l.task_id;
    r.model_class_id := l.model_class_id;
    r.plan_id := l.plan_id;
    r.unit := l.unit;
    r.attempt := l.attempt;
    r.correlation_id := l.correlation_id;
    r.status := 'COMMITTED';
    r.meters := l.meters;
    r.measures := l.measures;
    r.periods := array_fill('LOGGED'::text, ARRAY[cardinality(l.meters)]);
    r.amounts := array_fill(0::bigint, ARRAY[cardinality(l.meters)]);
    r.booked := l.charges;
    r.totals := ARRAY[l.input_tokens, l.cached_input_tokens, l.cache_write_tokens, l.output_tokens,
                      l.reasoning_tokens, l.api_calls, l.items];
    r.held_totals := r.totals;
    r.cost := l.cost;
    FOR c IN SELECT * FROM usage_usagelog
              WHERE tenant_id = p_tenant AND refers_to = p_log AND status = 'CORRECTION' LOOP
        r.totals := ARRAY[
            r.totals[1] + c.input_tokens, r.totals[2] + c.cached_input_tokens, r.totals[3] + c.cache_write_tokens,
            r.totals[4] + c.output_tokens, r.totals[5] + c.reasoning_tokens, r.totals[6] + c.api_calls,
            r.totals[7] + c.items];
        r.cost := COALESCE(r.cost, 0) + COALESCE(c.cost, 0);
        FOR i IN 1 .. cardinality(c.meters) LOOP
            v_place := array_position(r.meters, c.meters[i]);
            r.booked[v_place] := r.booked[v_place] + c.charges[i];
        END LOOP;
    END LOOP;
    FOR i IN 1 .. 7 LOOP
        v_totals[i] := COALESCE(v_totals[i], r.totals[i]);
    END LOOP;
    w := ledger_weigh(r, l.status, v_totals, COALESCE((p_end->>'cost')::bigint, r.cost), false, p_end->>'certainty');
    IF r.unit = 'REQUESTS' THEN
        w.row_units := 0;
    END IF;
    IF w.row_totals = '{0,0,0,0,0,0,0}' AND COALESCE(w.row_cost, 0) = 0 THEN
        RETURN ROW('UNCHANGED', p_log, p_tenant, v_now, NULL, NULL, NULL, NULL, NULL)::ledger_answer;
    END IF;
    PERFORM ledger_apply(p_tenant, v_now, r.meters, NULL, w.g, w.freed, w.over);
    v_log := ledger_log(p_tenant, r, v_now, 'CORRECTION', w,
                        (p_end->'facts') || jsonb_build_object('refers_to', p_log), l.occurred_at);
    RETURN ROW('BOOKED', v_log, p_tenant, v_now, NULL, NULL, NULL, NULL, NULL)::ledger_answer;
END
$$;
