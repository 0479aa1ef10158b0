"""The composite version identifier: one string for everything that runs together.

A composite manifest lists code, data, model, adapter, prompt, configuration and environment. Its
identifier is a Merkle root over the manifest, so that one component can be proved without showing
the others, and the order they are listed in does not matter. Rules, in order:

1. The manifest has `schema`, `system` and `components`, and nothing else: what is not hashed must
   not look as if it were.
2. Strings are in Unicode form NFC; there are no floats; a record is at most 65 535 bytes.
3. A record has a known `kind`, a `name`, and either a digest or `status: not-applicable` with a
   reason. A model behind a provider's interface may instead be `declared: true` with its version.
4. No two records have the same kind and name.
5. Every required kind occurs; a kind that is not applicable has no other record.

Source: requirements §1.5.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from muniment.core.canon import MAX_DEPTH, canonical_no_floats, from_base64, to_base64
from muniment.core.errors import BadComposite, BadJson, BadProof
from muniment.core.merkle import (
    MAX_ENTRY_BYTES,
    inclusion_proof,
    leaf_hash,
    root_hash,
    verify_inclusion,
)

SCHEMA = "muniment/composite-version/v1"
PROOF_SCHEMA = "muniment/component-proof/v1"
REQUIRED_KINDS = frozenset({"code", "data", "model", "adapter", "prompt", "config", "env"})
EXTRA_KINDS = frozenset({"router", "retrieval-index", "tools", "guardrail", "provider-model"})
MAX_COMPONENTS = 10_000

_KINDS = REQUIRED_KINDS | EXTRA_KINDS
_MEMBERS = {"schema", "system", "components"}
_PROOF_MEMBERS = {"schema", "component", "index", "size", "hashes"}
_CVI = re.compile(r"cvi1-[a-z2-7]{52}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_PROOF = 64


def cvi(manifest: Mapping[str, Any]) -> str:
    """Return the identifier of a composite manifest: `cvi1-` and 52 characters `a-z 2-7`.

    Raises:
        BadComposite: the manifest breaks a rule; `problems` names every one it breaks.
    Source: requirements §1.5, Algorithm.
    """
    return format_cvi(root_hash(component_leaf_hashes(manifest)))


def format_cvi(root: bytes) -> str:
    """Write a root (32 raw bytes) as an identifier. Source: requirements §1.5, step 4."""
    return "cvi1-" + base64.b32encode(root).decode().rstrip("=").lower()


def parse_cvi(text: str) -> bytes:
    """Read an identifier; return the root, 32 raw bytes.

    Raises:
        BadComposite: it is none.
    """
    root = b""
    if isinstance(text, str) and _CVI.fullmatch(text):
        root = base64.b32decode(text[5:].upper() + "====")
    if not root or format_cvi(root) != text:
        raise BadComposite("expected cvi1- and 52 characters a-z 2-7, found something else")
    return root


def component_leaf_hashes(manifest: Mapping[str, Any]) -> list[bytes]:
    """Return the leaf hashes: schema and system first, then components by kind and name.

    Raises:
        BadComposite: the manifest breaks a rule.
    """
    components = sorted_components(manifest)
    head = {"schema": SCHEMA, "system": manifest["system"]}
    return [leaf_hash(canonical_no_floats(record)) for record in (head, *components)]


def sorted_components(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the manifest's records by kind, then name, in the order of code points.

    Raises:
        BadComposite: the manifest breaks a rule; `problems` names every one it breaks.
    """
    problems = list(_problems(manifest))
    if problems:
        wrong = "; ".join(f"{each['field']}: {each['message']}" for each in problems[:5])
        raise BadComposite(f"the composite manifest cannot be accepted: {wrong}", problems=problems)
    return sorted(manifest["components"], key=lambda record: (record["kind"], record["name"]))


