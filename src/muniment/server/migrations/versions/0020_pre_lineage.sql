-- Lineage downwards: which versions name another one as what they follow from, which use a feature,
-- which runs used a dataset. Everything else is found by its term (version_label.terms).

CREATE INDEX version_derived_from ON version USING gin ((metadata->'derived_from'))
    WHERE metadata ? 'derived_from';
CREATE INDEX version_features ON version USING gin ((metadata->'features') jsonb_path_ops)
    WHERE metadata ? 'features';
CREATE INDEX tracking_run_inputs ON tracking_run USING gin (inputs jsonb_path_ops)
    WHERE inputs <> '[]';
