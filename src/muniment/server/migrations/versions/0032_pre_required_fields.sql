-- What an organisation asks for of versions beside what everybody does.

ALTER TABLE namespace
    ADD COLUMN required_fields jsonb NOT NULL DEFAULT '[]';        -- as `namespace.govern` has them
ALTER TABLE namespace_event
    ADD COLUMN required_fields jsonb NOT NULL DEFAULT '[]';
