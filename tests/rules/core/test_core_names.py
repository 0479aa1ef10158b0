"""Names parse to what they say, print as they were read, and refuse the rest."""

from __future__ import annotations

import itertools
import random
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadName, BadReference, BadVersion
from muniment.core.names import (
    MAX_NUMBER,
    Alias,
    AssetName,
    AssetRef,
    Namespace,
    SemVer,
    VersionRef,
    parse_version,
)

NAMESPACES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
NAMES = (
    st.text(st.characters(exclude_characters="/:@%\\?#", exclude_categories=["Cs"]), min_size=1)
    .map(lambda text: unicodedata.normalize("NFC", text).strip(" "))
    .filter(lambda text: text.isprintable() and 1 <= len(text) <= 256 and text not in {".", ".."})
    .filter(lambda text: unicodedata.is_normalized("NFC", text) and not set(text) & set("?%#@:/\\"))
)
IDENTIFIERS = st.one_of(
    st.integers(0, 10**6).map(str),
    st.from_regex(r"[0-9]{0,3}[A-Za-z-][0-9A-Za-z-]{0,5}", fullmatch=True),
)
VERSIONS = st.builds(
    SemVer,
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.lists(IDENTIFIERS, max_size=4).map(".".join),
    st.lists(st.from_regex(r"[0-9A-Za-z-]{1,5}", fullmatch=True), max_size=3).map(".".join),
)
ALIASES = st.from_regex(r"[A-Za-z_][A-Za-z0-9._-]{0,254}", fullmatch=True).filter(
    lambda text: text.lower() != "latest" and not (text[0] in "vV" and text[1:].isdigit())
)


@given(NAMESPACES)
def test_namespaces_print_as_read(text: str) -> None:
    assert str(Namespace.parse(text)) == text


@given(NAMES)
def test_asset_names_print_as_read(text: str) -> None:
    assert str(AssetName.parse(text)) == text


@given(ALIASES)
def test_aliases_print_as_read(text: str) -> None:
    assert str(Alias.parse(text)) == text


@given(VERSIONS)
def test_versions_print_as_read(version: SemVer) -> None:
    assert SemVer.parse(str(version)) == version


@given(NAMESPACES, NAMES, VERSIONS | ALIASES.map(Alias) | st.integers(1, MAX_NUMBER))
def test_references_print_as_read(namespace: str, name: str, at: SemVer | Alias | int) -> None:
    ref = VersionRef(AssetRef(Namespace(namespace), AssetName(name)), at)
    assert VersionRef.parse(str(ref)) == ref
    assert AssetRef.parse(str(ref.asset)) == ref.asset


def test_the_default_namespace_is_not_written() -> None:
    assert AssetRef.parse("default/fraud") == AssetRef.parse("fraud")
    assert str(AssetRef.parse("default/fraud")) == "fraud"
    assert str(AssetRef.parse("risk/fraud")) == "risk/fraud"


def test_what_follows_the_at_sign_has_one_meaning() -> None:
    assert VersionRef.parse("fraud@1.2.0").at == SemVer(1, 2, 0)
    assert VersionRef.parse("fraud@champion").at == Alias("champion")
    assert VersionRef.parse("fraud detector@7").at == 7


@pytest.mark.parametrize(
    "text",
    ["", "A", ".a", "-a", "a b", "a/b", "é", "a" * 64, "a\n", None, 7, b"a", ["a"]],
)
def test_bad_namespaces(text: Any) -> None:
    with pytest.raises(BadName, match="expected a namespace"):
        Namespace.parse(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "characters"),
        ("a" * 257, "characters"),
        *((f"a{character}b", "without") for character in "/:@%\\?#"),
        (" a", "ends"),
        ("a ", "ends"),
        (".", "other than"),
        ("..", "other than"),
        ("a\nb", "printable"),
        ("a\u202eb", "printable"),
        ("a\u00a0b", "printable"),
        ("\ud800", "printable"),
        ("e\u0301", "NFC"),
        (None, "text"),
        (7, "text"),
    ],
)
def test_bad_asset_names_say_which_rule(text: Any, rule: str) -> None:
    with pytest.raises(BadName, match=rule):
        AssetName.parse(text)


@pytest.mark.parametrize("text", ["a/b/c", "/a", "a/", "", None, 3, "A/b"])
def test_bad_asset_references(text: Any) -> None:
    with pytest.raises(BadName):
        AssetRef.parse(text)


@pytest.mark.parametrize(
    "text",
    ["latest", "LATEST", "v1", "V22", "1a", "", "a b", "a/b", "a" * 256, "-a", "ä", None, 1],
)
def test_bad_aliases(text: Any) -> None:
    with pytest.raises(BadName):
        Alias.parse(text)


