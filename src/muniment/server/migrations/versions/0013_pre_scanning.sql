-- What scans found. Nothing here ever changes: a scan of a version, and of each blob what it came to under
-- one ruleset, so that the same bytes are not read again for the next version that has them.

CREATE TABLE scan (
    id             uuid        PRIMARY KEY,           -- UUIDv7
    version_id     uuid        NOT NULL REFERENCES version,
    version_name   text        NOT NULL,              -- what it was called: `fraud@1.0.0`
    ruleset_id     text        COLLATE "C" NOT NULL,
    ruleset        bytea       NOT NULL CHECK (octet_length(ruleset) = 32),
    tool_name      text        COLLATE "C" NOT NULL,
    tool_version   text        COLLATE "C" NOT NULL,
    verdict        text        COLLATE "C" NOT NULL
                   CHECK (verdict IN ('clean', 'executable_allow_listed', 'unscannable', 'findings')),
    executable     boolean     NOT NULL,
    file_count     integer     NOT NULL CHECK (file_count >= 0),
    reused_count   integer     NOT NULL CHECK (reused_count BETWEEN 0 AND file_count), -- scanned before
    stopped_count  integer     NOT NULL CHECK (stopped_count BETWEEN 0 AND file_count), -- for want of time or memory
    severities     jsonb       NOT NULL,              -- {severity: findings}
    started_at     timestamptz NOT NULL,
    ended_at       timestamptz NOT NULL,
    report_digest  bytea       NOT NULL CHECK (octet_length(report_digest) = 32), -- held as a blob
    report_bytes   bigint      NOT NULL CHECK (report_bytes >= 0),
    evidence_id    uuid        NOT NULL REFERENCES evidence,
    recorded_at    timestamptz NOT NULL,
    actor_kind     text        NOT NULL,
    actor_id       text        COLLATE "C" NOT NULL,
    entry_id       uuid        NOT NULL               -- its `scan.record` in the ledger
);

CREATE INDEX scan_version ON scan (version_id, id);
-- A whole scan under a ruleset is done once; one in which a file's scan was stopped may be repeated.
CREATE UNIQUE INDEX scan_once ON scan (version_id, ruleset) WHERE stopped_count = 0;

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON scan
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON scan
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE file_scan (
    digest  bytea NOT NULL CHECK (octet_length(digest) = 32),
    ruleset bytea NOT NULL CHECK (octet_length(ruleset) = 32),
    hint    text  COLLATE "C" NOT NULL,               -- what of its name the scan depended on
    verdict text  COLLATE "C" NOT NULL,
    result  bytea NOT NULL,                           -- canonical JSON: format, findings, opinions
    scan_id uuid  NOT NULL REFERENCES scan,           -- the first that had it
    PRIMARY KEY (digest, ruleset, hint)
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON file_scan
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON file_scan
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Every version that has files is scanned: asked for in the transaction that registers it, without a statement
-- of its own. Workers look for jobs that nobody told them of every few seconds.
CREATE FUNCTION ask_for_scan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.file_count > 0 THEN
        INSERT INTO pgqueuer (entrypoint, payload, dedupe_key, priority, status)
        VALUES ('scanning.scan', convert_to(json_build_object('version_id', NEW.id)::text, 'UTF8'),
                'scan ' || NEW.id, 0, 'queued')
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
        DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER ask_for_scan AFTER INSERT ON version
    FOR EACH ROW EXECUTE FUNCTION ask_for_scan();
