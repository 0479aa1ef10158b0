-- Identity: principals, their roles, their tokens; and the answers kept for Idempotency-Key.
-- These tables are views of the log: `muniment fsck` folds it and compares (but `last_used_at`).

CREATE TABLE principal (
    id           uuid        PRIMARY KEY,            -- UUIDv7
    kind         text        NOT NULL CHECK (kind IN ('person', 'service', 'workload', 'system')),
    name         text        NOT NULL UNIQUE CHECK (char_length(name) BETWEEN 1 AND 200),
    display_name text        CHECK (char_length(display_name) BETWEEN 1 AND 200),
    created_at   timestamptz NOT NULL,
    disabled_at  timestamptz                         -- for good: there is no way back
);

CREATE TABLE role_grant (
    principal_id uuid        NOT NULL REFERENCES principal,
    role         text        NOT NULL CHECK (role IN (
        'viewer', 'contributor', 'publisher', 'approver_platform', 'approver_product',
        'approver_security', 'approver_governance', 'auditor', 'admin')),
    namespace    text,                               -- null: everything
    asset        text,                               -- null: the whole namespace
    granted_at   timestamptz NOT NULL,
    CHECK (asset IS NULL OR namespace IS NOT NULL),
    UNIQUE NULLS NOT DISTINCT (principal_id, role, namespace, asset)
);

CREATE INDEX role_grant_admin ON role_grant (principal_id)
    WHERE role = 'admin' AND namespace IS NULL;

CREATE TABLE token (
    id           uuid        PRIMARY KEY,            -- UUIDv7; its text form shows it
    principal_id uuid        NOT NULL REFERENCES principal,
    label        text        NOT NULL CHECK (char_length(label) BETWEEN 1 AND 200),
    hash         bytea       NOT NULL UNIQUE CHECK (octet_length(hash) = 32),  -- SHA-256 of the text
    limits       jsonb,                              -- [{role, namespace, asset}]; null: no limits
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL CHECK (expires_at > created_at),
    revoked_at   timestamptz,                        -- for good
    last_used_at timestamptz                         -- to about a minute
);

CREATE INDEX token_principal ON token (principal_id, id);

-- The one-time code of the welcome page: at most one, gone when it is used.
CREATE TABLE bootstrap_code (
    only_one   boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
    hash       bytea       NOT NULL CHECK (octet_length(hash) = 32),
    expires_at timestamptz NOT NULL
);

-- What was made stays as it was made; it may only be ended, once.
CREATE FUNCTION principal_disable_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.disabled_at IS NOT NULL OR NEW.disabled_at IS NULL
       OR (NEW.id, NEW.kind, NEW.name, NEW.display_name, NEW.created_at)
          IS DISTINCT FROM (OLD.id, OLD.kind, OLD.name, OLD.display_name, OLD.created_at) THEN
        RAISE EXCEPTION 'muniment: rows of principal never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A principal may be disabled, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER disable_only BEFORE UPDATE ON principal
    FOR EACH ROW EXECUTE FUNCTION principal_disable_only();
CREATE TRIGGER immutable BEFORE DELETE ON principal
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON principal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION token_revoke_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
       OR (NEW.id, NEW.principal_id, NEW.label, NEW.hash, NEW.limits, NEW.created_at, NEW.expires_at)
          IS DISTINCT FROM
          (OLD.id, OLD.principal_id, OLD.label, OLD.hash, OLD.limits, OLD.created_at, OLD.expires_at)
    THEN
        RAISE EXCEPTION 'muniment: rows of token never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A token may be revoked, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER revoke_only BEFORE UPDATE ON token
    FOR EACH ROW EXECUTE FUNCTION token_revoke_only();
CREATE TRIGGER immutable BEFORE DELETE ON token
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON token
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Answers given to requests with an Idempotency-Key, for 24 hours. Not governed: it says nothing
-- that is not in the log.
CREATE TABLE idempotency (
    principal_id   uuid        NOT NULL,
    key            text        NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 255),
    request_digest bytea       NOT NULL CHECK (octet_length(request_digest) = 32),
    status         smallint,                         -- null: the answer held a secret, not kept
    headers        jsonb,
    body           bytea,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (principal_id, key)
);

CREATE INDEX idempotency_age ON idempotency (created_at);
