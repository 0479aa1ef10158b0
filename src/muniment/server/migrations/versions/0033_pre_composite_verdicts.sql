-- Verdicts on composites are none of their leads' alone.

ALTER TABLE policy_verdict
    ADD COLUMN composite text COLLATE "C" REFERENCES composite;  -- null: a version or asset alone

CREATE INDEX policy_verdict_composite ON policy_verdict (composite, id) WHERE composite IS NOT NULL;
