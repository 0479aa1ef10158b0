-- Signers known through Sigstore: by a trusted root, the issuer of ID tokens and the names it vouches for.

ALTER TABLE signer DROP CONSTRAINT signer_kind_check;
ALTER TABLE signer ADD CONSTRAINT signer_kind_check CHECK (kind IN ('key', 'certificate', 'sigstore'));
ALTER TABLE signer ADD COLUMN issuer text NOT NULL DEFAULT '';
ALTER TABLE signer ADD CONSTRAINT signer_issuer CHECK ((kind = 'sigstore') = (issuer <> ''));

CREATE OR REPLACE FUNCTION signer_remove_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.removed_at IS NOT NULL OR NEW.removed_at IS NULL
       OR (NEW.id, NEW.name, NEW.kind, NEW.pem, NEW.uses, NEW.builders, NEW.identities, NEW.issuer, NEW.added_at)
          IS DISTINCT FROM
          (OLD.id, OLD.name, OLD.kind, OLD.pem, OLD.uses, OLD.builders, OLD.identities, OLD.issuer, OLD.added_at)
    THEN
        RAISE EXCEPTION 'muniment: rows of signer never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A signer may be removed, once.';
    END IF;
    RETURN NEW;
END
$$;
