-- What a deployment rests on; that an environment went back to an earlier version.

ALTER TABLE deployment ADD COLUMN decision_id uuid;    -- null: none was needed
ALTER TABLE deployment DROP CONSTRAINT deployment_ended_as_check;
ALTER TABLE deployment ADD CONSTRAINT deployment_ended_as_check
    CHECK (ended_as IN ('superseded', 'withdrawn', 'rolled_back'));

CREATE INDEX deployment_drill ON deployment (asset_id, ended_at) WHERE ended_as = 'rolled_back';

CREATE OR REPLACE FUNCTION deployment_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
       OR (NEW.id, NEW.asset_id, NEW.version_id, NEW.environment, NEW.alias, NEW.mode, NEW.since,
           NEW.actor_kind, NEW.actor_id, NEW.reason, NEW.entry_id, NEW.decision_id)
          IS DISTINCT FROM
          (OLD.id, OLD.asset_id, OLD.version_id, OLD.environment, OLD.alias, OLD.mode, OLD.since,
           OLD.actor_kind, OLD.actor_id, OLD.reason, OLD.entry_id, OLD.decision_id) THEN
        RAISE EXCEPTION 'muniment: rows of deployment never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A deployment ends once.';
    END IF;
    RETURN NEW;
END
$$;
