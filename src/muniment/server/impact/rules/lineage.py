"""What a version or run says it was made from, who vouches for that, and what leads nowhere.

1. Metadata names code, datasets, base models, features, run and pipeline; provenance names materials.
2. A link is verified where provenance by a signer the registry believes names the same digest (of a
   pipeline: the same run); otherwise it is asserted.
3. A material that metadata does not name is a node of its own.
4. What is kept elsewhere needs a digest, and what should be here must be here: else it dangles.

Source: R-061 to R-069; requirements §4.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from muniment.core.errors import BadReference, BadRequest
from muniment.core.names import Alias, AssetRef, VersionRef
from muniment.server.evidence import clean
from muniment.server.impact.records import (
    Dangling,
    LinkKind,
    Node,
    NodeKind,
    Said,
    Subject,
    Voucher,
)

_NAMED: Final = {
    kind.value: kind
    for kind in (
        NodeKind.DATASET, NodeKind.BASE_MODEL, NodeKind.FEATURE, NodeKind.COMMIT, NodeKind.RUN,
        NodeKind.JOB, NodeKind.PIPELINE,
    )
}  # fmt: skip
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_KEY_MAX: Final = 1990
#: How a dataset of a type is given a digest.
_DIGESTS: Final = {
    "dvc": "the md5 of its `.dvc` file as `dvc-md5:…`, with the commit of that file",
    "delta": "the SHA-256 of its commit file (`_delta_log/…json`) beside the table's version",
    "iceberg": "the SHA-256 of its metadata file beside the snapshot's id",
    "croissant": "the `sha256` of its FileObject, or of the Croissant file itself",
    "huggingface": "the commit of its repository as `version`, not a branch",
}


def read_root(text: str) -> VersionRef | Node:
    """Return what lineage is asked of: a version, or something versions are made from.

    Raises:
        BadReference: it is neither.
    """
    kind_text, colon, key = text.strip().partition(":")
    if not colon or kind_text not in _NAMED:
        return VersionRef.parse(text.strip())
    if not 1 <= len(key) <= _KEY_MAX or "\0" in key:
        raise BadReference(f"expected a name of 1 to {_KEY_MAX} characters after {kind_text}:")
    return Node(_NAMED[kind_text], key, key, called=frozenset({key}))


def version_node(one: Subject) -> Node:
    """Return a version as a node."""
    about = {
        "kind": one.kind,
        "registered_at": one.registered_at.isoformat(),
        "registered_by": one.registered_by,
    }
    return Node(NodeKind.VERSION, str(one.id), one.name, one.manifest, about)


def redacted(number: int, kind: NodeKind = NodeKind.VERSION) -> Node:
    """Return the node that stands for something the caller may not read."""
    return Node(kind, f"redacted-{number}", "not yours to read", redacted=True)


def said_by(one: Subject) -> list[Said]:
    """Return everything a version says it was made from, and what provenance of it adds."""
    metadata = one.metadata
    found = [
        *_code(metadata),
        *_references(metadata, "training_datasets", NodeKind.DATASET, LinkKind.TRAINED_ON),
        *_references(metadata, "evaluation_datasets", NodeKind.DATASET, LinkKind.EVALUATED_ON),
        *_references(metadata, "base_models", NodeKind.BASE_MODEL, LinkKind.TUNED_FROM),
        *_references(metadata, "features", NodeKind.FEATURE, LinkKind.USES_FEATURE),
        *(_derived(text) for text in metadata.get("derived_from", ())),
        *_executions(metadata),
    ]
    vouched = [_vouched(each, one.vouchers) for each in found]
    return vouched + list(_materials(found, one.vouchers))


def said_by_run(inputs: Any) -> list[Said]:
    """Return the datasets a tracked run says it used, as MLflow's client tells them."""
    found = []
    for each in inputs if isinstance(inputs, list) else ():
        told = each.get("dataset") if isinstance(each, dict) else None
        if not isinstance(told, dict) or not isinstance(told.get("name"), str):
            continue
        digest = told.get("digest")
        name, known = told["name"], isinstance(digest, str) and digest
        node = reference_node(
            NodeKind.DATASET,
            {"name": name, **({"digest": f"mlflow:{digest}"} if known else {})},
        )
        found.append(Said(LinkKind.USED, node))
    return found


