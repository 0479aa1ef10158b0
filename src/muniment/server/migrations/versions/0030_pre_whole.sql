-- Composites are deployed whole: which one a deployment is a part of, and which one an attempt was about.

ALTER TABLE deployment ADD COLUMN composite text COLLATE "C" REFERENCES composite;   -- null: a version alone
ALTER TABLE attempt ADD COLUMN composite text COLLATE "C" REFERENCES composite;

CREATE INDEX deployment_composite ON deployment (composite, environment) WHERE composite IS NOT NULL;

CREATE OR REPLACE FUNCTION deployment_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
       OR (NEW.id, NEW.asset_id, NEW.version_id, NEW.environment, NEW.alias, NEW.mode, NEW.since,
           NEW.actor_kind, NEW.actor_id, NEW.reason, NEW.entry_id, NEW.decision_id, NEW.composite)
          IS DISTINCT FROM
          (OLD.id, OLD.asset_id, OLD.version_id, OLD.environment, OLD.alias, OLD.mode, OLD.since,
           OLD.actor_kind, OLD.actor_id, OLD.reason, OLD.entry_id, OLD.decision_id, OLD.composite) THEN
        RAISE EXCEPTION 'muniment: rows of deployment never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A deployment ends once.';
    END IF;
    RETURN NEW;
END
$$;
