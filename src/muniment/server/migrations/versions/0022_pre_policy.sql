-- Policy bundles, which of them is in force when, and what they said of each act.

CREATE TABLE policy_bundle (
    digest     text        COLLATE "C" PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'), -- over the list of its files
    packed     bytea       NOT NULL,                   -- the .tar.gz of its files
    rule_count integer     NOT NULL CHECK (rule_count >= 1),
    added_at   timestamptz NOT NULL,
    actor_kind text        NOT NULL,
    actor_id   text        COLLATE "C" NOT NULL,
    entry_id   uuid        NOT NULL                    -- its `policy.add` in the ledger
);

CREATE INDEX policy_bundle_added ON policy_bundle (added_at, digest);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON policy_bundle
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON policy_bundle
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A bundle that is to be in force, from when on, who wants that and who else approved it. In force at
-- a time is the one with the latest `effective_at` by then that was not withdrawn.
CREATE TABLE policy_activation (
    id                  uuid        PRIMARY KEY,       -- UUIDv7
    digest              text        COLLATE "C" NOT NULL REFERENCES policy_bundle,
    proposed_at         timestamptz NOT NULL,
    proposer_kind       text        NOT NULL,
    proposer_id         text        COLLATE "C" NOT NULL,
    reason              text        NOT NULL,
    effective_from      timestamptz,                   -- as asked; null: as soon as it is approved
    simulation          jsonb,                         -- what it changes; null: the first there was
    entry_id            uuid        NOT NULL,
    approved_at         timestamptz,
    approver_kind       text,
    approver_id         text        COLLATE "C",
    approval_reason     text,
    effective_at        timestamptz CHECK (effective_at >= approved_at),
    approval_entry_id   uuid,
    withdrawn_at        timestamptz CHECK (withdrawn_at < effective_at),
    withdrawer_kind     text,
    withdrawer_id       text        COLLATE "C",
    withdrawal_reason   text,
    withdrawal_entry_id uuid,
    CHECK (num_nulls(approved_at, approver_kind, approver_id, approval_reason, effective_at,
                     approval_entry_id) IN (0, 6)),
    CHECK (num_nulls(withdrawn_at, withdrawer_kind, withdrawer_id, withdrawal_reason,
                     withdrawal_entry_id) IN (0, 5)),
    -- Two people; the first of all is the registry's own.
    CHECK (simulation IS NULL OR approver_id IS DISTINCT FROM proposer_id)
);

CREATE INDEX policy_activation_in_force ON policy_activation (effective_at)
    WHERE effective_at IS NOT NULL AND withdrawn_at IS NULL;

CREATE FUNCTION policy_activation_decided_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.digest, NEW.proposed_at, NEW.proposer_kind, NEW.proposer_id, NEW.reason,
        NEW.effective_from, NEW.simulation, NEW.entry_id)
       IS DISTINCT FROM
       (OLD.id, OLD.digest, OLD.proposed_at, OLD.proposer_kind, OLD.proposer_id, OLD.reason,
        OLD.effective_from, OLD.simulation, OLD.entry_id)
       OR OLD.withdrawn_at IS NOT NULL
       OR (OLD.approved_at IS NOT NULL
           AND (NEW.approved_at, NEW.approver_kind, NEW.approver_id, NEW.approval_reason,
                NEW.effective_at, NEW.approval_entry_id)
               IS DISTINCT FROM
               (OLD.approved_at, OLD.approver_kind, OLD.approver_id, OLD.approval_reason,
                OLD.effective_at, OLD.approval_entry_id)) THEN
        RAISE EXCEPTION 'muniment: rows of policy_activation never change'
            USING ERRCODE = 'restrict_violation', HINT = 'It is approved once, and withdrawn once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER decided_once BEFORE UPDATE ON policy_activation
    FOR EACH ROW EXECUTE FUNCTION policy_activation_decided_once();
CREATE TRIGGER immutable BEFORE DELETE ON policy_activation
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON policy_activation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a bundle said of an act. The document and all results are in the act's own entry.
CREATE TABLE policy_verdict (
    id             uuid        PRIMARY KEY,            -- UUIDv7
    entry_id       uuid        NOT NULL,               -- the act's
    at             timestamptz NOT NULL,
    asset_id       uuid        NOT NULL REFERENCES asset,
    version_id     uuid        REFERENCES version,     -- null: a composite, or the asset itself
    step           text        COLLATE "C" NOT NULL,
    environment    text        COLLATE "C",            -- null: it is not about any
    policy_digest  text        COLLATE "C" NOT NULL REFERENCES policy_bundle,
    input_digest   text        COLLATE "C" NOT NULL CHECK (input_digest ~ '^[0-9a-f]{64}$'),
    decision       text        NOT NULL CHECK (decision IN ('allow', 'needs_approval', 'deny')),
    failed         text[]      COLLATE "C" NOT NULL,   -- rules that were in the way
    carried_out    boolean     NOT NULL,
    engine         text        NOT NULL,
    engine_version text        NOT NULL,
    duration_us    bigint      NOT NULL CHECK (duration_us >= 0)
);

CREATE UNIQUE INDEX policy_verdict_entry ON policy_verdict (entry_id);
CREATE INDEX policy_verdict_version ON policy_verdict (version_id, id);
CREATE INDEX policy_verdict_asset ON policy_verdict (asset_id, id);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON policy_verdict
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON policy_verdict
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A bundle asked about everything another was asked about. Working state: what a proposal takes of it
-- stands in its entry.
CREATE TABLE policy_simulation (
    id            uuid        PRIMARY KEY,             -- UUIDv7
    digest        text        COLLATE "C" NOT NULL REFERENCES policy_bundle,
    against       text        COLLATE "C" NOT NULL REFERENCES policy_bundle, -- in force then
    until         uuid,                                -- the last verdict that is asked again; null: none
    total_count   bigint      NOT NULL CHECK (total_count >= 0),
    done_count    bigint      NOT NULL DEFAULT 0 CHECK (done_count BETWEEN 0 AND total_count),
    after         uuid,                                -- the last verdict that was asked again
    result        jsonb,                               -- null: not done yet
    problem       text,                                -- why it cannot be done
    asked_at      timestamptz NOT NULL,
    actor_kind    text        NOT NULL,
    actor_id      text        COLLATE "C" NOT NULL,
    done_at       timestamptz
);

CREATE INDEX policy_simulation_asked ON policy_simulation (asked_at, id);

CREATE TABLE policy_difference (
    simulation_id uuid  NOT NULL REFERENCES policy_simulation,
    verdict_id    uuid  NOT NULL REFERENCES policy_verdict,
    body          jsonb NOT NULL,
    PRIMARY KEY (simulation_id, verdict_id)
);
