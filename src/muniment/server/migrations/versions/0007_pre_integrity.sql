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
