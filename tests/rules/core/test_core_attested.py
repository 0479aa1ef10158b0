"""Signed statements about models: verified, asserted or refused; never verified after a changed byte."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.attested import Judged, Model, builder_of, judge, subjects_of, use_of
from muniment.core.digest import Digest, digest_of
from muniment.core.envelope import is_envelope, read_envelope
from muniment.core.errors import BadManifest, BadProof, BadSignature, MunimentError
from muniment.core.model_signing import read_model_signature, roots_of
from muniment.core.signers import Signer, SignerKind, SignerUse
from muniment.core.statement import model_signing_statement, statement
from tests.support.signing import BUILDER, NOW, bundle_by, p256, pem_of, provenance_of

KEY = p256(1)
ALICE = Signer(
    name="alice",
    kind=SignerKind.KEY,
    pem=pem_of(KEY),
    uses=frozenset(SignerUse),
    builders=(BUILDER,),
)
FILES = {path: digest_of(path.encode()) for path in ("a-x", "a.txt", "a/b")}
MODEL = Model("fraud@1.0.0", digest_of(b"manifest"), FILES)


def hexes(files: dict[str, Digest]) -> dict[str, str]:
    return {path: digest.hex for path, digest in files.items()}


def oms(files: dict[str, Digest] | None = None) -> dict[str, Any]:
    return model_signing_statement("fraud", hexes(FILES if files is None else files))


def judged(
    said: Any, *, model: Model = MODEL, key: Any = KEY, signers: Any = (ALICE,), **more: Any
) -> Judged:
    envelope = None if key is None else read_envelope(bundle_by(said, key))
    return judge(said, envelope, model, signers, at=NOW, **more)


# --- model signatures ----------------------------------------------------------------------------


def test_a_known_key_over_every_file_verifies() -> None:
    found = judged(oms())
    assert found == Judged("alice", "signed with the key of alice")
    assert found.verified


def test_unknown_and_unsigned_are_asserted() -> None:
    for more in ({"key": p256(2)}, {"key": None}, {"signers": ()}):
        found = judged(oms(), **more)
        assert not found.verified
        assert found.signer is None


def test_files_nobody_signed_keep_a_signature_from_being_verified() -> None:
    found = judged(oms({"a.txt": FILES["a.txt"]}))
    assert (found.verified, found.uncovered) == (False, ("a-x", "a/b"))
    assert found.reason.endswith("it leaves 2 of 3 files out: `a-x`, `a/b`")
    many = {f"f{n}": digest_of(b"x") for n in range(9)} | {"a.txt": FILES["a.txt"]}
    found = judged(oms({"a.txt": FILES["a.txt"]}), model=Model("m", MODEL.manifest, many))
    assert found.reason.endswith("`f0`, `f1`, `f2` and 6 more")


def test_what_model_signing_always_leaves_out_does_not_count() -> None:
    git = {".gitattributes": digest_of(b"g"), ".github/x": digest_of(b"y")}
    model = Model("m", MODEL.manifest, FILES | git)
    said = model_signing_statement("m", hexes(FILES | git))
    assert "ignore_paths" in said["predicate"]["serialization"]
    assert read_model_signature(said).ignored == (".git", ".gitattributes", ".github", ".gitignore")
    assert judged(said, model=model).verified
    inside = {"sub/.gitattributes": digest_of(b"g")}
    assert not judged(oms(), model=Model("m", MODEL.manifest, FILES | inside)).verified
    with pytest.raises(BadManifest, match="at least one file"):
        model_signing_statement("m", hexes(git))


def test_the_signature_may_lie_beside_what_it_signs() -> None:
    model = Model("m", MODEL.manifest, FILES | {"model.sig": digest_of(b"sig")})
    assert judged(oms(), model=model, file=digest_of(b"sig")).verified
    assert not judged(oms(), model=model, file=digest_of(b"other")).verified


def test_a_model_of_one_file_is_signed_as_a_dot() -> None:
    """`model_signing` calls a single file `.`."""
    alone = {"model.onnx": digest_of(b"m")}
    said = model_signing_statement("model.onnx", {".": alone["model.onnx"].hex})
    assert judged(said, model=Model("m", MODEL.manifest, alone)).verified
    with pytest.raises(BadProof, match="no such file"):
        judged(said)


def test_other_digests_and_absent_files_are_refused_by_name() -> None:
    said = oms({**FILES, "a/b": digest_of(b"evil"), "z": digest_of(b"z")})
    with pytest.raises(BadProof, match="`a/b` is signed as") as error:
        judged(said)
    assert [one["field"] for one in error.value.problems] == ["a/b", "z"]
    assert all(one["fix"] for one in error.value.problems)


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    said = copy.deepcopy(oms())
    at: Any = said
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return said


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["_type"], "https://in-toto.io/Statement/v0.1"),
        (["predicateType"], "https://model_signing/Digests/v0.1"),
        (["subject"], []),
        (["subject"], [1]),
        (["subject", 0, "digest"], {"sha512": "a"}),
        (["subject", 0, "digest"], 1),
        (["subject", 0, "digest", "sha256"], "0" * 64),
        (["predicate"], None),
        (["predicate", "serialization"], None),
        (["predicate", "serialization", "method"], "shards"),
        (["predicate", "serialization", "hash_type"], "blake2b"),
        (["predicate", "serialization", "ignore_paths"], [1]),
        (["predicate", "resources"], []),
        (["predicate", "resources"], None),
        (["predicate", "resources", 0], 1),
        (["predicate", "resources", 0, "name"], 7),
        (["predicate", "resources", 0, "name"], "a/b"),
        (["predicate", "resources", 0, "algorithm"], "sha256-sharded-67108864"),
        (["predicate", "resources", 0, "digest"], "x"),
        (["predicate", "resources", 0, "digest"], None),
        (["predicate", "resources", 0, "digest"], "0" * 64),
    ],
)
def test_a_malformed_or_contradictory_signature_is_refused(path: list[Any], value: Any) -> None:
    with pytest.raises(BadProof):
        read_model_signature(changed(path, value))


def test_the_order_of_the_tool_is_accepted() -> None:
    """`model_signing` sorts by parts of paths: `a/b` before `a-x`; another root, and as good."""
    said = oms()
    listed = said["predicate"]["resources"]
    listed.sort(key=lambda one: one["name"].split("/"))
    raws = b"".join(bytes.fromhex(one["digest"]) for one in listed)
    said["subject"][0]["digest"]["sha256"] = hashlib.sha256(raws).hexdigest()
    assert said != oms()
    assert judged(said).verified


def test_no_single_changed_byte_is_verified_as_something_else() -> None:
    data = json.dumps(bundle_by(oms(), KEY)).encode()
    expected, outcomes = (oms(), "alice"), set()
    for place in range(len(data)):
        outcome, said, signer = read(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert outcome != "verified" or (said, signer) == expected, place
        outcomes.add(outcome)
    assert outcomes == {"refused", "verified"}


def test_a_hint_must_be_of_the_key_that_signed() -> None:
    bundle = bundle_by(oms(), KEY)
    bundle["verificationMaterial"]["publicKey"]["hint"] = "0" * 64
    with pytest.raises(BadSignature, match="another key"):
        judge(oms(), read_envelope(bundle), MODEL, [ALICE], at=NOW)
    said = provenance_of(MODEL.manifest)
    bundle = bundle_by(said, KEY)
    bundle["verificationMaterial"]["publicKey"]["hint"] = "SHA256:as-others-write-it"
    assert judge(said, read_envelope(bundle), MODEL, [ALICE], at=NOW).verified


def read(data: bytes) -> tuple[str, Any, str | None]:
    try:
        value = json.loads(data)
        if not is_envelope(value):
            return "refused", None, None
        envelope = read_envelope(value)
        said = json.loads(envelope.payload)
        found = judge(said, envelope, MODEL, [ALICE], at=NOW)
    except (ValueError, MunimentError, AttributeError):
        return "refused", None, None
    return ("verified" if found.verified else "asserted"), said, found.signer


def test_a_changed_signature_of_a_known_key_is_refused() -> None:
    bundle = bundle_by(oms(), KEY)
    bundle["dsseEnvelope"]["signatures"] = bundle_by(oms(), p256(2))["dsseEnvelope"]["signatures"]
    with pytest.raises(BadSignature):
        judge(oms(), read_envelope(bundle), MODEL, [ALICE], at=NOW)


# --- provenance ----------------------------------------------------------------------------------

OLD = statement(
    [("m", MODEL.manifest)],
    "https://slsa.dev/provenance/v0.2",
    {"builder": {"id": BUILDER}, "buildType": "https://ci.example/train/v1"},
)


@pytest.mark.parametrize(
    "said",
    [
        provenance_of(MODEL.manifest),
        provenance_of(*roots_of(FILES)),
        provenance_of(*FILES.values(), digest_of(b"log.txt")),
        OLD,
    ],
)
def test_provenance_of_the_whole_by_the_builder_verifies(said: Any) -> None:
    found = judged(said)
    assert found.verified
    assert found.reason == f"signed with the key of alice, for the builder {BUILDER}"


def test_provenance_of_a_part_or_of_another_builder_is_asserted() -> None:
    part = judged(provenance_of(FILES["a-x"]))
    assert (part.verified, part.uncovered) == (False, ("a.txt", "a/b"))
    assert not judged(provenance_of(MODEL.manifest, builder="https://evil.example")).verified
    nobody = judged(provenance_of(MODEL.manifest, builder=None))
    assert "no builder" in nobody.reason
    assert judged(provenance_of(MODEL.manifest), key=None).reason == "nobody signed it"


def test_provenance_of_something_else_is_refused() -> None:
    for said in (provenance_of(digest_of(b"other")), provenance_of()):
        with pytest.raises(BadProof, match="neither fraud@1") as error:
            judged(said)
        assert error.value.problems[0]["field"] == "/subject"
    empty = Model("prompt@1.0.0", MODEL.manifest, {})
    assert judged(provenance_of(MODEL.manifest), model=empty).verified
    with pytest.raises(BadProof):
        judged(provenance_of(digest_of(b"")), model=empty)


def test_other_statements_are_nobodys_to_vouch_for() -> None:
    said = statement([("m", MODEL.manifest)], "https://example.com/x/v1", {})
    assert use_of(said) is None
    assert use_of({"predicateType": 7}) is None
    with pytest.raises(BadProof, match="another statement"):
        judged(said)


@given(
    st.dictionaries(
        st.sampled_from(["runDetails", "builder", "id", "subject", "digest", "predicate"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(["builder", "id", "digest", "sha256"]), inner, max_size=2
                )
            ),
            max_leaves=5,
        ),
    )
)
def test_whatever_is_said_is_read_or_left_out(said: dict[str, Any]) -> None:
    assert isinstance(subjects_of(said), set)
    assert isinstance(builder_of(said), str | None)
