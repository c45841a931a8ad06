-- What the ledger's functions take and give. A change of a type is a migration of its own (ALTER TYPE).

CREATE TYPE ledger_answer AS (
    outcome text,              -- what happened, see each function
    id uuid,                   -- the reservation, or the log row of a fact
    tenant uuid,
    at timestamptz,            -- the database's clock
    numbers bigint[],          -- catalogue, keys, tenant: as they stand now
    status text,               -- of the reservation, now
    expires_at timestamptz,
    body jsonb,                -- the stored decision, or the first answer of an ending
    readings bigint[]          -- used, reserved, overrun of each meter in turn
);

-- What a reservation is asked with: the request's fields as Python sends them.
CREATE TYPE ledger_ask AS (
    key text, fingerprint text, ttl integer,
    user_key text, feature text, task text, model_class text, plan uuid, unit text, rates bigint[],
    meters uuid[], measures text[], periods text[], amounts bigint[], limits bigint[], enforced boolean[],
    degrade_above bigint[], charges jsonb, held_totals bigint[], held_cost bigint,
    correlation_id text, ask jsonb, metadata jsonb, decision jsonb
);

-- What an ending or report changes: per meter what is booked, what of the hold ends, what no hold covered.
CREATE TYPE ledger_weight AS (
    g bigint[], freed bigint[], over bigint[],
    totals bigint[], units bigint, cost bigint, row_totals bigint[], row_units bigint, row_cost bigint,
    certainty text
);
