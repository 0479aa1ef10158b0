-- Artifacts: what was sent, what the store holds, and which files make up a version.
-- `manifest` and `manifest_blob` never change. `upload` and `upload_blob` are working state that is
-- swept; `blob` says what a sealed blob is, so that a registration need not read it.

CREATE TABLE upload (
    id           uuid        PRIMARY KEY,            -- UUIDv7
    principal_id uuid        NOT NULL,
    state        text        NOT NULL CHECK (state IN ('open', 'abandoned')),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL CHECK (expires_at > created_at)
);

CREATE INDEX upload_expires ON upload (expires_at) WHERE state = 'open';

CREATE TABLE upload_blob (
    upload_id  uuid   NOT NULL REFERENCES upload ON DELETE CASCADE,
    digest     bytea  NOT NULL CHECK (octet_length(digest) = 32),
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    sealed_at  timestamptz,
    PRIMARY KEY (upload_id, digest)
);

CREATE TABLE blob (
    digest     bytea       PRIMARY KEY CHECK (octet_length(digest) = 32),
    size_bytes bigint      NOT NULL CHECK (size_bytes >= 0),
    format     text        NOT NULL,                 -- as its bytes say
    executable boolean     NOT NULL,                 -- loading it may run code that is in it
    sealed_at  timestamptz NOT NULL
);

CREATE TABLE manifest (
    digest     bytea   PRIMARY KEY CHECK (octet_length(digest) = 32),
    body       bytea   NOT NULL,                     -- canonical JSON; its SHA-256 is `digest`
    size_bytes bigint  NOT NULL CHECK (size_bytes >= 0),
    file_count integer NOT NULL CHECK (file_count >= 0)
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON manifest
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON manifest
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Which manifests have a blob: who may read one of them may use the blob.
CREATE TABLE manifest_blob (
    digest          bytea NOT NULL,
    manifest_digest bytea NOT NULL REFERENCES manifest,
    PRIMARY KEY (digest, manifest_digest)
);

CREATE INDEX manifest_blob_manifest ON manifest_blob (manifest_digest);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON manifest_blob
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON manifest_blob
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
