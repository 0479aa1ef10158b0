-- Where versions are deployed, and what was refused, or would have been.
-- `attempt` never changes; of a `deployment` only its end is written, once.

-- Environments are data: each counts as one of the stages that deployments can bring about.
CREATE TABLE environment (
    name     text     COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    stage    text     NOT NULL CHECK (stage IN ('None', 'Staging', 'Production')),
    position smallint NOT NULL UNIQUE                -- the way versions take
);

INSERT INTO environment (name, stage, position) VALUES
    ('development', 'None', 1), ('staging', 'Staging', 2), ('production', 'Production', 3);

CREATE TABLE deployment (
    id               uuid        PRIMARY KEY,        -- UUIDv7
    asset_id         uuid        NOT NULL REFERENCES asset,
    version_id       uuid        NOT NULL REFERENCES version,
    environment      text        COLLATE "C" NOT NULL REFERENCES environment,
    -- The alias through which the environment finds the version; none where only a stage was set.
    alias            text        COLLATE "C",
    mode             text        NOT NULL CHECK (mode IN ('full', 'canary', 'blue-green', 'shadow',
                                                          'champion', 'challenger', 'bandit')),
    since            timestamptz NOT NULL,
    actor_kind       text        NOT NULL,
    actor_id         text        NOT NULL,
    reason           text        NOT NULL,
    entry_id         uuid        NOT NULL,
    ended_at         timestamptz CHECK (ended_at >= since),
    ended_as         text        CHECK (ended_as IN ('superseded', 'withdrawn')),
    ended_actor_kind text,
    ended_actor_id   text,
    ended_entry_id   uuid,
    CHECK (num_nulls(ended_at, ended_as, ended_actor_kind, ended_actor_id, ended_entry_id) IN (0, 5))
);

CREATE INDEX deployment_asset ON deployment (asset_id, since, id);
CREATE INDEX deployment_live ON deployment (version_id) WHERE ended_at IS NULL;
CREATE INDEX deployment_live_asset ON deployment (asset_id) WHERE ended_at IS NULL;
-- One version at a time is found through an alias, and is deployed once where no alias is.
CREATE UNIQUE INDEX deployment_endpoint ON deployment (asset_id, environment, alias)
    WHERE ended_at IS NULL AND alias IS NOT NULL;
CREATE UNIQUE INDEX deployment_once ON deployment (version_id, environment)
    WHERE ended_at IS NULL AND alias IS NULL;

CREATE FUNCTION deployment_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
       OR (NEW.id, NEW.asset_id, NEW.version_id, NEW.environment, NEW.alias, NEW.mode, NEW.since,
           NEW.actor_kind, NEW.actor_id, NEW.reason, NEW.entry_id)
          IS DISTINCT FROM
          (OLD.id, OLD.asset_id, OLD.version_id, OLD.environment, OLD.alias, OLD.mode, OLD.since,
           OLD.actor_kind, OLD.actor_id, OLD.reason, OLD.entry_id) THEN
        RAISE EXCEPTION 'muniment: rows of deployment never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A deployment ends once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER ends_once BEFORE UPDATE ON deployment
    FOR EACH ROW EXECUTE FUNCTION deployment_ends_once();
CREATE TRIGGER immutable BEFORE DELETE ON deployment
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON deployment
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A promotion that the rules did not allow: refused, or carried out where the namespace does not
-- enforce them.
CREATE TABLE attempt (
    entry_id    uuid        PRIMARY KEY,
    asset_id    uuid        NOT NULL REFERENCES asset,
    version_id  uuid        REFERENCES version,      -- null: an alias was to point nowhere
    namespace   text        COLLATE "C" NOT NULL,
    environment text        COLLATE "C" NOT NULL,
    at          timestamptz NOT NULL,
    actor_kind  text        NOT NULL,
    actor_id    text        COLLATE "C" NOT NULL,
    mode        text        NOT NULL CHECK (mode IN ('observe', 'warn', 'enforce')),
    carried_out boolean     NOT NULL,
    rules       text[]      NOT NULL                 -- those that failed
);

CREATE INDEX attempt_namespace ON attempt (namespace, at, entry_id);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON attempt
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON attempt
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
