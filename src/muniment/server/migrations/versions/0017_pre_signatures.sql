-- Signers: whose signatures the registry believes, for what. A row is added, and may be ended once;
-- evidence that was verified while it stood keeps saying so, by the entry that recorded it.

CREATE TABLE signer (
    id         uuid        PRIMARY KEY,              -- UUIDv7
    name       text        COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$' AND name <> 'registry'),
    kind       text        COLLATE "C" NOT NULL CHECK (kind IN ('key', 'certificate')),
    pem        text        NOT NULL CHECK (octet_length(pem) BETWEEN 1 AND 65536),
    uses       text[]      COLLATE "C" NOT NULL CHECK (cardinality(uses) > 0),
    builders   text[]      NOT NULL,
    identities text[]      NOT NULL,
    added_at   timestamptz NOT NULL,
    removed_at timestamptz                           -- for good; the name may be used again
);

CREATE UNIQUE INDEX signer_name ON signer (name) WHERE removed_at IS NULL;

CREATE FUNCTION signer_remove_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.removed_at IS NOT NULL OR NEW.removed_at IS NULL
       OR (NEW.id, NEW.name, NEW.kind, NEW.pem, NEW.uses, NEW.builders, NEW.identities, NEW.added_at)
          IS DISTINCT FROM
          (OLD.id, OLD.name, OLD.kind, OLD.pem, OLD.uses, OLD.builders, OLD.identities, OLD.added_at)
    THEN
        RAISE EXCEPTION 'muniment: rows of signer never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A signer may be removed, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER remove_only BEFORE UPDATE ON signer
    FOR EACH ROW EXECUTE FUNCTION signer_remove_only();
CREATE TRIGGER immutable BEFORE DELETE ON signer
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON signer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The same file may be judged again once somebody known vouches for it: that is new evidence.
ALTER TABLE evidence DROP CONSTRAINT evidence_once;
ALTER TABLE evidence ADD CONSTRAINT evidence_once
    UNIQUE NULLS NOT DISTINCT (subject_kind, subject_id, kind, digest, context_digest, assurance, signer);
