-- Composites: what runs together, each under the identifier that its manifest has (its CVI).

CREATE TABLE composite (
    cvi           text        COLLATE "C" PRIMARY KEY CHECK (cvi ~ '^cvi1-[a-z2-7]{52}$'),
    id            uuid        NOT NULL UNIQUE,           -- UUIDv7; the order of registration
    namespace     text        COLLATE "C" NOT NULL REFERENCES namespace (name),
    system        text        NOT NULL,
    manifest      bytea       NOT NULL,                  -- canonical JSON; components by kind and name
    digests       text[]      COLLATE "C" NOT NULL,      -- ALGORITHM:VALUE of every component, as lists find it
    registered_at timestamptz NOT NULL,
    actor_kind    text        NOT NULL,
    actor_id      text        COLLATE "C" NOT NULL,
    entry_id      uuid        NOT NULL                   -- its `composite.register` in the ledger
);

CREATE INDEX composite_digests ON composite USING gin (digests) WITH (fastupdate = off);
CREATE INDEX composite_namespace ON composite (namespace, id);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON composite
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON composite
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
