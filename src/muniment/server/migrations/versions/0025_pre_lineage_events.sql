-- What jobs elsewhere told of their runs, as OpenLineage events: kept byte for byte, never changed.
-- What is beside `body` follows from it, so that lineage is found by index.

CREATE TABLE lineage_event (
    id           uuid        PRIMARY KEY,              -- UUIDv7
    kind         text        COLLATE "C" NOT NULL CHECK (kind IN ('run', 'job', 'dataset')),
    maker        text        COLLATE "C" NOT NULL,     -- `run:UUID`, `job:NAMESPACE/NAME`, `dataset:NAMESPACE/NAME`
    job          text        COLLATE "C",              -- NAMESPACE/NAME
    event_type   text        COLLATE "C",              -- START, RUNNING, COMPLETE, …; of runs alone
    event_time   timestamptz NOT NULL,                 -- as the producer says it
    producer     text        NOT NULL,
    schema_url   text        NOT NULL,                 -- empty if it did not say
    parent_run   text        COLLATE "C",
    code_commit  text        COLLATE "C",
    repository   text,
    inputs       jsonb       NOT NULL,                 -- [{kind, name, version, digest, also}]
    outputs      jsonb       NOT NULL,
    input_names  text[]      COLLATE "C" NOT NULL,     -- every name by which they are found
    output_names text[]      COLLATE "C" NOT NULL,
    digest       bytea       NOT NULL CHECK (octet_length(digest) = 32),  -- of `body`
    body         bytea       NOT NULL,                 -- JSON, as it was sent
    recorded_at  timestamptz NOT NULL,
    actor_kind   text        NOT NULL,
    actor_id     text        COLLATE "C" NOT NULL,
    entry_id     uuid        NOT NULL,                 -- its `lineage.tell` in the ledger
    CONSTRAINT lineage_event_once
        UNIQUE NULLS NOT DISTINCT (maker, event_type, event_time, actor_kind, actor_id)
);

CREATE INDEX lineage_event_job ON lineage_event (job, id) WHERE job IS NOT NULL;
CREATE INDEX lineage_event_commit ON lineage_event (code_commit) WHERE code_commit IS NOT NULL;
CREATE INDEX lineage_event_inputs ON lineage_event USING gin (input_names) WITH (fastupdate = off);
CREATE INDEX lineage_event_outputs ON lineage_event USING gin (output_names) WITH (fastupdate = off);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON lineage_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON lineage_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Datasets of versions are found by where they are kept, too: events know nothing else of them.
CREATE INDEX version_training_uris ON version USING gin ((metadata->'training_datasets') jsonb_path_ops)
    WHERE metadata @? '$.training_datasets[*].uri';
CREATE INDEX version_evaluation_uris ON version USING gin ((metadata->'evaluation_datasets') jsonb_path_ops)
    WHERE metadata @? '$.evaluation_datasets[*].uri';
