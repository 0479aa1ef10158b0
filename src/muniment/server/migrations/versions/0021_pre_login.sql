-- People who come in by an OpenID Connect issuer: which issuers, what their groups are here, who is who.

CREATE TABLE login_issuer (
    id           uuid        PRIMARY KEY,                        -- UUIDv7
    name         text        COLLATE "C" NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    url          text        COLLATE "C" NOT NULL CHECK (char_length(url) <= 500),
    client_id    text        COLLATE "C" NOT NULL,               -- the one audience of its ID tokens
    groups_claim text        COLLATE "C" NOT NULL,
    scopes       text[]      NOT NULL CHECK (scopes @> '{openid}'),
    roles        jsonb       NOT NULL,                           -- [{group, role, namespace, asset}]
    created_at   timestamptz NOT NULL,
    removed_at   timestamptz                                     -- for good; it may be added anew
);

CREATE UNIQUE INDEX login_issuer_name ON login_issuer (name) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX login_issuer_url ON login_issuer (url) WHERE removed_at IS NULL;

CREATE FUNCTION login_issuer_change_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.removed_at IS NOT NULL
       OR (NEW.id, NEW.name, NEW.url, NEW.client_id, NEW.groups_claim, NEW.scopes, NEW.created_at)
          IS DISTINCT FROM
          (OLD.id, OLD.name, OLD.url, OLD.client_id, OLD.groups_claim, OLD.scopes, OLD.created_at)
    THEN
        RAISE EXCEPTION 'muniment: rows of login_issuer never change'
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Roles of groups may change; an issuer may be removed, once.';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER change_only BEFORE UPDATE ON login_issuer
    FOR EACH ROW EXECUTE FUNCTION login_issuer_change_only();
CREATE TRIGGER immutable BEFORE DELETE ON login_issuer
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON login_issuer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Who a person is: issuer and subject, and nothing else (names and addresses change hands).
CREATE TABLE person_identity (
    principal_id uuid        PRIMARY KEY REFERENCES principal,
    issuer       text        COLLATE "C" NOT NULL,               -- its URL
    subject      text        COLLATE "C" NOT NULL,
    created_at   timestamptz NOT NULL,
    UNIQUE (issuer, subject)
);

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON person_identity
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON person_identity
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- By whose groups a role was given; null: by hand. Only the former go when groups do.
ALTER TABLE role_grant ADD COLUMN issuer_id uuid REFERENCES login_issuer;
