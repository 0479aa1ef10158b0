-- People's own keys; who asked for a version to be approved, who signed, what was decided.

ALTER TABLE role_grant DROP CONSTRAINT role_grant_role_check;
ALTER TABLE role_grant ADD CONSTRAINT role_grant_role_check CHECK (role IN (
    'viewer', 'attester', 'contributor', 'promoter', 'publisher', 'approver_platform',
    'approver_product', 'approver_security', 'approver_governance', 'approver_technical',
    'approver_legal', 'auditor', 'admin'));

-- A key is one person's for good: who else has it is not who signed.
CREATE TABLE signing_key (
    id           uuid        PRIMARY KEY,                        -- UUIDv7
    principal_id uuid        NOT NULL REFERENCES principal,
    name         text        COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    public_key   bytea       NOT NULL CHECK (octet_length(public_key) = 91),  -- SubjectPublicKeyInfo
    key_sha256   text        COLLATE "C" NOT NULL UNIQUE CHECK (key_sha256 ~ '^[0-9a-f]{64}$'),
    created_at   timestamptz NOT NULL,
    revoked_at   timestamptz CHECK (revoked_at >= created_at),   -- for good
    revoked_by   uuid
);

CREATE UNIQUE INDEX signing_key_name ON signing_key (principal_id, name) WHERE revoked_at IS NULL;
CREATE INDEX signing_key_principal ON signing_key (principal_id, id);

CREATE FUNCTION signing_key_revoke_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL OR NEW.revoked_at IS NULL
       OR (NEW.id, NEW.principal_id, NEW.name, NEW.public_key, NEW.key_sha256, NEW.created_at)
          IS DISTINCT FROM
          (OLD.id, OLD.principal_id, OLD.name, OLD.public_key, OLD.key_sha256, OLD.created_at)
    THEN
        RAISE EXCEPTION 'muniment: rows of signing_key never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A key may be revoked, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER revoke_only BEFORE UPDATE ON signing_key
    FOR EACH ROW EXECUTE FUNCTION signing_key_revoke_only();
CREATE TRIGGER immutable BEFORE DELETE ON signing_key
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON signing_key
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Somebody asks for a version to be approved for an environment. `frozen` is what reviewers are shown;
-- its SHA-256 is what they sign.
CREATE TABLE approval_request (
    id             uuid        PRIMARY KEY,                      -- UUIDv7
    asset_id       uuid        NOT NULL REFERENCES asset,
    version_id     uuid        NOT NULL REFERENCES version,
    environment    text        COLLATE "C" NOT NULL REFERENCES environment,
    change_class   text        NOT NULL CHECK (change_class IN ('routine', 'significant', 'substantial')),
    reason         text        NOT NULL,
    reference      text        NOT NULL,                         -- where else it is talked of; '': nowhere
    re_conformity  text        NOT NULL,                         -- '': none
    frozen         bytea       NOT NULL,                         -- canonical JSON
    frozen_sha256  bytea       NOT NULL CHECK (octet_length(frozen_sha256) = 32),
    opened_at      timestamptz NOT NULL,
    actor_kind     text        NOT NULL,
    actor_id       text        COLLATE "C" NOT NULL,
    entry_id       uuid        NOT NULL,
    ended_at       timestamptz CHECK (ended_at >= opened_at),
    ended_as       text        CHECK (ended_as IN ('approved', 'rejected', 'withdrawn', 'void')),
    ended_reason   text,
    ended_entry_id uuid,
    CHECK (num_nulls(ended_at, ended_as, ended_reason, ended_entry_id) IN (0, 4))
);

CREATE UNIQUE INDEX approval_request_open ON approval_request (version_id, environment)
    WHERE ended_at IS NULL;
CREATE INDEX approval_request_version ON approval_request (version_id, environment, id);
CREATE INDEX approval_request_asset ON approval_request (asset_id, id);

CREATE FUNCTION approval_request_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
       OR (NEW.id, NEW.asset_id, NEW.version_id, NEW.environment, NEW.change_class, NEW.reason,
           NEW.reference, NEW.re_conformity, NEW.frozen, NEW.frozen_sha256, NEW.opened_at,
           NEW.actor_kind, NEW.actor_id, NEW.entry_id)
          IS DISTINCT FROM
          (OLD.id, OLD.asset_id, OLD.version_id, OLD.environment, OLD.change_class, OLD.reason,
           OLD.reference, OLD.re_conformity, OLD.frozen, OLD.frozen_sha256, OLD.opened_at,
           OLD.actor_kind, OLD.actor_id, OLD.entry_id) THEN
        RAISE EXCEPTION 'muniment: rows of approval_request never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A request ends once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER ends_once BEFORE UPDATE ON approval_request
    FOR EACH ROW EXECUTE FUNCTION approval_request_ends_once();
