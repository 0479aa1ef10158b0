-- Composites are asked for and decided on like versions. A row about a composite has its lead's version
-- and asset, and is none of that version alone.

ALTER TABLE approval_request
    ADD COLUMN composite     text   COLLATE "C" REFERENCES composite,  -- null: a version alone
    ADD COLUMN member_assets uuid[],                                   -- assets of its members, the lead's first
    ADD CHECK (num_nulls(composite, member_assets) IN (0, 2));

DROP INDEX approval_request_open;
CREATE UNIQUE INDEX approval_request_open ON approval_request (version_id, environment)
    WHERE ended_at IS NULL AND composite IS NULL;
CREATE UNIQUE INDEX approval_request_open_composite ON approval_request (composite, environment)
    WHERE ended_at IS NULL AND composite IS NOT NULL;
CREATE INDEX approval_request_composite ON approval_request (composite, environment, id)
    WHERE composite IS NOT NULL;

CREATE OR REPLACE FUNCTION approval_request_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
       OR (NEW.id, NEW.asset_id, NEW.version_id, NEW.environment, NEW.change_class, NEW.reason,
           NEW.reference, NEW.re_conformity, NEW.frozen, NEW.frozen_sha256, NEW.opened_at,
           NEW.actor_kind, NEW.actor_id, NEW.entry_id, NEW.composite, NEW.member_assets)
          IS DISTINCT FROM
          (OLD.id, OLD.asset_id, OLD.version_id, OLD.environment, OLD.change_class, OLD.reason,
           OLD.reference, OLD.re_conformity, OLD.frozen, OLD.frozen_sha256, OLD.opened_at,
           OLD.actor_kind, OLD.actor_id, OLD.entry_id, OLD.composite, OLD.member_assets) THEN
        RAISE EXCEPTION 'muniment: rows of approval_request never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A request ends once.';
    END IF;
    RETURN NEW;
END
$$;

ALTER TABLE decision ADD COLUMN composite text COLLATE "C" REFERENCES composite;
CREATE INDEX decision_composite ON decision (composite, environment, id) WHERE composite IS NOT NULL;
