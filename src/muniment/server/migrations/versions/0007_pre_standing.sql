-- What governs a namespace, what may be done with a version, and every name an asset ever had.
-- `namespace_event`, `asset_naming`, `version_standing_event` and `asset_event` never change;
-- `namespace` and `version_standing` hold what the latest event says.

DROP TRIGGER immutable ON namespace;
ALTER TABLE namespace
    ADD COLUMN mode text COLLATE "C" NOT NULL DEFAULT 'enforce'
        CHECK (mode IN ('observe', 'warn', 'enforce')),
    -- The aliases through which production finds what it runs; lower case.
    ADD COLUMN production_aliases text[] COLLATE "C" NOT NULL
        DEFAULT '{canary,champion,live,prod,production,stable}',
    ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision >= 1),
    ADD COLUMN updated_at timestamptz;
UPDATE namespace SET updated_at = created_at;
ALTER TABLE namespace
    ALTER COLUMN updated_at SET NOT NULL,
    ALTER COLUMN mode DROP DEFAULT,
    ALTER COLUMN production_aliases DROP DEFAULT;

CREATE FUNCTION namespace_identity_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.name, NEW.created_at, NEW.actor_kind, NEW.actor_id)
       IS DISTINCT FROM (OLD.name, OLD.created_at, OLD.actor_kind, OLD.actor_id)
       OR NEW.revision < OLD.revision THEN
        RAISE EXCEPTION 'muniment: the identity of a namespace never changes'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Only how it is governed may change, and every change is kept.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER identity_stays BEFORE UPDATE ON namespace
    FOR EACH ROW EXECUTE FUNCTION namespace_identity_stays();
CREATE TRIGGER immutable BEFORE DELETE ON namespace
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- One change of how a namespace is governed.
CREATE TABLE namespace_event (
    name               text        COLLATE "C" NOT NULL REFERENCES namespace,
    revision           integer     NOT NULL CHECK (revision >= 2),
    at                 timestamptz NOT NULL,
    actor_kind         text        NOT NULL,
    actor_id           text        NOT NULL,
    reason             text        NOT NULL CHECK (reason <> ''),
    changes            jsonb       NOT NULL,         -- {field: [before, after]}
    mode               text        NOT NULL,
    production_aliases text[]      NOT NULL,
    entry_id           uuid        NOT NULL,
    PRIMARY KEY (name, revision)
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON namespace_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON namespace_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Every name an asset has or had: none is ever given to another asset.
CREATE TABLE asset_naming (
    namespace text        COLLATE "C" NOT NULL,
    name      text        COLLATE "C" NOT NULL,
    asset_id  uuid        NOT NULL REFERENCES asset,
    since     timestamptz NOT NULL,
    entry_id  uuid        NOT NULL,
    PRIMARY KEY (namespace, name)
);

CREATE INDEX asset_naming_asset ON asset_naming (asset_id, since);
INSERT INTO asset_naming (namespace, name, asset_id, since, entry_id)
    SELECT namespace, name, id, created_at, entry_id FROM asset;

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON asset_naming
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON asset_naming
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- When MLflow's API deleted the asset: its versions are retired, it takes no new ones.
ALTER TABLE asset ADD COLUMN tombstoned_at timestamptz;

CREATE OR REPLACE FUNCTION asset_identity_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.namespace, NEW.kind, NEW.created_at, NEW.actor_kind, NEW.actor_id, NEW.entry_id)
       IS DISTINCT FROM
       (OLD.id, OLD.namespace, OLD.kind, OLD.created_at, OLD.actor_kind, OLD.actor_id, OLD.entry_id)
       OR NEW.next_number < OLD.next_number OR NEW.revision < OLD.revision
       OR (OLD.tombstoned_at IS NOT NULL AND NEW.tombstoned_at IS DISTINCT FROM OLD.tombstoned_at)
    THEN
        RAISE EXCEPTION 'muniment: the identity of an asset never changes'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Register a new asset; only annotations may change, and are kept with their history.';
    END IF;
    IF NEW.name <> OLD.name AND NOT EXISTS (
        SELECT FROM asset_naming n
        WHERE n.namespace = NEW.namespace AND n.name = NEW.name AND n.asset_id = NEW.id
    ) THEN
        RAISE EXCEPTION 'muniment: an asset is renamed only to a name reserved for it'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Rename it through the registry, which reserves the name for ever.';
    END IF;
    RETURN NEW;
END
$$;

-- What was said of versions that are deprecated, retired or quarantined, or were; others have no row.
CREATE TABLE version_standing (
    version_id  uuid        PRIMARY KEY REFERENCES version,
    asset_id    uuid        NOT NULL,
    revision    integer     NOT NULL CHECK (revision >= 1),
    at          timestamptz NOT NULL,
    mark        text        CHECK (mark IN ('deprecated', 'retired')),
    quarantined boolean     NOT NULL,
    tombstoned  boolean     NOT NULL CHECK (NOT tombstoned OR mark = 'retired'),
    about       jsonb       NOT NULL                 -- reasons, replacement, sunset
);

CREATE INDEX version_standing_asset ON version_standing (asset_id);

CREATE FUNCTION version_standing_goes_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version_id <> OLD.version_id OR NEW.asset_id <> OLD.asset_id
       OR NEW.revision <> OLD.revision + 1 THEN
        RAISE EXCEPTION 'muniment: what may be done with a version changes one revision at a time'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.mark = 'retired' AND (NEW.mark IS DISTINCT FROM 'retired' OR OLD.tombstoned AND NOT NEW.tombstoned) THEN
        RAISE EXCEPTION 'muniment: a retired version stays retired'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Register its bytes again, as a new version.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER goes_on BEFORE UPDATE ON version_standing
    FOR EACH ROW EXECUTE FUNCTION version_standing_goes_on();
CREATE TRIGGER immutable BEFORE DELETE ON version_standing
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON version_standing
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One change of a version's standing, with all that held afterwards.
CREATE TABLE version_standing_event (
    version_id  uuid        NOT NULL REFERENCES version,
    revision    integer     NOT NULL CHECK (revision >= 1),
    asset_id    uuid        NOT NULL,
    at          timestamptz NOT NULL,
    mark        text,
    quarantined boolean     NOT NULL,
    tombstoned  boolean     NOT NULL,
    about       jsonb       NOT NULL,
    entry_id    uuid        NOT NULL,
    PRIMARY KEY (version_id, revision)
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON version_standing_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON version_standing_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Acts of slices above the catalog, for the histories of assets and versions.
CREATE TABLE asset_event (
    entry_id    uuid        PRIMARY KEY,
    asset_id    uuid        NOT NULL REFERENCES asset,
    version_ids uuid[],                              -- whom it concerns; null: every version
    at          timestamptz NOT NULL,
    act         text        NOT NULL,
    subject     text        NOT NULL,
    actor_kind  text        NOT NULL,
    actor_id    text        NOT NULL,
    reason      text        NOT NULL,
    changes     jsonb       NOT NULL                 -- {field: [before, after]}
);

CREATE INDEX asset_event_asset ON asset_event (asset_id, at, entry_id);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON asset_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON asset_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- An alias may move as part of another act: a promotion, a withdrawal.
ALTER TABLE alias_event ADD COLUMN act text NOT NULL DEFAULT 'alias.set';
ALTER TABLE alias_event ALTER COLUMN act DROP DEFAULT;
