-- Steps of a review: an approval names the one it does; some may be said not to apply. How people came in.

ALTER TABLE approval ADD COLUMN review_step text COLLATE "C"
    CHECK (review_step ~ '^[a-z][a-z0-9-]{0,62}$');
ALTER TABLE approval DROP CONSTRAINT approval_role_check;
ALTER TABLE approval ADD CONSTRAINT approval_role_check CHECK (role IN (
    'technical', 'platform', 'product', 'security', 'governance', 'legal', 'author'));
ALTER TABLE approval DROP CONSTRAINT approval_decision_check;
ALTER TABLE approval ADD CONSTRAINT approval_decision_check CHECK (decision IN (
    'approve', 'reject', 'defer', 'not_applicable'));
-- Who asked or made it does a step of their own and says no more; what does not apply is a step.
ALTER TABLE approval ADD CONSTRAINT approval_names_step CHECK (
    review_step IS NOT NULL OR (role <> 'author' AND decision <> 'not_applicable'));

-- How people came in, as far as it is known: by an `issuer` (OpenID Connect), or with a `token` that
-- `made_by` made (null: the registry at its start). A token made with another, of the same person,
-- came in as that did; a key as the session that made it known.
ALTER TABLE token ADD COLUMN came_in text CHECK (came_in IN ('issuer', 'token'));
ALTER TABLE token ADD COLUMN made_by uuid REFERENCES principal;
ALTER TABLE signing_key ADD COLUMN came_in text CHECK (came_in IN ('issuer', 'token'));
ALTER TABLE signing_key ADD COLUMN made_by uuid REFERENCES principal;
ALTER TABLE approval ADD COLUMN came_in text CHECK (came_in IN ('issuer', 'token'));
ALTER TABLE approval ADD COLUMN made_by uuid REFERENCES principal;
ALTER TABLE rule_exception ADD COLUMN came_in text CHECK (came_in IN ('issuer', 'token'));
ALTER TABLE rule_exception ADD COLUMN made_by uuid REFERENCES principal;

CREATE OR REPLACE FUNCTION token_revoke_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
       OR (NEW.id, NEW.principal_id, NEW.label, NEW.hash, NEW.limits, NEW.created_at, NEW.expires_at,
           NEW.workload, NEW.came_in, NEW.made_by)
          IS DISTINCT FROM
          (OLD.id, OLD.principal_id, OLD.label, OLD.hash, OLD.limits, OLD.created_at, OLD.expires_at,
           OLD.workload, OLD.came_in, OLD.made_by)
    THEN
        RAISE EXCEPTION 'muniment: rows of token never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A token may be revoked, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION signing_key_revoke_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL OR NEW.revoked_at IS NULL
       OR (NEW.id, NEW.principal_id, NEW.name, NEW.public_key, NEW.key_sha256, NEW.created_at,
           NEW.came_in, NEW.made_by)
          IS DISTINCT FROM
          (OLD.id, OLD.principal_id, OLD.name, OLD.public_key, OLD.key_sha256, OLD.created_at,
           OLD.came_in, OLD.made_by)
    THEN
        RAISE EXCEPTION 'muniment: rows of signing_key never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A key may be revoked, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION rule_exception_revoked_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL OR NEW.revoked_at IS NULL
       OR (NEW.id, NEW.asset_id, NEW.version_id, NEW.environment, NEW.rule, NEW.reason, NEW.control,
           NEW.until, NEW.person_id, NEW.role, NEW.signed_by, NEW.key_id, NEW.nonce,
           NEW.statement_sha256, NEW.bundle, NEW.granted_at, NEW.entry_id, NEW.came_in, NEW.made_by)
          IS DISTINCT FROM
          (OLD.id, OLD.asset_id, OLD.version_id, OLD.environment, OLD.rule, OLD.reason, OLD.control,
           OLD.until, OLD.person_id, OLD.role, OLD.signed_by, OLD.key_id, OLD.nonce,
           OLD.statement_sha256, OLD.bundle, OLD.granted_at, OLD.entry_id, OLD.came_in, OLD.made_by) THEN
        RAISE EXCEPTION 'muniment: rows of rule_exception never change'
            USING ERRCODE = 'restrict_violation', HINT = 'An exception is revoked once.';
    END IF;
    RETURN NEW;
END
$$;