# Of the list in the SemVer 2.0.0 document's own test patterns.
@pytest.mark.parametrize(
    "text",
    [
        "0.0.4",
        "1.2.3",
        "10.20.30",
        "1.1.2-prerelease+meta",
        "1.1.2+meta-valid",
        "1.0.0-alpha.beta.1",
        "1.0.0-alpha.0valid",
        "1.0.0-rc.1+build.123",
        "1.2.3-SNAPSHOT-123",
        "2.0.1-alpha.1227",
        "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
        "99999999999999999999999.999999999999999999.99999999999999999",
        "1.0.0-0A.is.legal",
        "1.0.0---RC-SNAPSHOT.12.9.1--.12+788",
    ],
)
def test_valid_versions(text: str) -> None:
    assert str(SemVer.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1.2",
        "v1.2.3",
        "01.1.1",
        "1.01.1",
        "1.1.01",
        "1.2.3-0123",
        "1.2.3-",
        "1.2.3+",
        "1.1.2+.123",
        "1.0.0-alpha_beta",
        "1.0.0-alpha..1",
        "1.2.3.DEV",
        "1.0.0+a+b",
        " 1.0.0",
        "1.0.0\n",
        "\u0661.0.0",
        "-1.0.3",
        "1.0.0-" + "a" * 123,
        "",
        None,
        1,
        b"1.0.0",
    ],
)
def test_invalid_versions(text: Any) -> None:
    with pytest.raises(BadVersion):
        SemVer.parse(text)


@pytest.mark.parametrize("parts", [(-1, 0, 0), (1, 0, 0, "a b"), (1, 0, 0, "", "é"), (1, 0, "x")])
def test_versions_made_by_hand_obey_the_same_rules(parts: tuple[Any, ...]) -> None:
    with pytest.raises(BadVersion):
        SemVer(*parts)


def test_precedence_is_that_of_the_specification() -> None:
    """SemVer 2.0.0 §11."""
    ordered = [
        "0.9.9",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.2.0",
        "1.10.0",
        "2.0.0",
    ]
    versions = [SemVer.parse(text) for text in ordered]
    for (i, left), (j, right) in itertools.product(enumerate(versions), repeat=2):
        assert (left < right) == (i < j)
        assert (left >= right) == (i >= j)


def test_build_metadata_plays_no_part_in_precedence() -> None:
    one, other = SemVer.parse("1.0.0+a"), SemVer.parse("1.0.0+b")
    assert one.precedence == other.precedence
    assert one != other
    assert sorted([other, one]) == [one, other]


@given(st.lists(VERSIONS, min_size=2), st.randoms())
def test_the_order_of_versions_is_total(versions: list[SemVer], chance: random.Random) -> None:
    ordered = sorted(versions)
    chance.shuffle(versions)
    assert ordered == sorted(versions)
    assert all(a <= b and a.precedence <= b.precedence for a, b in itertools.pairwise(ordered))


def test_versions_compare_with_versions_alone() -> None:
    with pytest.raises(TypeError):
        assert SemVer(1, 0, 0) < 2


@pytest.mark.parametrize(
    "text",
    [
        "fraud",
        "fraud@",
        "@1.0.0",
        "fraud@1.0",
        "fraud@0",
        "fraud@07",
        f"fraud@{MAX_NUMBER + 1}",
        "fraud@latest",
        "fraud@v3",
        "fraud@a@b",
        "a/b/c@1.0.0",
        "fraud@\u0661",
        "",
        None,
        3,
    ],
)
def test_bad_references(text: Any) -> None:
    with pytest.raises(BadReference):
        VersionRef.parse(text)


def test_a_bad_reference_names_every_bad_part() -> None:
    with pytest.raises(BadReference) as caught:
        VersionRef.parse("a:b@1.0")
    assert [problem["field"] for problem in caught.value.problems] == ["asset", "at"]


@pytest.mark.parametrize("number", [0, -1, MAX_NUMBER + 1])
def test_no_version_has_that_number(number: int) -> None:
    with pytest.raises(BadReference):
        VersionRef(AssetRef.parse("a"), number)


def test_a_version_is_named_for_good_by_semver_or_number() -> None:
    assert parse_version("1.2.0") == SemVer(1, 2, 0)
    assert parse_version("12") == 12
    for text in ("champion", None):
        with pytest.raises(BadVersion):
            parse_version(text)  # type: ignore[arg-type]


@given(st.text())
def test_no_text_makes_parsing_fail_otherwise(text: str) -> None:
    for parse, error in (
        (VersionRef.parse, BadReference),
        (AssetRef.parse, BadName),
        (SemVer.parse, BadVersion),
        (Alias.parse, BadName),
    ):
        try:
            assert parse(str(parse(text))) == parse(text)
        except error:
            continue