CREATE TRIGGER immutable BEFORE DELETE ON approval_request
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON approval_request
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a person said of a request, signed. The last word of each person counts.
CREATE TABLE approval (
    id               uuid        PRIMARY KEY,                    -- UUIDv7
    request_id       uuid        NOT NULL REFERENCES approval_request,
    person_id        uuid        NOT NULL REFERENCES principal,
    role             text        NOT NULL CHECK (role IN ('technical', 'platform', 'product', 'security',
                                                          'governance', 'legal')),
    decision         text        NOT NULL CHECK (decision IN ('approve', 'reject', 'defer')),
    sign_off         text        CHECK (sign_off IN ('entry-verified', 'metrics-reviewed',
                                                     'production-approved')),
    comment          text        NOT NULL,
    signed_by        text        NOT NULL CHECK (signed_by IN ('key', 'registry')),
    key_id           uuid        REFERENCES signing_key,         -- null: the registry's
    nonce            text        COLLATE "C" NOT NULL UNIQUE,
    statement_sha256 bytea       NOT NULL CHECK (octet_length(statement_sha256) = 32),
    bundle           bytea       NOT NULL,                       -- Sigstore bundle, canonical JSON
    at               timestamptz NOT NULL,
    entry_id         uuid        NOT NULL,
    CHECK ((signed_by = 'key') = (key_id IS NOT NULL))
);

CREATE INDEX approval_of_request ON approval (request_id, id);
CREATE INDEX approval_of_person ON approval (person_id, id);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON approval
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON approval
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What must be done by the end of a day for an approval to go on.
CREATE TABLE approval_condition (
    id           uuid        PRIMARY KEY,                        -- UUIDv7
    approval_id  uuid        NOT NULL REFERENCES approval,
    position     smallint    NOT NULL CHECK (position >= 0),
    text         text        NOT NULL,
    due          date        NOT NULL,
    met_at       timestamptz,
    met_by       uuid        REFERENCES principal,
    met_note     text,
    met_entry_id uuid,
    UNIQUE (approval_id, position),
    CHECK (num_nulls(met_at, met_by, met_note, met_entry_id) IN (0, 4))
);

CREATE FUNCTION approval_condition_met_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.met_at IS NOT NULL OR NEW.met_at IS NULL
       OR (NEW.id, NEW.approval_id, NEW.position, NEW.text, NEW.due)
          IS DISTINCT FROM (OLD.id, OLD.approval_id, OLD.position, OLD.text, OLD.due) THEN
        RAISE EXCEPTION 'muniment: rows of approval_condition never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A condition is met once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER met_once BEFORE UPDATE ON approval_condition
    FOR EACH ROW EXECUTE FUNCTION approval_condition_met_once();
CREATE TRIGGER immutable BEFORE DELETE ON approval_condition
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON approval_condition
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What somebody asks or remarks; while it is open, nothing is decided.
CREATE TABLE approval_comment (
    id                uuid        PRIMARY KEY,                   -- UUIDv7
    request_id        uuid        NOT NULL REFERENCES approval_request,
    text              text        NOT NULL,
    at                timestamptz NOT NULL,
    actor_kind        text        NOT NULL,
    actor_id          text        COLLATE "C" NOT NULL,
    entry_id          uuid        NOT NULL,
    resolved_at       timestamptz CHECK (resolved_at >= at),
    resolution        text,
    resolved_kind     text,
    resolved_id       text        COLLATE "C",
    resolved_entry_id uuid,
    CHECK (num_nulls(resolved_at, resolution, resolved_kind, resolved_id, resolved_entry_id) IN (0, 5))
);

CREATE INDEX approval_comment_of_request ON approval_comment (request_id, id);

CREATE FUNCTION approval_comment_resolved_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.resolved_at IS NOT NULL OR NEW.resolved_at IS NULL
       OR (NEW.id, NEW.request_id, NEW.text, NEW.at, NEW.actor_kind, NEW.actor_id, NEW.entry_id)
          IS DISTINCT FROM
          (OLD.id, OLD.request_id, OLD.text, OLD.at, OLD.actor_kind, OLD.actor_id, OLD.entry_id) THEN
        RAISE EXCEPTION 'muniment: rows of approval_comment never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A comment is resolved once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER resolved_once BEFORE UPDATE ON approval_comment
    FOR EACH ROW EXECUTE FUNCTION approval_comment_resolved_once();
