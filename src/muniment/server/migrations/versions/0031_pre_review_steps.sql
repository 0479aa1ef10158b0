-- Steps of a review: an approval names the one it does; some may be said not to apply.

ALTER TABLE approval ADD COLUMN review_step text COLLATE "C"
    CHECK (review_step ~ '^[a-z][a-z0-9-]{0,62}$');
ALTER TABLE approval DROP CONSTRAINT approval_role_check;
ALTER TABLE approval ADD CONSTRAINT approval_role_check CHECK (role IN (
    'technical', 'platform', 'product', 'security', 'governance', 'legal', 'author'));
ALTER TABLE approval DROP CONSTRAINT approval_decision_check;
ALTER TABLE approval ADD CONSTRAINT approval_decision_check CHECK (decision IN (
    'approve', 'reject', 'defer', 'not_applicable'));
-- Who asked or made it does a step of their own and says no more; what does not apply is a step.
ALTER TABLE approval ADD CONSTRAINT approval_names_step CHECK (
    review_step IS NOT NULL OR (role <> 'author' AND decision <> 'not_applicable'));
