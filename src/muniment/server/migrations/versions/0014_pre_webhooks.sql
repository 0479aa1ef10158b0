-- Who is told, by HTTP, of what is done here. `webhook` follows from the ledger; its secrets, what is
-- to be delivered and how that went are working state.

CREATE TABLE webhook (
    id          uuid        PRIMARY KEY,                   -- UUIDv7
    dialect     text        COLLATE "C" NOT NULL,          -- whose format it is told in
    name        text        NOT NULL,
    url         text        NOT NULL,
    events      text[]      NOT NULL CHECK (cardinality(events) > 0),
    acts        text[]      NOT NULL,                      -- acts those may follow from: `noun.verb`, `noun.*`, `*`
    description text        NOT NULL,
    status      text        COLLATE "C" NOT NULL CHECK (status IN ('active', 'disabled')),
    namespace   text        COLLATE "C",                   -- only what is done there; NULL: everywhere
    secret_id   uuid,                                      -- the newest one; NULL: deliveries are not signed
    revision    integer     NOT NULL CHECK (revision >= 1),
    created_at  timestamptz NOT NULL,
    actor_kind  text        NOT NULL,
    actor_id    text        COLLATE "C" NOT NULL,
    updated_at  timestamptz NOT NULL,
    updated_by_kind text    NOT NULL,
    updated_by_id   text    COLLATE "C" NOT NULL,
    entry_id    uuid        NOT NULL                       -- the last act on it
);

-- Encrypted with a key that follows from the entry key, which is not in the database.
CREATE TABLE webhook_secret (
    id         uuid        PRIMARY KEY,
    webhook_id uuid        NOT NULL REFERENCES webhook ON DELETE CASCADE,
    sealed     bytea       NOT NULL,
    ends_at    timestamptz                                 -- when one that was replaced stops to sign
);

CREATE INDEX webhook_secret_webhook ON webhook_secret (webhook_id);

CREATE TABLE webhook_delivery (
    id          uuid        PRIMARY KEY,                   -- UUIDv7; what receivers know it by
    webhook_id  uuid        NOT NULL REFERENCES webhook ON DELETE CASCADE,
    entry_id    uuid,                                      -- the act it tells of; NULL: a test
    part        integer     NOT NULL CHECK (part >= 0),    -- which of the events of that act
    event       text        COLLATE "C" NOT NULL,
    state       text        COLLATE "C" NOT NULL CHECK (state IN ('due', 'delivered', 'failed')),
    attempts    integer     NOT NULL DEFAULT 0,
    round_from  integer     NOT NULL DEFAULT 0,            -- how many there were when it was last asked for
    created_at  timestamptz NOT NULL,
    due_at      timestamptz,                               -- of the next attempt
    ended_at    timestamptz,
    error       text        NOT NULL DEFAULT '',           -- why the last attempt failed
    UNIQUE (webhook_id, entry_id, part),
    CHECK ((state = 'due') = (ended_at IS NULL))
);

CREATE INDEX webhook_delivery_newest ON webhook_delivery (webhook_id, id DESC);
CREATE INDEX webhook_delivery_again ON webhook_delivery (webhook_id) WHERE state = 'due' AND attempts > 0;
CREATE INDEX webhook_delivery_ended ON webhook_delivery (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE webhook_attempt (
    delivery_id uuid        NOT NULL REFERENCES webhook_delivery ON DELETE CASCADE,
    number      integer     NOT NULL CHECK (number >= 1),
    at          timestamptz NOT NULL,
    duration_ms integer     NOT NULL CHECK (duration_ms >= 0),
    status      integer,                                   -- HTTP; NULL: no answer
    error       text        NOT NULL,
    answer      text        NOT NULL,                      -- the beginning of its body
    PRIMARY KEY (delivery_id, number)
);

-- Asked for in the transaction of the act itself, by its entry, so that what acts does not know
-- webhooks; without an active one that wants such acts it costs one look at a small table.
CREATE FUNCTION announce_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM webhook
               WHERE status = 'active'
                     AND acts && ARRAY['*', NEW.act, split_part(NEW.act, '.', 1) || '.*']) THEN
        INSERT INTO pgqueuer (entrypoint, payload, priority, status)
        VALUES ('webhooks.announce',
                convert_to(json_build_object('entry_id', NEW.id)::text, 'UTF8'), 0, 'queued');
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER announce AFTER INSERT ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION announce_entry();
