-- Vulnerability databases, as snapshots of what others publish, matched against the components of SBOMs.

-- What a component's purl shares with every other purl of its package: `pkg:pypi/pillow`.
ALTER TABLE component ADD COLUMN package text COLLATE "C";

ALTER TABLE component DISABLE TRIGGER immutable;
UPDATE component SET package =
    CASE WHEN lower(purl) LIKE 'pkg:pypi/%' THEN lower(regexp_replace(
             regexp_replace(split_part(split_part(purl, '?', 1), '#', 1), '@[^@/]*$', ''), '[-_.]+', '-', 'g'))
         ELSE lower(regexp_replace(split_part(split_part(replace(purl, '%40', '@'), '?', 1), '#', 1), '(?<=[^/])@[^@/]*$', ''))
    END
WHERE purl LIKE 'pkg:%';
ALTER TABLE component ENABLE TRIGGER immutable;

CREATE INDEX component_package ON component (package) WHERE package IS NOT NULL;

-- One file on its way into a database. Working state: what comes of it is `advisory_database`.
CREATE TABLE advisory_import (
    id            uuid        PRIMARY KEY,             -- UUIDv7
    ecosystem     text        COLLATE "C" NOT NULL,    -- of OSV (`PyPI`), or `KEV`
    source_digest bytea       NOT NULL CHECK (octet_length(source_digest) = 32),
    source_bytes  bigint      NOT NULL CHECK (source_bytes >= 0),
    source_name   text        NOT NULL,
    dated_at      timestamptz,                         -- as asked; else the newest record's
    older         boolean     NOT NULL,                -- may go back behind what is there
    state         text        NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'done', 'failed')),
    read_count    bigint      NOT NULL DEFAULT 0,
    total_count   bigint,
    database_id   uuid,
    problems      jsonb       NOT NULL DEFAULT '[]',
    asked_at      timestamptz NOT NULL,
    actor_kind    text        NOT NULL,
    actor_id      text        COLLATE "C" NOT NULL
);

CREATE INDEX advisory_import_source ON advisory_import (source_digest);

-- A snapshot. Its records are the rows of `advisory` with since <= number < until.
CREATE TABLE advisory_database (
    id              uuid        PRIMARY KEY,           -- UUIDv7
    ecosystem       text        COLLATE "C" NOT NULL,
    number          integer     NOT NULL CHECK (number >= 1),
    digest          bytea       NOT NULL CHECK (octet_length(digest) = 32), -- over ids and digests of records
    rows_digest     bytea       NOT NULL CHECK (octet_length(rows_digest) = 32), -- over what was read from them
    dated_at        timestamptz NOT NULL,
    record_count    bigint      NOT NULL CHECK (record_count >= 0),
    withdrawn_count bigint      NOT NULL CHECK (withdrawn_count BETWEEN 0 AND record_count),
    source_digest   bytea       NOT NULL CHECK (octet_length(source_digest) = 32), -- held as a blob
    source_bytes    bigint      NOT NULL CHECK (source_bytes >= 0),
    source_name     text        NOT NULL,
    recorded_at     timestamptz NOT NULL,
    actor_kind      text        NOT NULL,
    actor_id        text        COLLATE "C" NOT NULL,
    entry_id        uuid        NOT NULL,              -- its `vulnerabilities.import` in the ledger
    UNIQUE (ecosystem, number)
);

CREATE INDEX advisory_database_source ON advisory_database (source_digest);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON advisory_database
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON advisory_database
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One record of a database, or one line of KEV, as it was from one snapshot until another.
CREATE TABLE advisory (
    id        bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ecosystem text    COLLATE "C" NOT NULL,
    osv_id    text    COLLATE "C" NOT NULL,
    digest    bytea   NOT NULL CHECK (octet_length(digest) = 32), -- of the record's file
    withdrawn boolean NOT NULL,
    modified  timestamptz NOT NULL,
    names     text[]  COLLATE "C" NOT NULL,            -- its id and aliases
    packages  text[]  COLLATE "C" NOT NULL,            -- keys of the packages it is about
    body      text    NOT NULL,                        -- canonical JSON of what was read from it
    since     integer NOT NULL,
    until     integer CHECK (until > since)
);

CREATE UNIQUE INDEX advisory_now ON advisory (ecosystem, osv_id) WHERE until IS NULL;
CREATE INDEX advisory_names ON advisory USING gin (names) WHERE until IS NULL;
CREATE INDEX advisory_packages ON advisory USING gin (packages) WHERE until IS NULL;

CREATE FUNCTION advisory_end_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.until IS NOT NULL THEN
        RAISE EXCEPTION 'muniment: rows of advisory never change'
            USING ERRCODE = 'restrict_violation', HINT = 'A newer snapshot has another already.';
    END IF;
    OLD.until := NEW.until;
    IF NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'muniment: rows of advisory never change'
            USING ERRCODE = 'restrict_violation', HINT = 'Only until which snapshot it was may be set, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER end_once BEFORE UPDATE ON advisory FOR EACH ROW EXECUTE FUNCTION advisory_end_once();
CREATE TRIGGER immutable BEFORE DELETE ON advisory FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON advisory FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Until when the statements of a VEX document hold. The document is evidence; it may be added again for longer.
CREATE TABLE vex (
    id           uuid        PRIMARY KEY,              -- UUIDv7
    evidence_id  uuid        NOT NULL REFERENCES evidence,
    subject_kind text        COLLATE "C" NOT NULL,
    subject_id   text        COLLATE "C" NOT NULL,
    subject_name text        NOT NULL,
    asset_id     uuid,
    expires_at   timestamptz NOT NULL,
    added_at     timestamptz NOT NULL,
    actor_kind   text        NOT NULL,
    actor_id     text        COLLATE "C" NOT NULL,
    entry_id     uuid        NOT NULL,                 -- its `vulnerabilities.vex` in the ledger
    CHECK (expires_at > added_at)
);

CREATE INDEX vex_subject ON vex (subject_kind, subject_id, added_at);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON vex FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON vex FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- All SBOMs matched against the newest snapshots. What changed for a subject is evidence of it.
CREATE TABLE vulnerability_matching (
    id              uuid        PRIMARY KEY,           -- UUIDv7
    ruleset_id      text        COLLATE "C" NOT NULL,
    databases       jsonb       NOT NULL,              -- {ecosystem: id of the snapshot}
    component_count bigint      NOT NULL CHECK (component_count >= 0), -- distinct ones that some advisory is about
    subject_count   bigint      NOT NULL CHECK (subject_count >= 0),
    changed_count   bigint      NOT NULL CHECK (changed_count BETWEEN 0 AND subject_count),
    results_digest  bytea       NOT NULL CHECK (octet_length(results_digest) = 32), -- over subjects and what was found
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz NOT NULL,
    entry_id        uuid        NOT NULL               -- its `vulnerabilities.match` in the ledger
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON vulnerability_matching
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON vulnerability_matching
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What is recorded with an SBOM is matched: asked for in the transaction that records it.
CREATE FUNCTION ask_for_match() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind = 'sbom' THEN
        INSERT INTO pgqueuer (entrypoint, payload, dedupe_key, priority, status)
        VALUES ('vulnerabilities.match_subject',
                convert_to(json_build_object('kind', NEW.subject_kind, 'id', NEW.subject_id)::text, 'UTF8'),
                'match ' || NEW.id, 0, 'queued')
        ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL
        DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER ask_for_match AFTER INSERT ON evidence
    FOR EACH ROW EXECUTE FUNCTION ask_for_match();
