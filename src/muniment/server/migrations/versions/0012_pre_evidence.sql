-- Evidence: what is claimed of a version or composite, the file that says so, and what it is bound to.
-- Nothing here ever changes. `parsed` follows from the file in the blob store; `component` and
-- `evidence_component` from an SBOM's file, kept apart so that vulnerabilities are matched against
-- each distinct component once.

CREATE TABLE evidence (
    id             uuid        PRIMARY KEY,          -- UUIDv7
    subject_kind   text        COLLATE "C" NOT NULL CHECK (subject_kind IN ('version', 'composite')),
    subject_id     text        COLLATE "C" NOT NULL, -- a version's id, a composite's CVI
    subject_name   text        NOT NULL,             -- what it was called: `fraud@1.0.0`
    asset_id       uuid,
    kind           text        COLLATE "C" NOT NULL CHECK (kind <> ''),
    format         text        COLLATE "C" NOT NULL, -- the parser that read it; `unknown`: none did
    format_version text        COLLATE "C" NOT NULL, -- of the parser, so that reparse knows what to expect
    digest         bytea       NOT NULL CHECK (octet_length(digest) = 32),
    size_bytes     bigint      NOT NULL CHECK (size_bytes >= 0),
    file_name      text        NOT NULL,
    parsed         bytea       NOT NULL,             -- canonical JSON
    parsed_digest  bytea       NOT NULL CHECK (octet_length(parsed_digest) = 32),
    assurance       text        COLLATE "C" NOT NULL CHECK (assurance IN ('asserted', 'verified')),
    signer         text,                             -- who vouches for it, where verified
    context_digest bytea       CHECK (octet_length(context_digest) = 32),
    bound          jsonb       NOT NULL,             -- {component: digest}: what it depends on
    flags          text[]      COLLATE "C" NOT NULL,
    tool_name      text,
    tool_version   text,
    produced_at    timestamptz,                      -- when the run it tells of ended, as it says
    recorded_at    timestamptz NOT NULL,
    actor_kind     text        NOT NULL,
    actor_id       text        COLLATE "C" NOT NULL,
    entry_id       uuid        NOT NULL,             -- its `evidence.add` in the ledger
    CONSTRAINT evidence_once
        UNIQUE NULLS NOT DISTINCT (subject_kind, subject_id, kind, digest, context_digest)
);

CREATE INDEX evidence_subject ON evidence (subject_kind, subject_id, recorded_at, id);
CREATE INDEX evidence_asset ON evidence (asset_id, recorded_at, id) WHERE asset_id IS NOT NULL;
CREATE INDEX evidence_digest ON evidence (digest);
CREATE INDEX evidence_kind ON evidence (kind, id);
CREATE INDEX evidence_bound ON evidence USING gin (bound jsonb_path_ops) WITH (fastupdate = off);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON evidence
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON evidence
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One distinct component of any SBOM: its name, version, purl, licences and hashes.
CREATE TABLE component (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest  bytea  NOT NULL UNIQUE CHECK (octet_length(digest) = 32),  -- of `body`
    name    text   COLLATE "C" NOT NULL,
    version text   COLLATE "C",
    purl    text   COLLATE "C",
    body    text   NOT NULL                          -- canonical JSON of all that is known of it
);

CREATE INDEX component_purl ON component (purl) WHERE purl IS NOT NULL;
CREATE INDEX component_name ON component (name, version);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON component
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON component
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Which SBOM has which components, in the order of the file.
CREATE TABLE evidence_component (
    evidence_id  uuid    NOT NULL REFERENCES evidence,
    position     integer NOT NULL CHECK (position >= 0),
    component_id bigint  NOT NULL REFERENCES component,
    PRIMARY KEY (evidence_id, position)
);

CREATE INDEX evidence_component_of ON evidence_component (component_id, evidence_id);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON evidence_component
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON evidence_component
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
