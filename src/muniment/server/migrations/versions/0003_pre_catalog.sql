-- The catalog: what is governed, under which names, and what was said about it when.
-- `version`, `annotation` and `alias_event` never change. `asset` and `version_label` hold what the
-- latest annotation says, `alias` what the latest event says: views of the log, kept for speed.
--
-- Text that is compared or sorted is COLLATE "C": order is by code point on every machine, and a
-- plain index serves LIKE 'prefix%'.

CREATE TABLE namespace (
    name       text        COLLATE "C" PRIMARY KEY,
    created_at timestamptz NOT NULL,
    actor_kind text        NOT NULL,
    actor_id   text        NOT NULL
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON namespace
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON namespace
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE asset (
    id                 uuid        PRIMARY KEY,      -- UUIDv7
    namespace          text        COLLATE "C" NOT NULL REFERENCES namespace,
    name               text        COLLATE "C" NOT NULL,
    kind               text        COLLATE "C" NOT NULL CHECK (kind IN ('model', 'prompt', 'adapter')),
    created_at         timestamptz NOT NULL,
    actor_kind         text        NOT NULL,
    actor_id           text        COLLATE "C" NOT NULL,
    entry_id           uuid        NOT NULL,         -- its `asset.create` in the ledger
    -- Below: what the latest annotation says.
    revision           integer     NOT NULL CHECK (revision >= 1),
    updated_at         timestamptz NOT NULL,
    description        text        NOT NULL,
    owner              text        COLLATE "C" NOT NULL CHECK (owner <> ''),
    backup_owner       text        COLLATE "C",
    escalation_contact text        COLLATE "C",
    risk_tier          text        COLLATE "C" CHECK (risk_tier IN ('minimal', 'limited', 'high', 'unacceptable')),
    tags               jsonb       NOT NULL,         -- {key: text}
    -- The number the next version gets; MLflow's clients need gap-free integers.
    next_number        integer     NOT NULL DEFAULT 1 CHECK (next_number >= 1),
    UNIQUE (namespace, name)
) WITH (fillfactor = 80);                            -- room for next_number to move in place

CREATE INDEX asset_name ON asset (name, id);
CREATE INDEX asset_created ON asset (created_at, id);
CREATE INDEX asset_owner ON asset (owner, id);
CREATE INDEX asset_tags ON asset USING gin (tags jsonb_path_ops) WITH (fastupdate = off);
ALTER TABLE asset ALTER COLUMN tags SET STATISTICS 1000;  -- so that rare tags are known to be rare

CREATE FUNCTION asset_identity_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.namespace, NEW.name, NEW.kind, NEW.created_at, NEW.actor_kind, NEW.actor_id, NEW.entry_id)
       IS DISTINCT FROM
       (OLD.id, OLD.namespace, OLD.name, OLD.kind, OLD.created_at, OLD.actor_kind, OLD.actor_id, OLD.entry_id)
       OR NEW.next_number < OLD.next_number OR NEW.revision < OLD.revision THEN
        RAISE EXCEPTION 'muniment: the identity of an asset never changes'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Register a new asset; only annotations may change, and are kept with their history.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER identity_stays BEFORE UPDATE ON asset
    FOR EACH ROW EXECUTE FUNCTION asset_identity_stays();
CREATE TRIGGER immutable BEFORE DELETE ON asset
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON asset
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE version (
    id                      uuid        PRIMARY KEY, -- UUIDv7
    asset_id                uuid        NOT NULL REFERENCES asset,
    number                  integer     NOT NULL CHECK (number >= 1),
    version                 text        COLLATE "C" NOT NULL,  -- as given, build metadata included
    -- Sorts as SemVer precedence does and ignores build metadata, which is why it is what is unique.
    precedence              text        COLLATE "C" NOT NULL,
    manifest_digest         bytea       NOT NULL CHECK (octet_length(manifest_digest) = 32),
    size_bytes              bigint      NOT NULL CHECK (size_bytes >= 0),
    file_count              integer     NOT NULL CHECK (file_count >= 0),
    formats                 text[]      NOT NULL,
    executable              boolean     NOT NULL,
    metadata                jsonb       NOT NULL,
    metadata_digest         bytea       NOT NULL CHECK (octet_length(metadata_digest) = 32),
    metrics_at_registration jsonb       NOT NULL,    -- {name: number}
    registered_at           timestamptz NOT NULL,
    actor_kind              text        NOT NULL,
    actor_id                text        COLLATE "C" NOT NULL,
    entry_id                uuid        NOT NULL,    -- its `version.register` in the ledger
    UNIQUE (asset_id, precedence),
    UNIQUE (asset_id, number)
);

