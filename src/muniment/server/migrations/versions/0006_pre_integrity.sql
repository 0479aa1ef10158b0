-- Every entry carries a MAC made with a key that is not in the database, and what waits without a
-- right one is refused.

-- An entry from before has no MAC and can be given none: whoever could make it now could also have
-- made the entry. Nothing was released without it, so there is nothing to carry over.
DO $$
BEGIN
    IF EXISTS (SELECT FROM ledger_entry) THEN
        RAISE EXCEPTION 'muniment: this log was begun before entries were authenticated'
            USING HINT = 'It was made by an unreleased muniment. Begin a new data directory or '
                         'database, and register again what is still needed.';
    END IF;
END
$$;

-- HMAC-SHA256 under the entry key over the row's id, its asset and its leaf.
ALTER TABLE ledger_entry ADD COLUMN mac bytea NOT NULL CHECK (octet_length(mac) = 32);

-- HMAC-SHA256 under the entry key over size, time of signing and note: the time is not in the note.
ALTER TABLE ledger_checkpoint ADD COLUMN mac bytea CHECK (octet_length(mac) = 32);

-- What stood in the queue and was given no leaf, because the registry did not put it there. Each
-- row is an act of its own in the log (`entry.refuse`).
CREATE TABLE ledger_refused (
    act_id     uuid        PRIMARY KEY,              -- the `entry.refuse` that says so
    entry_id   uuid        NOT NULL,                 -- what was refused; it may not exist
    reason     text        NOT NULL CHECK (reason IN ('forged', 'absent', 'repeated')),
    refused_at timestamptz NOT NULL
);

CREATE INDEX ledger_refused_entry ON ledger_refused (entry_id);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON ledger_refused
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON ledger_refused
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Stored bytes that a scrub found missing or changed, until it finds them right again. Each row is
-- an act in the log (`blob.fail`), and its end another (`blob.heal`).
CREATE TABLE blob_finding (
    act_id    uuid        PRIMARY KEY,               -- the `blob.fail` that says so
    digest    bytea       NOT NULL CHECK (octet_length(digest) = 32),
    problem   text        NOT NULL CHECK (problem IN ('missing', 'changed')),
    found_at  timestamptz NOT NULL,
    healed_at timestamptz
);

-- A blob that stays wrong is one finding, however often it is read.
CREATE UNIQUE INDEX blob_finding_open ON blob_finding (digest) WHERE healed_at IS NULL;

CREATE FUNCTION blob_finding_heal_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.healed_at IS NOT NULL OR NEW.healed_at IS NULL
       OR (NEW.act_id, NEW.digest, NEW.problem, NEW.found_at)
          IS DISTINCT FROM (OLD.act_id, OLD.digest, OLD.problem, OLD.found_at) THEN
        RAISE EXCEPTION 'muniment: rows of blob_finding never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A finding may be healed, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER heal_only BEFORE UPDATE ON blob_finding
    FOR EACH ROW EXECUTE FUNCTION blob_finding_heal_only();
CREATE TRIGGER immutable BEFORE DELETE ON blob_finding
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON blob_finding
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One reading of all stored bytes, in the order of their digests. `cursor` is how far it got; a
-- finished pass is an act in the log (`scrub.finish`).
CREATE TABLE scrub_pass (
    id            uuid        PRIMARY KEY,           -- UUIDv7; also of its `scrub.finish`
    started_at    timestamptz NOT NULL,
    held_bytes    bigint      NOT NULL,              -- what there was to read when it began
    cursor        bytea       NOT NULL DEFAULT '',
    blob_count    bigint      NOT NULL DEFAULT 0,
    size_bytes    bigint      NOT NULL DEFAULT 0,
    finding_count bigint      NOT NULL DEFAULT 0,    -- blobs found wrong, known before or not
    leased_until  timestamptz NOT NULL,              -- one server reads at a time
    finished_at   timestamptz
);

CREATE UNIQUE INDEX scrub_pass_one_open ON scrub_pass ((finished_at IS NULL))
    WHERE finished_at IS NULL;
CREATE INDEX scrub_pass_started ON scrub_pass (started_at);

-- A principal may be disabled, and enabled again; all else stays as it was made.
CREATE OR REPLACE FUNCTION principal_disable_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.disabled_at IS NULL) = (NEW.disabled_at IS NULL)
       OR (NEW.id, NEW.kind, NEW.name, NEW.display_name, NEW.created_at)
          IS DISTINCT FROM (OLD.id, OLD.kind, OLD.name, OLD.display_name, OLD.created_at) THEN
        RAISE EXCEPTION 'muniment: rows of principal never change'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'A principal may be disabled, and enabled again.';
    END IF;
    RETURN NEW;
END
$$;

-- What its principal might do when a request was answered: an answer is not given again to who may
-- do less now. Of answers from before nothing is known, and they are a day old at most.
DELETE FROM idempotency;
ALTER TABLE idempotency ADD COLUMN grants jsonb NOT NULL;  -- [{role, namespace, asset}]

-- What a principal has on its way is counted for each declaration.
CREATE INDEX upload_principal ON upload (principal_id) WHERE state = 'open';

-- Whether anything names a blob is asked for each that is old enough to be collected.
CREATE INDEX upload_blob_digest ON upload_blob (digest);
CREATE INDEX tracking_artifact_digest ON tracking_artifact (digest);