def component_proof(manifest: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """Return a JSON proof that one component is in the composite, showing none of the others.

    `hashes` is bottom-up, base64.

    Raises:
        BadComposite: the manifest breaks a rule, or has no such component.
    """
    components = sorted_components(manifest)
    keys = [(record["kind"], record["name"]) for record in components]
    if (kind, name) not in keys:
        raise BadComposite(f"expected a component {kind!r:.80} {name!r:.80}, found none")
    position = keys.index((kind, name))
    hashes = component_leaf_hashes(manifest)
    return {
        "schema": PROOF_SCHEMA,
        "component": components[position],
        "index": position + 1,
        "size": len(hashes),
        "hashes": [to_base64(each) for each in inclusion_proof(position + 1, hashes)],
    }


def verify_component(identifier: str, proof: Mapping[str, Any]) -> dict[str, Any]:
    """Return the component that a proof shows to be part of the composite `identifier`.

    Raises:
        BadComposite: `identifier` is none.
        BadProof: the proof cannot be read, or leads elsewhere.
    Source: RFC 9162 §2.1.3.2.
    """
    root = parse_cvi(identifier)
    if not isinstance(proof, Mapping) or proof.keys() != _PROOF_MEMBERS:
        raise BadProof(f"expected a proof with {sorted(_PROOF_MEMBERS)}")
    component, index, hashes = proof["component"], proof["index"], proof["hashes"]
    if proof["schema"] != PROOF_SCHEMA:
        raise BadProof(f"expected a proof of a component ({PROOF_SCHEMA})")
    problems = list(_record_problems("component", component))
    if problems:
        raise BadProof("expected a component in the proof, found none", problems=problems)
    if not isinstance(hashes, list) or len(hashes) > _MAX_PROOF:
        raise BadProof(f"expected at most {_MAX_PROOF} hashes in the proof")
    leaf = leaf_hash(canonical_no_floats(component))
    verify_inclusion(leaf, index, proof["size"], [from_base64(each) for each in hashes], root)
    return dict(component)


def _problems(manifest: object) -> Iterator[dict[str, Any]]:
    if not isinstance(manifest, Mapping):
        yield _problem("", f"expected an object, found {type(manifest).__name__}")
        return
    for name in sorted(map(str, manifest.keys() ^ _MEMBERS)):
        yield _problem(name, "missing" if name in _MEMBERS else "not a member of a manifest")
    if manifest.get("schema") != SCHEMA:
        yield _problem("schema", f"expected {SCHEMA}")
    if not _is_name(manifest.get("system")):
        yield _problem("system", "expected a name in Unicode form NFC")
    records = manifest.get("components")
    if not (isinstance(records, list) and len(records) <= MAX_COMPONENTS):
        yield _problem("components", f"expected a list of at most {MAX_COMPONENTS} records")
        return
    for position, record in enumerate(records):
        yield from _record_problems(f"components[{position}]", record)
    yield from _set_problems([record for record in records if _has_key(record)])


def _record_problems(field: str, record: object) -> Iterator[dict[str, Any]]:
    """What is wrong with one record (rules 2 and 3)."""
    if not isinstance(record, dict):
        yield _problem(field, f"expected an object, found {type(record).__name__}")
        return
    if not _has_key(record):
        yield _problem(field, f"expected a name and a kind of {sorted(_KINDS)}")
    if not _is_nfc(record):
        yield _problem(field, "expected strings in Unicode form NFC", "normalise them to NFC")
    try:
        if len(canonical_no_floats(record)) > MAX_ENTRY_BYTES:
            yield _problem(field, f"expected at most {MAX_ENTRY_BYTES} bytes of canonical JSON")
    except BadJson as error:
        yield _problem(field, error.message)
    yield from _content_problems(field, record)


def _content_problems(field: str, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is wrong with what a record says it is (rule 3)."""
    digest, status = record.get("digest"), record.get("status")
    if status is not None:
        if status != "not-applicable" or digest is not None:
            yield _problem(field, "expected status not-applicable without digest, or no status")
        if not _is_name(record.get("reason")):
            yield _problem(field, "expected a reason why this kind is not applicable")
    elif digest is None and record.get("kind") == "provider-model":
        if record.get("declared") is not True or not _is_name(record.get("version")):
            yield _problem(field, "expected declared: true and a version, or a digest")
    elif not (isinstance(digest, dict) and digest and all(map(_is_name, digest.values()))):
        yield _problem(
            field,
            "expected a digest: algorithm names with digests as text",
            "or give status not-applicable and a reason",
        )


def _set_problems(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What is wrong with the records together (rules 4 and 5)."""
    seen: set[tuple[str, str]] = set()
    applicable: dict[str, set[bool]] = {}
    for record in records:
        key = (record["kind"], record["name"])
        if key in seen:
            yield _problem("components", f"expected {key[0]} {key[1][:80]!r} once, found it again")
        seen.add(key)
        applicable.setdefault(key[0], set()).add(record.get("status") is None)
    for kind in sorted(REQUIRED_KINDS - applicable.keys()):
        yield _problem(
            "components",
            f"expected a record of kind {kind}, found none",
            "add one, or one with status not-applicable and a reason",
        )
    for kind in sorted(kind for kind, both in applicable.items() if len(both) > 1):
        yield _problem("components", f"{kind} is both present and not applicable")


def _has_key(record: object) -> bool:
    return (
        isinstance(record, dict)
        and isinstance(record.get("kind"), str)
        and record["kind"] in _KINDS
        and _is_name(record.get("name"))
    )


def _is_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and value != ""
        and not _SURROGATE.search(value)
        and unicodedata.is_normalized("NFC", value)
    )


def _is_nfc(record: object) -> bool:
    """Whether every string in `record`, keys too, is in Unicode form NFC."""
    level, depth = [record], 0
    while level and depth <= MAX_DEPTH:
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += [*item.keys(), *item.values()]
            elif isinstance(item, (list, tuple)):
                below += item
            elif isinstance(item, str) and not unicodedata.is_normalized("NFC", item):
                return False
        level, depth = below, depth + 1
    return True


def _problem(field: str, message: str, fix: str | None = None) -> dict[str, Any]:
    return {"field": field, "message": message} | ({"fix": fix} if fix else {})