CREATE INDEX version_digest ON version (manifest_digest);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON version
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON version
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What the latest annotation of a version says, beside copies of what versions are found and sorted
-- by: a search walks this table alone and fetches from the others only what it shows.
CREATE TABLE version_label (
    version_id    uuid        PRIMARY KEY REFERENCES version,
    asset_id      uuid        NOT NULL,
    registered_at timestamptz NOT NULL,
    actor_id      text        COLLATE "C" NOT NULL,
    metrics       jsonb       NOT NULL,              -- metrics_at_registration
    terms         text[]      COLLATE "C" NOT NULL,  -- `dataset:x`, `license:MIT`, …: from the metadata
    -- Below: what the latest annotation says.
    revision      integer     NOT NULL CHECK (revision >= 1),
    description   text        NOT NULL,
    tags          jsonb       NOT NULL               -- {key: text}
);

CREATE INDEX version_label_registered ON version_label (registered_at, version_id);
CREATE INDEX version_label_asset ON version_label (asset_id, registered_at, version_id);
CREATE INDEX version_label_actor ON version_label (actor_id, registered_at, version_id);
-- Without a pending list, which every search would have to read through until the next vacuum.
CREATE INDEX version_label_terms ON version_label USING gin (terms) WITH (fastupdate = off);
CREATE INDEX version_label_tags ON version_label USING gin (tags jsonb_path_ops) WITH (fastupdate = off);
-- So that rare terms and tags are known to be rare.
ALTER TABLE version_label ALTER COLUMN terms SET STATISTICS 1000;
ALTER TABLE version_label ALTER COLUMN tags SET STATISTICS 1000;

CREATE FUNCTION version_label_copies_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.version_id, NEW.asset_id, NEW.registered_at, NEW.actor_id, NEW.metrics, NEW.terms)
       IS DISTINCT FROM
       (OLD.version_id, OLD.asset_id, OLD.registered_at, OLD.actor_id, OLD.metrics, OLD.terms)
       OR NEW.revision < OLD.revision THEN
        RAISE EXCEPTION 'muniment: only annotations of a version change'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Register a new version; annotations are kept with their history.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER copies_stay BEFORE UPDATE ON version_label
    FOR EACH ROW EXECUTE FUNCTION version_label_copies_stay();
CREATE TRIGGER immutable BEFORE DELETE ON version_label
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON version_label
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One change of what is said of an asset or a version: what changed, and all that held afterwards.
CREATE TABLE annotation (
    subject_id   uuid        NOT NULL,               -- an asset's or a version's
    revision     integer     NOT NULL CHECK (revision >= 1),
    subject_kind text        NOT NULL CHECK (subject_kind IN ('asset', 'version')),
    asset_id     uuid        NOT NULL REFERENCES asset,
    at           timestamptz NOT NULL,
    actor_kind   text        NOT NULL,
    actor_id     text        NOT NULL,
    reason       text        NOT NULL,
    changes      jsonb       NOT NULL,               -- {field: [before, after]}
    state        jsonb       NOT NULL,               -- {field: value}
    entry_id     uuid        NOT NULL,
    PRIMARY KEY (subject_id, revision)
);

CREATE INDEX annotation_asset ON annotation (asset_id, at, entry_id);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON annotation
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON annotation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Where an alias points now; unset is NULL, since what was named once keeps its history.
CREATE TABLE alias (
    asset_id   uuid        NOT NULL REFERENCES asset,
    name       text        COLLATE "C" NOT NULL,
    version_id uuid        REFERENCES version,
    revision   integer     NOT NULL CHECK (revision >= 1),
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (asset_id, name)
) WITH (fillfactor = 80);

CREATE INDEX alias_name ON alias (name, version_id);
CREATE INDEX alias_version ON alias (version_id) WHERE version_id IS NOT NULL;

CREATE TRIGGER immutable BEFORE DELETE ON alias
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON alias
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE alias_event (
    asset_id            uuid        NOT NULL REFERENCES asset,
    name                text        COLLATE "C" NOT NULL,
    revision            integer     NOT NULL CHECK (revision >= 1),
    version_id          uuid        REFERENCES version,
    previous_version_id uuid        REFERENCES version,
    at                  timestamptz NOT NULL,
    actor_kind          text        NOT NULL,
    actor_id            text        NOT NULL,
    reason              text        NOT NULL,
    entry_id            uuid        NOT NULL,
    PRIMARY KEY (asset_id, name, revision),
    CHECK (version_id IS DISTINCT FROM previous_version_id)
);

CREATE INDEX alias_event_asset ON alias_event (asset_id, at, entry_id);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON alias_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON alias_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Never called. `$n OR plan_for_values(id)` with $n true vanishes from a plan made for the values at
-- hand, and makes one made for any values seem dear: PostgreSQL then plans each search for what it
-- asks, where one plan for rare and common terms alike could be a thousand times slower.
CREATE FUNCTION plan_for_values(uuid) RETURNS boolean LANGUAGE plpgsql STABLE COST 1000000000 AS $$
BEGIN
    RETURN true;
END
$$;
