"""OpenSSF Model Signing: what a signature says of a model's files, and how that fits a manifest.

`muniment.core.statement.model_signing_statement` writes what is read here.

Source: OpenSSF Model Signing v1.0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.digest import Digest
from muniment.core.errors import BadDigest, BadProof
from muniment.core.statement import MODEL_SIGNING_TYPE, STATEMENT_TYPE, is_git_path

#: What a model of one file is called in its own signature.
_ALONE: Final = "."


@dataclass(frozen=True, slots=True)
class ModelSignature:
    """What is signed: the model's name, each file's SHA-256, what was left out."""

    name: str
    files: Mapping[str, Digest]
    ignored: tuple[str, ...] = ()

    def compare(self, files: Mapping[str, Digest]) -> Comparison:
        """Compare what is signed with the files of a manifest."""
        signed = self.files
        if len(files) == 1 and set(signed) == {_ALONE}:
            signed = {next(iter(files)): signed[_ALONE]}
        return Comparison(
            other={
                path: (digest, files[path])
                for path, digest in signed.items()
                if path in files and files[path] != digest
            },
            absent=tuple(sorted(signed.keys() - files.keys())),
            unsigned=tuple(sorted(files.keys() - signed.keys())),
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a signature differs from a manifest.

    `other` maps paths to the digest that is signed and the one that is there; `absent` are signed
    and not there; `unsigned` are there and not signed.
    """

    other: Mapping[str, tuple[Digest, Digest]]
    absent: tuple[str, ...]
    unsigned: tuple[str, ...]

    def uncovered(self, signature_file: Digest | None, files: Mapping[str, Digest]) -> list[str]:
        """Return the files nobody signed, less what Model Signing leaves out of every signature.

        That is Git's own files at the top, and the signature itself.
        """
        return [
            path
            for path in self.unsigned
            if not is_git_path(path) and files[path] != signature_file
        ]


def read_model_signature(statement: Mapping[str, Any]) -> ModelSignature:
    """Read the statement of a model signature that lists files by their SHA-256.

    Raises:
        BadProof: it is another statement, or contradicts itself.
    """
    if statement.get("_type") != STATEMENT_TYPE:
        raise BadProof(f"expected a statement ({STATEMENT_TYPE}), found something else")
    if statement.get("predicateType") != MODEL_SIGNING_TYPE:
        raise BadProof(
            f"expected {MODEL_SIGNING_TYPE}, found another; sign it again with `model_signing` 1.0"
        )
    predicate = _mapping(statement.get("predicate"), "predicate")
    how = _mapping(predicate.get("serialization"), "predicate.serialization")
    if (how.get("method"), how.get("hash_type")) != ("files", "sha256"):
        raise BadProof(
            "expected files by SHA-256 (`method` files, `hash_type` sha256), found"
            f" {_shown(how.get('method'))} by {_shown(how.get('hash_type'))}: sign it again so"
        )
    name, root = _subject(statement.get("subject"))
    files = _files(predicate.get("resources"))
    if hashlib.sha256(b"".join(one.raw for one in files.values())).digest() != root.raw:
        raise BadProof("the digest of the subject is not that of the listed files")
    ignored = how.get("ignore_paths", [])
    if not (isinstance(ignored, list) and all(isinstance(one, str) for one in ignored)):
        raise BadProof("expected a list of paths as `ignore_paths`")
    return ModelSignature(name, files, tuple(ignored))


def roots_of(files: Mapping[str, Digest]) -> set[Digest]:
    """Return the digests by which Model Signing names a model's files: with Git's own and without.

    None for a model without files. Source: OpenSSF Model Signing v1.0, Payload.
    """
    every = [(path, digest.raw) for path, digest in sorted(files.items())]
    ours = [(path, raw) for path, raw in every if not is_git_path(path)]
    return {
        Digest(hashlib.sha256(b"".join(raw for _, raw in listed)).digest())
        for listed in (every, ours)
        if listed
    }


def _subject(value: Any) -> tuple[str, Digest]:
    if not isinstance(value, list) or len(value) != 1:
        raise BadProof("expected exactly one subject")
    subject = _mapping(value[0], "subject")
    digests = _mapping(subject.get("digest"), "subject.digest")
    return _shown(subject.get("name")), _digest(digests.get("sha256"), "the subject")


def _files(value: Any) -> dict[str, Digest]:
    if not isinstance(value, list) or not value:
        raise BadProof("expected a list of files as `resources`")
    files: dict[str, Digest] = {}
    for each in value:
        one = _mapping(each, "a resource")
        name = one.get("name")
        if not isinstance(name, str) or name in files:
            raise BadProof(f"expected each file once by its name, found {_shown(name)}")
        if one.get("algorithm") != "sha256":
            raise BadProof(f"expected the SHA-256 of {_shown(name)}, found another digest")
        files[name] = _digest(one.get("digest"), _shown(name))
    return files


def _digest(value: Any, what: str) -> Digest:
    try:
        return Digest.parse(value if isinstance(value, str) else "")
    except BadDigest:
        raise BadProof(f"expected the SHA-256 of {what}, found something else") from None


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadProof(f"expected an object as {what}, found something else")
    return value


def _shown(value: Any) -> str:
    return repr(value)[:80] if not isinstance(value, str) else value[:80]