def reference_node(kind: NodeKind, said: Mapping[str, Any]) -> Node:
    """Return a dataset, base model or feature as it is named: by name, version and digest."""
    name, version, digest = said["name"], said.get("version"), said.get("digest")
    label = name if version is None else f"{name}@{version}"
    if digest is None and said.get("type") == "huggingface" and _COMMIT.fullmatch(version or ""):
        digest = f"git:{version}"
    about = {
        field: str(said[field])
        for field in ("type", "uri", "commit", "checked_at", "license")
        if said.get(field)
    }
    called = frozenset({name, label, *((digest,) if digest else ())})
    key = label if digest is None else f"{label}#{digest}"
    names = frozenset({name, *([said["uri"].rstrip("/")] if said.get("uri") else [])})
    return Node(kind, key, label, digest, about, called, names=names, version=version)


def _code(metadata: Mapping[str, Any]) -> Iterator[Said]:
    code = metadata.get("code")
    if code is None:
        return
    commit = code["commit"]
    about = {field: str(code[field]) for field in ("repository", "path") if code.get(field)}
    if code.get("dirty"):
        about["dirty"] = "true"
    node = Node(NodeKind.COMMIT, commit, commit, f"git:{commit}", about, frozenset({commit}))
    yield Said(LinkKind.BUILT_FROM, node)


def _references(
    metadata: Mapping[str, Any], field: str, kind: NodeKind, link: LinkKind
) -> Iterator[Said]:
    for each in metadata.get(field, ()):
        here = _version_here(each) if kind is NodeKind.BASE_MODEL else None
        yield Said(link, reference_node(kind, each), here)


def _version_here(said: Mapping[str, Any]) -> VersionRef | None:
    """The version that a base model's name and version would be here; never by an alias."""
    try:
        found = VersionRef.parse(f"{said['name']}@{said.get('version', '')}")
    except BadRequest:
        return None
    return None if isinstance(found.at, Alias) else found


def _derived(text: str) -> Said:
    node = Node(NodeKind.BASE_MODEL, text, text, called=frozenset({text}))
    try:
        reference = VersionRef.parse(text)
    except BadRequest:
        return Said(LinkKind.DERIVED_FROM, node, must=True)
    return Said(LinkKind.DERIVED_FROM, node, reference, must=True)


def _executions(metadata: Mapping[str, Any]) -> Iterator[Said]:
    for kind, block, member in (
        (NodeKind.RUN, "run", "id"),
        (NodeKind.PIPELINE, "pipeline", "run_id"),
    ):
        said = metadata.get(block)
        if said is not None:
            key = said[member]
            about = {name: str(value) for name, value in said.items() if name != member}
            yield Said(LinkKind.MADE_BY, Node(kind, key, key, None, about, frozenset({key})))


def _vouched(one: Said, vouchers: Sequence[Voucher]) -> Said:
    """The same, with the first provenance that names it."""
    for voucher in vouchers:
        if _names(one.node, voucher):
            return _with(one, voucher)
    return one


def _with(one: Said, voucher: Voucher) -> Said:
    return Said(
        one.kind,
        one.node,
        one.reference,
        one.must,
        voucher.verified,
        voucher.evidence_id,
        voucher.signer,
    )


def _names(node: Node, voucher: Voucher) -> bool:
    if node.kind is NodeKind.PIPELINE:
        return node.key in re.split(r"[/:?#&=@]", voucher.invocation)
    return any(_same(node, digests) for _, digests in voucher.materials)


