-- Registrations whose bytes are fetched from elsewhere first. A row follows from the ledger: it is
-- made by `version.reserve`, and ended once, by `version.register` of its number or by `version.abandon`.
-- Its number is never given to anything else.

CREATE TABLE version_fetch (
    id         uuid        PRIMARY KEY,                       -- UUIDv7
    asset_id   uuid        NOT NULL REFERENCES asset,
    number     integer     NOT NULL CHECK (number >= 1),
    source     text        NOT NULL,                          -- as it was asked for
    about      jsonb       NOT NULL,                          -- what else was said of the version
    asked_at   timestamptz NOT NULL,
    actor_kind text        NOT NULL,
    actor_id   text        NOT NULL,
    entry_id   uuid        NOT NULL,
    state      text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'registered', 'failed')),
    reason     text        NOT NULL DEFAULT '',               -- why it failed
    ended_at   timestamptz,
    version_id uuid        REFERENCES version,
    UNIQUE (asset_id, number),
    CHECK ((state = 'pending') = (ended_at IS NULL)),
    CHECK ((state = 'registered') = (version_id IS NOT NULL))
);

CREATE INDEX version_fetch_pending ON version_fetch (asset_id) WHERE state = 'pending';

CREATE FUNCTION version_fetch_end_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'pending' THEN
        RAISE EXCEPTION 'muniment: rows of version_fetch never change'
            USING ERRCODE = 'restrict_violation', HINT = 'It ended already.';
    END IF;
    OLD.state := NEW.state;
    OLD.reason := NEW.reason;
    OLD.ended_at := NEW.ended_at;
    OLD.version_id := NEW.version_id;
    IF NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'muniment: rows of version_fetch never change'
            USING ERRCODE = 'restrict_violation', HINT = 'Only how it ended may be set, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER end_once BEFORE UPDATE ON version_fetch FOR EACH ROW EXECUTE FUNCTION version_fetch_end_once();
CREATE TRIGGER immutable BEFORE DELETE ON version_fetch FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON version_fetch FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What of a fetch is here already, so that a worker that was killed does not begin again. Working
-- state: dropped when the fetch ends.
CREATE TABLE version_fetch_file (
    fetch_id   uuid   NOT NULL REFERENCES version_fetch,
    path       text   COLLATE "C" NOT NULL,
    mark       text   NOT NULL,                               -- what the other side calls these bytes
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    digest     bytea  NOT NULL CHECK (octet_length(digest) = 32),
    PRIMARY KEY (fetch_id, path)
);
