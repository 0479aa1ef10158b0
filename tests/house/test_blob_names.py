"""Every column that could name a stored blob is known to the collector, or is known not to name one.

A column that does and is forgotten would have its bytes removed. So: if this fails for a column of
yours, add it to one of the two lists; if it names a blob, have `named_blobs` of your slice (in
`wiring.KEEPERS`) answer for it.
"""

from __future__ import annotations

from typing import Any

NAMES_A_BLOB = {
    ("advisory_database", "source_digest"),
    ("advisory_import", "source_digest"),
    ("blob", "digest"),
    ("manifest_blob", "digest"),
    ("upload_blob", "digest"),
    ("tracking_artifact", "digest"),
    ("evidence", "digest"),
    ("evidence", "context_digest"),
    ("version_fetch_file", "digest"),
}
NAMES_NONE = {
    ("advisory", "digest"),  # of a record in a zip, which is held whole
    ("advisory_database", "digest"),
    ("advisory_database", "rows_digest"),
    ("blob_finding", "digest"),  # about blobs, without a claim to them
    ("component", "digest"),
    ("composite", "digests"),  # of components, wherever they are kept
    ("consumer_binding", "use_sha256"),  # of words
    ("evidence", "parsed_digest"),
    ("file_scan", "digest"),  # about blobs, without a claim to them
    ("idempotency", "request_digest"),
    ("ledger_entry", "digests"),
    ("lineage_event", "digest"),  # of the body, which is in its own table
    ("manifest", "digest"),
    ("manifest_blob", "manifest_digest"),
    ("policy_activation", "digest"),  # a bundle is held in its own table
    ("policy_bundle", "digest"),
    ("policy_simulation", "digest"),
    ("policy_verdict", "input_digest"),  # a document is in its entry
    ("policy_verdict", "policy_digest"),
    ("approval", "statement_sha256"),
    ("approval_request", "frozen_sha256"),
    ("decision", "frozen_sha256"),
    ("rule_exception", "statement_sha256"),
    ("signing_key", "key_sha256"),
    ("scan", "report_digest"),  # a report is evidence, which names it
    ("tracking_metric", "dataset_digest"),
    ("version", "manifest_digest"),
    ("version", "metadata_digest"),
    ("vulnerability_matching", "results_digest"),
}


async def test_every_digest_of_a_table_is_accounted_for(superuser: Any) -> None:
    rows = await superuser.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND (column_name ~ '(digest|sha256|blob)')"
    )
    found = {(row["table_name"], row["column_name"]) for row in rows}
    unknown = {one for one in found - NAMES_NONE - NAMES_A_BLOB if not one[1].endswith("_count")}
    assert not unknown, f"does this name a stored blob? {sorted(unknown)}"
    assert found >= NAMES_A_BLOB
