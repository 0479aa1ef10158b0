-- The ledger: what was done, where each act stands in the Merkle tree, and what was signed of it.
-- `ledger_entry`, `ledger_leaf` and `ledger_checkpoint` never change; `ledger_tile` grows at the
-- tree's right edge; `ledger_pending` is the queue between them.

-- For tables whose rows never change. Attach it twice:
--   CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON t
--     FOR EACH ROW EXECUTE FUNCTION refuse_change();
--   CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON t
--     FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'muniment: rows of % never change', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              HINT = TG_OP || ' was refused. A correction is a new entry, never an edit.';
END
$$;

CREATE TABLE ledger_entry (
    id           uuid        PRIMARY KEY,            -- UUIDv7
    at           timestamptz NOT NULL,
    act          text        NOT NULL,
    actor_kind   text        NOT NULL,
    actor_id     text        NOT NULL,
    subject_kind text        NOT NULL,
    subject_id   text        NOT NULL,
    subject_name text        NOT NULL,
    asset_id     uuid,
    digests      bytea[]     NOT NULL DEFAULT '{}',
    leaf         bytea       NOT NULL CHECK (octet_length(leaf) BETWEEN 1 AND 65535),
    payload      bytea       CHECK (octet_length(payload) <= 1048576),  -- unsigned entries
    bundle       bytea       CHECK (octet_length(bundle) <= 2097152),   -- signed entries
    -- A signed entry's payload is inside its bundle; an erased one is nowhere.
    CHECK (payload IS NULL OR bundle IS NULL)
);

CREATE INDEX ledger_entry_asset ON ledger_entry (asset_id, id) WHERE asset_id IS NOT NULL;
CREATE INDEX ledger_entry_subject ON ledger_entry (subject_kind, subject_id, id);
CREATE INDEX ledger_entry_actor ON ledger_entry (actor_id, id);

-- The one change an entry knows: its payload is erased, which is itself an act in the log.
CREATE FUNCTION ledger_entry_erase_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    OLD.payload := NULL;
    IF NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'muniment: rows of ledger_entry never change'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Only the payload may be erased (set to NULL), by an act of erasure.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER erase_only BEFORE UPDATE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_entry_erase_only();
CREATE TRIGGER immutable BEFORE DELETE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Committed and not yet placed. `arrival` is drawn when the entry is written: an act that had to
-- wait for another's row lock draws later than it, so leaves stand in the order the tables changed
-- (identifiers are made earlier, before any wait, and could stand the other way round).
CREATE TABLE ledger_pending (
    arrival  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_id uuid   NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE ledger_leaf (
    leaf_index bigint PRIMARY KEY CHECK (leaf_index >= 0),
    entry_id   uuid   NOT NULL UNIQUE,
    leaf_hash  bytea  NOT NULL CHECK (octet_length(leaf_hash) = 32)
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON ledger_leaf
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON ledger_leaf
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Up to 256 hashes of 32 bytes each; only the last tile of a level holds fewer.
CREATE TABLE ledger_tile (
    level      smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    tile_index bigint   NOT NULL CHECK (tile_index >= 0),
    hashes     bytea    NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192
                                        AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (level, tile_index)
);
ALTER TABLE ledger_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;  -- hashes do not compress

-- A tile keeps every hash it has; it may only gain some.
CREATE FUNCTION ledger_tile_grow_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.level <> OLD.level OR NEW.tile_index <> OLD.tile_index
       OR octet_length(NEW.hashes) <= octet_length(OLD.hashes)
       OR substr(NEW.hashes, 1, octet_length(OLD.hashes)) <> OLD.hashes THEN
        RAISE EXCEPTION 'muniment: rows of ledger_tile never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A tile may only gain hashes.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER grow_only BEFORE UPDATE ON ledger_tile
    FOR EACH ROW EXECUTE FUNCTION ledger_tile_grow_only();
CREATE TRIGGER immutable BEFORE DELETE ON ledger_tile
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON ledger_tile
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE ledger_checkpoint (
    size         bigint      PRIMARY KEY CHECK (size >= 0),
    root         bytea       NOT NULL CHECK (octet_length(root) = 32),
    note         text        NOT NULL,
    signed_at    timestamptz NOT NULL,
    published_at timestamptz
);

-- Published once, after its tiles and the fork guard are written.
CREATE FUNCTION ledger_checkpoint_publish_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.published_at IS NOT NULL THEN
        RAISE EXCEPTION 'muniment: rows of ledger_checkpoint never change'
            USING ERRCODE = 'restrict_violation', HINT = 'It was published already.';
    END IF;
    OLD.published_at := NEW.published_at;
    IF NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'muniment: rows of ledger_checkpoint never change'
            USING ERRCODE = 'restrict_violation', HINT = 'Only published_at may be set, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER publish_only BEFORE UPDATE ON ledger_checkpoint
    FOR EACH ROW EXECUTE FUNCTION ledger_checkpoint_publish_only();
CREATE TRIGGER immutable BEFORE DELETE ON ledger_checkpoint
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON ledger_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
