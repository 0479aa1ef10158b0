-- Who uses what: consumers' bindings, and what they acknowledged.

ALTER TABLE role_grant DROP CONSTRAINT role_grant_role_check;
ALTER TABLE role_grant ADD CONSTRAINT role_grant_role_check CHECK (role IN (
    'viewer', 'attester', 'consumer', 'contributor', 'promoter', 'publisher', 'approver_platform',
    'approver_product', 'approver_security', 'approver_governance', 'approver_technical',
    'approver_legal', 'auditor', 'admin'));

-- What the rules did not allow: a promotion, or a consumer's binding, which need not say where.
ALTER TABLE attempt ALTER COLUMN environment DROP NOT NULL;
ALTER TABLE attempt ADD COLUMN step text NOT NULL DEFAULT 'promote' CHECK (step IN ('promote', 'bind'));

-- A system uses an asset at an endpoint for a use case, from `bound_at` until `ended_at`.
CREATE TABLE consumer_binding (
    id                uuid        PRIMARY KEY,                   -- UUIDv7
    asset_id          uuid        NOT NULL REFERENCES asset,
    version_id        uuid        REFERENCES version,            -- null: what the environment finds, else the newest
    judged_version_id uuid        NOT NULL REFERENCES version,   -- which that was when it was bound
    system            text        NOT NULL CHECK (char_length(system) BETWEEN 1 AND 200),
    endpoint          text        NOT NULL CHECK (char_length(endpoint) BETWEEN 1 AND 2000),
    use_case          text        NOT NULL CHECK (char_length(use_case) BETWEEN 1 AND 300),
    environment       text        COLLATE "C" REFERENCES environment,
    use_sha256        bytea       NOT NULL CHECK (octet_length(use_sha256) = 32),  -- of all that makes it one use
    reason            text        NOT NULL,
    bound_at          timestamptz NOT NULL,
    actor_kind        text        NOT NULL,
    actor_id          text        COLLATE "C" NOT NULL,
    entry_id          uuid        NOT NULL,
    ended_at          timestamptz CHECK (ended_at >= bound_at),
    ended_as          text        CHECK (ended_as IN ('ended', 'replaced')),
    ended_reason      text,
    ended_actor_kind  text,
    ended_actor_id    text,
    ended_entry_id    uuid,
    CHECK (num_nulls(ended_at, ended_as, ended_reason, ended_actor_kind, ended_actor_id, ended_entry_id)
           IN (0, 6))
);

CREATE UNIQUE INDEX consumer_binding_once ON consumer_binding (use_sha256) WHERE ended_at IS NULL;
CREATE INDEX consumer_binding_entry ON consumer_binding (entry_id) WHERE ended_at IS NULL;
CREATE INDEX consumer_binding_asset ON consumer_binding (asset_id, id);
CREATE INDEX consumer_binding_system ON consumer_binding (system, id);
CREATE INDEX consumer_binding_use_case ON consumer_binding (use_case, id);

CREATE FUNCTION consumer_binding_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
       OR (NEW.id, NEW.asset_id, NEW.version_id, NEW.judged_version_id, NEW.system, NEW.endpoint,
           NEW.use_case, NEW.environment, NEW.use_sha256, NEW.reason, NEW.bound_at, NEW.actor_kind,
           NEW.actor_id, NEW.entry_id)
          IS DISTINCT FROM
          (OLD.id, OLD.asset_id, OLD.version_id, OLD.judged_version_id, OLD.system, OLD.endpoint,
           OLD.use_case, OLD.environment, OLD.use_sha256, OLD.reason, OLD.bound_at, OLD.actor_kind,
           OLD.actor_id, OLD.entry_id) THEN
        RAISE EXCEPTION 'muniment: rows of consumer_binding never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A binding ends once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER ends_once BEFORE UPDATE ON consumer_binding
    FOR EACH ROW EXECUTE FUNCTION consumer_binding_ends_once();
CREATE TRIGGER immutable BEFORE DELETE ON consumer_binding
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON consumer_binding
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Somebody said for a consumer that they know that the version it uses comes to an end.
CREATE TABLE consumer_acknowledgement (
    entry_id   uuid        PRIMARY KEY,
    binding_id uuid        NOT NULL REFERENCES consumer_binding,
    version_id uuid        NOT NULL REFERENCES version,
    note       text        NOT NULL,
    at         timestamptz NOT NULL,
    actor_kind text        NOT NULL,
    actor_id   text        COLLATE "C" NOT NULL
);

CREATE INDEX consumer_acknowledgement_binding ON consumer_acknowledgement (binding_id, version_id, at);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON consumer_acknowledgement
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON consumer_acknowledgement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
