-- Who pipelines are: issuers that are believed, what each asset trusts, and what a pipeline's token
-- was made from. What was vouched for of who acted stands in every entry.

ALTER TABLE ledger_entry ADD COLUMN actor_claims jsonb;          -- {claim: text}; null: nobody vouched

-- Which registrations a pipeline made that an issuer vouched for.
CREATE INDEX ledger_entry_attested ON ledger_entry (subject_id)
    WHERE actor_claims IS NOT NULL AND act IN ('version.register', 'version.attest');

ALTER TABLE role_grant DROP CONSTRAINT role_grant_role_check;
ALTER TABLE role_grant ADD CONSTRAINT role_grant_role_check CHECK (role IN (
    'viewer', 'attester', 'contributor', 'promoter', 'publisher', 'approver_platform',
    'approver_product', 'approver_security', 'approver_governance', 'auditor', 'admin'));

CREATE TABLE trusted_issuer (
    id         uuid        PRIMARY KEY,                          -- UUIDv7
    name       text        COLLATE "C" NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    url        text        COLLATE "C" NOT NULL CHECK (char_length(url) <= 500),
    provider   text        NOT NULL
               CHECK (provider IN ('github', 'gitlab', 'buildkite', 'google', 'generic')),
    created_at timestamptz NOT NULL,
    removed_at timestamptz                                       -- for good; it may be added anew
);

CREATE UNIQUE INDEX trusted_issuer_name ON trusted_issuer (name) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX trusted_issuer_url ON trusted_issuer (url) WHERE removed_at IS NULL;

-- `asset` may be one that does not exist yet: names are never given to another asset.
CREATE TABLE trusted_publisher (
    id           uuid        PRIMARY KEY,                        -- UUIDv7
    namespace    text        COLLATE "C" NOT NULL,
    asset        text        COLLATE "C" NOT NULL,
    issuer_id    uuid        NOT NULL REFERENCES trusted_issuer,
    principal_id uuid        NOT NULL REFERENCES principal,
    identity     text        COLLATE "C" NOT NULL,               -- the repository's id at the issuer
    rule         jsonb       NOT NULL,                           -- all that a token's claims must be
    permits      text[]      NOT NULL CHECK (cardinality(permits) > 0),
    created_at   timestamptz NOT NULL,
    removed_at   timestamptz,                                    -- for good
    last_used_at timestamptz
);

CREATE INDEX trusted_publisher_asset ON trusted_publisher (namespace, asset, id);
CREATE INDEX trusted_publisher_identity ON trusted_publisher (issuer_id, identity)
    WHERE removed_at IS NULL;

CREATE FUNCTION trusted_issuer_remove_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.removed_at IS NOT NULL
       OR (NEW.id, NEW.name, NEW.url, NEW.provider, NEW.created_at)
          IS DISTINCT FROM (OLD.id, OLD.name, OLD.url, OLD.provider, OLD.created_at) THEN
        RAISE EXCEPTION 'muniment: rows of trusted_issuer never change'
            USING ERRCODE = 'restrict_violation', HINT = 'An issuer may be removed, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER remove_only BEFORE UPDATE ON trusted_issuer
    FOR EACH ROW EXECUTE FUNCTION trusted_issuer_remove_only();
CREATE TRIGGER immutable BEFORE DELETE ON trusted_issuer
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON trusted_issuer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION trusted_publisher_remove_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.removed_at IS NOT NULL AND NEW.removed_at IS DISTINCT FROM OLD.removed_at)
       OR (NEW.id, NEW.namespace, NEW.asset, NEW.issuer_id, NEW.principal_id, NEW.identity,
           NEW.rule, NEW.permits, NEW.created_at)
          IS DISTINCT FROM
          (OLD.id, OLD.namespace, OLD.asset, OLD.issuer_id, OLD.principal_id, OLD.identity,
           OLD.rule, OLD.permits, OLD.created_at) THEN
        RAISE EXCEPTION 'muniment: rows of trusted_publisher never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A publisher may be removed, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER remove_only BEFORE UPDATE ON trusted_publisher
    FOR EACH ROW EXECUTE FUNCTION trusted_publisher_remove_only();
CREATE TRIGGER immutable BEFORE DELETE ON trusted_publisher
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON trusted_publisher
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ID tokens that were exchanged: each is good once. Gone when they have expired.
CREATE TABLE used_id_token (
    key        bytea       PRIMARY KEY CHECK (octet_length(key) = 32),
    expires_at timestamptz NOT NULL
);

CREATE INDEX used_id_token_expiry ON used_id_token (expires_at);

-- What a pipeline's token was made from: {claims, claims_sha256, publishers, promotes}.
ALTER TABLE token ADD COLUMN workload jsonb;

CREATE OR REPLACE FUNCTION token_revoke_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
       OR (NEW.id, NEW.principal_id, NEW.label, NEW.hash, NEW.limits, NEW.created_at, NEW.expires_at,
           NEW.workload)
          IS DISTINCT FROM
          (OLD.id, OLD.principal_id, OLD.label, OLD.hash, OLD.limits, OLD.created_at, OLD.expires_at,
           OLD.workload)
    THEN
        RAISE EXCEPTION 'muniment: rows of token never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A token may be revoked, once.';
    END IF;
    RETURN NEW;
END
$$;
