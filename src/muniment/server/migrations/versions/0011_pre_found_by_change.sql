-- MLflow lists versions by when something was last said of them, unless asked otherwise: the label,
-- which a search walks, has that moment too. A page costs the same among a hundred thousand versions.

ALTER TABLE version_label ADD COLUMN updated_at timestamptz;     -- when the latest annotation was made

UPDATE version_label l SET updated_at = n.at
FROM annotation n WHERE n.subject_id = l.version_id AND n.revision = l.revision;

ALTER TABLE version_label ALTER COLUMN updated_at SET NOT NULL;

CREATE INDEX version_label_updated ON version_label (updated_at);
CREATE INDEX version_label_asset_updated ON version_label (asset_id, updated_at);
-- Which versions a run gave.
CREATE INDEX version_run ON version ((metadata->'run'->>'id')) WHERE metadata->'run'->>'id' IS NOT NULL;