def _same(node: Node, digests: Mapping[str, str]) -> bool:
    """Say whether a material's digests are the node's: of a commit by its value alone."""
    if node.digest is None:
        return False
    algorithm, _, value = node.digest.partition(":")
    if node.kind is NodeKind.COMMIT:
        return any(digests.get(name) == value for name in ("gitCommit", "sha1"))
    return digests.get(algorithm) == value


def _materials(found: Sequence[Said], vouchers: Sequence[Voucher]) -> Iterator[Said]:
    """What provenance names and metadata does not, each once, by the first that names it."""
    seen = set()
    for voucher in vouchers:
        for uri, digests in voucher.materials:
            if not digests or any(_same(each.node, digests) for each in found):
                continue
            algorithm = next((name for name in ("sha256", "gitCommit") if name in digests), None)
            algorithm = algorithm or min(digests)
            digest = f"{algorithm}:{digests[algorithm]}"
            if digest in seen:
                continue
            seen.add(digest)
            node = Node(NodeKind.MATERIAL, digest, clean(uri or digest, 500), digest)
            yield _with(Said(LinkKind.BUILT_FROM, node), voucher)


def dangling(node: Node) -> Dangling | None:
    """Return what is wrong with something kept elsewhere, None if it can be recognised again."""
    if node.kind is NodeKind.COMMIT:
        return _loose_commit(node)
    if node.kind not in {NodeKind.DATASET, NodeKind.BASE_MODEL, NodeKind.FEATURE} or node.digest:
        return None
    what = node.kind.value.replace("_", " ")
    how = _DIGESTS.get(node.about.get("type", ""), "its `digest` (`sha256:…`)")
    if node.kind is NodeKind.BASE_MODEL:
        how += ", or register the base model here and name its version"
    return Dangling(
        "no_digest",
        node.id,
        f"the {what} {node.label} is kept elsewhere and named without a digest",
        f"name it in the next version with {how}",
    )


def _loose_commit(node: Node) -> Dangling | None:
    if "dirty" in node.about:
        message = f"the work tree at {node.label[:12]} had changes that no commit has"
        return Dangling("dirty", node.id, message, "commit them, and build the next version of it")
    if "repository" not in node.about:
        message = f"no repository is named that has the commit {node.label[:12]}"
        return Dangling("no_repository", node.id, message, "name it in `code.repository`")
    return None


def not_found(node: Node, reference: VersionRef | None) -> Dangling:
    """Return the finding of something that should be here and is not, or may not be read."""
    if node.kind is NodeKind.RUN:
        elsewhere = node.about.get("tracker_uri")
        message = f"the run {node.label} is not tracked here"
        fix = f"look at {elsewhere}" if elsewhere else "say where: `run.tracker_uri`"
        return Dangling("not_found", node.id, message, fix)
    if reference is not None and isinstance(reference.at, Alias):
        message = f"{node.label} is an alias, which may point elsewhere tomorrow"
        return Dangling("moving", node.id, message, "name a version: NAME@1.2.0")
    message = f"there is no version {node.label} here, or you may not see it"
    return Dangling("not_found", node.id, message, "register it, or name one that is here")


def other_digest(one: Node, said: Node) -> Dangling | None:
    """Return the finding that a version here is not the one meant, by its digest; None if it may be."""
    if not (said.digest or "").startswith("sha256:") or said.digest == one.digest:
        return None
    message = f"{said.label} is here with the digest {one.digest}, and was named with {said.digest}"
    return Dangling("other_digest", one.id, message, "find out which of the two was meant")


def nothing_named(one: Node) -> Dangling:
    """Return the finding of a version that does not say what it was made from."""
    return Dangling(
        "nothing_named",
        one.id,
        f"{one.label} names no code, data, base model or run",
        "name them in the metadata of the next version, or add its provenance",
    )


def names_of(assets: Iterable[AssetRef], version: str, number: int) -> list[str]:
    """Return every way in which metadata may name a version of this registry, but by alias."""
    names = {text for one in assets for text in (str(one), f"{one.namespace}/{one.name}")}
    return sorted(f"{name}@{at}" for name in names for at in (version, str(number)))
