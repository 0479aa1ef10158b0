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