CREATE TRIGGER immutable BEFORE DELETE ON approval_comment
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON approval_comment
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What came of a request: its entry is signed, and has all of it.
CREATE TABLE decision (
    id            uuid        PRIMARY KEY,                       -- UUIDv7
    request_id    uuid        NOT NULL UNIQUE REFERENCES approval_request,
    asset_id      uuid        NOT NULL REFERENCES asset,
    version_id    uuid        NOT NULL REFERENCES version,
    environment   text        COLLATE "C" NOT NULL REFERENCES environment,
    outcome       text        NOT NULL CHECK (outcome IN ('approved', 'rejected')),
    frozen_sha256 bytea       NOT NULL CHECK (octet_length(frozen_sha256) = 32),
    decided_at    timestamptz NOT NULL,
    expires_at    timestamptz CHECK (expires_at > decided_at),
    entry_id      uuid        NOT NULL,
    CHECK ((outcome = 'approved') = (expires_at IS NOT NULL))
);

CREATE INDEX decision_version ON decision (version_id, environment, id);
CREATE INDEX decision_asset ON decision (asset_id, id);
CREATE INDEX decision_expiry ON decision (expires_at) WHERE expires_at IS NOT NULL;

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON decision
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON decision
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- That an approval ends soon was told so many days before.
CREATE TABLE approval_warning (
    decision_id uuid        NOT NULL REFERENCES decision,
    days        smallint    NOT NULL CHECK (days > 0),
    at          timestamptz NOT NULL,
    entry_id    uuid        NOT NULL,
    PRIMARY KEY (decision_id, days)
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON approval_warning
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON approval_warning
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A rule that is waived: for one version in one environment, until the end of a day.
CREATE TABLE rule_exception (
    id               uuid        PRIMARY KEY,                    -- UUIDv7
    asset_id         uuid        NOT NULL REFERENCES asset,
    version_id       uuid        NOT NULL REFERENCES version,
    environment      text        COLLATE "C" NOT NULL REFERENCES environment,
    rule             text        COLLATE "C" NOT NULL,
    reason           text        NOT NULL,
    control          text        NOT NULL,
    until            date        NOT NULL,
    person_id        uuid        NOT NULL REFERENCES principal,
    role             text        NOT NULL,
    signed_by        text        NOT NULL CHECK (signed_by IN ('key', 'registry')),
    key_id           uuid        REFERENCES signing_key,
    nonce            text        COLLATE "C" NOT NULL UNIQUE,
    statement_sha256 bytea       NOT NULL CHECK (octet_length(statement_sha256) = 32),
    bundle           bytea       NOT NULL,
    granted_at       timestamptz NOT NULL,
    entry_id         uuid        NOT NULL,
    revoked_at       timestamptz CHECK (revoked_at >= granted_at),
    revoked_kind     text,
    revoked_id       text        COLLATE "C",
    revoked_reason   text,
    revoked_entry_id uuid,
    CHECK ((signed_by = 'key') = (key_id IS NOT NULL)),
    CHECK (num_nulls(revoked_at, revoked_kind, revoked_id, revoked_reason, revoked_entry_id) IN (0, 5))
);

CREATE INDEX rule_exception_version ON rule_exception (version_id, environment, id);
CREATE INDEX rule_exception_asset ON rule_exception (asset_id, id);

CREATE FUNCTION rule_exception_revoked_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL OR NEW.revoked_at IS NULL
       OR (NEW.id, NEW.asset_id, NEW.version_id, NEW.environment, NEW.rule, NEW.reason, NEW.control,
           NEW.until, NEW.person_id, NEW.role, NEW.signed_by, NEW.key_id, NEW.nonce,
           NEW.statement_sha256, NEW.bundle, NEW.granted_at, NEW.entry_id)
          IS DISTINCT FROM
          (OLD.id, OLD.asset_id, OLD.version_id, OLD.environment, OLD.rule, OLD.reason, OLD.control,
           OLD.until, OLD.person_id, OLD.role, OLD.signed_by, OLD.key_id, OLD.nonce,
           OLD.statement_sha256, OLD.bundle, OLD.granted_at, OLD.entry_id) THEN
        RAISE EXCEPTION 'muniment: rows of rule_exception never change'
            USING ERRCODE = 'restrict_violation', HINT = 'An exception is revoked once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER revoked_once BEFORE UPDATE ON rule_exception
    FOR EACH ROW EXECUTE FUNCTION rule_exception_revoked_once();
CREATE TRIGGER immutable BEFORE DELETE ON rule_exception
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON rule_exception
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
