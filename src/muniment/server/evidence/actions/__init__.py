"""The verbs of evidence: read files, record what they say, sign, and say whose word is believed."""

from muniment.server.evidence.actions.recording import (
    check_subject,
    evidence_of,
    judge,
    keep,
    keep_all,
    load,
    parse_held,
    read_context,
    record,
    record_all,
    refused,
    reparse,
)
from muniment.server.evidence.actions.signing import (
    add_signer,
    as_kept,
    record_signature,
    registry_signer,
    remove_signer,
    sign,
)

# fmt: off
__all__ = [
    "add_signer", "as_kept", "check_subject", "evidence_of", "judge", "keep", "keep_all", "load", "parse_held", "read_context",
    "record", "record_all", "record_signature", "refused", "registry_signer", "remove_signer", "reparse", "sign",
]
