"""What is a bundle and what is not: files, annotations, names, archives, fixtures; and its words."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.errors import BadBody, BadPolicy
from muniment.server import policy
from muniment.server.policy.rules import archives, inputs, words
from muniment.server.policy.rules import tables as registry_tables
from muniment.server.policy.rules.bundles import manifest_digest, with_tables
from muniment.server.policy.rules.fixtures import merged
from tests.support.policies import BODY, DOCUMENT, bundle, rule, starter

GOOD = rule().decode()


def problems(files: dict[str, bytes]) -> str:
    found, wrong = policy.look(files)
    assert (found is None) == bool(wrong)
    return "\n".join(f"{one.place}: {one.message}" for one in wrong)


@pytest.mark.parametrize(
    "name",
    [
        "time.now_ns()", 'http.send({"url": "x"})', "rand.intn(`a`, 2)", 'uuid.rfc4122("")',
        "opa.runtime()", 'net.lookup_ip_addr("x")', 'trace("x")', 'time["now_ns"]()',
        "time[`now_ns`]()", 'time ["\\u006eow_ns"] ()', 'http\n["send"]({})',
        "count([1]) with count as time.now_ns", 'print("x")', '$"{http.send({})}"',
        "$`{time.now_ns()}`", 'io.jwt.decode_verify("", {})', 'rego.parse_module("a", "b")',
        'time["now\\x"]() + time.now_ns()',
    ],
)  # fmt: skip
def test_what_answers_differently_each_time_is_refused(name: str) -> None:
    assert "is not for rules" in problems({"rules/a.rego": rule(f"{BODY}\nx := {name}\n")})


@pytest.mark.parametrize(
    "text",
    [
        "# time.now_ns()", 'x := "http.send"', "x := `rand.intn`", "x := input.time.now_ns",
        "x := data.http.send", "traced := 1", 'x := input["http"]["send"]', "x := input.a[i]",
        "x := [1][0]", 'x := input["a\\q"]',
    ],
)  # fmt: skip
def test_names_in_comments_text_and_facts_are_not(text: str) -> None:
    assert words.forbidden(text) == []


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    words.forbidden(text)
    words.package_of(text)
    policy.look({"rules/a.rego": text.encode(errors="replace")})


@given(st.binary(max_size=300), st.sampled_from(["rules/a.rego", "data.json", "fixtures/a.yaml"]))
def test_any_bytes_are_refused_in_words(data: bytes, path: str) -> None:
    policy.look({"rules/good.rego": rule(), path: data})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("# METADATA", "# NOTHING", "expected annotations"),
        ("#   id: SEC-001\n", "", "`custom.id`"),
        ("#   class: waivable", "#   class: optional", "`custom.class`"),
        ("#   class: waivable", "#   class: [waivable]", "`custom.class`"),
        ('remedy: "mend {0}"', "remedy: x, lacks: {}", "`custom.violations.bad.lacks`"),
        ('remedy: "mend {0}"', 'remedy: "a\\0b"', "text that can be shown"),
        ("#   source: nowhere\n", "", "`custom.source`"),
        ("# title: A rule", "# title: ' '", "`title`"),
        ("# title: A rule", "# titel: A rule", "`titel`: unknown"),
        ("# title: A rule", "# title: A rule\n# description: [a]", "`description`"),
        ("# title: A rule", "# title: A rule\n# scope: rule", "`scope`"),
        ("#   steps: [candidate, approve, promote]", "#   steps: [sometimes]", "`custom.steps`"),
        ("#   steps: [candidate, approve, promote]", "#   steps: [promote]\n#   severity: high", "`custom.severity`"),
        ("    bad:", "    Bad:", "expected a name of"),
        ('{message: "found {0}", remedy: "mend {0}"}', "no", "expected message and remedy"),
        ('remedy: "mend {0}"', 'remedy: ""', "`custom.violations.bad.remedy`"),
        ('remedy: "mend {0}"', 'remedy: "mend {name}"', "for arguments"),
        ('remedy: "mend {0}"', "remedy: x, lacks: money", "`custom.violations.bad.lacks`"),
        ('remedy: "mend {0}"', "remedy: x, waivable: 1", "`custom.violations.bad.waivable`"),
        ("#   violations:", "#   violations: {}\n#   other:", "a member for each way to fail"),
        ("# custom:", "# custom: 1\n# costum:", "`custom`: expected"),
        ("# title: A rule", "# - 1\n#", "annotations: expected"),
        ("# title: A rule\n# custom:\n", "# [a]\n\n# custom:\n", "expected members"),
        ("# title: A rule", "# title: &a A rule", "no anchors"),
        ("package muniment.rules.sec_001", "package muniment.rules.sec_002", "expected the line"),
        ("package muniment.rules.sec_001", "package  x", "expected the line"),
        ("package muniment.rules.sec_001", "", "expected the line"),
    ],
)  # fmt: skip
def test_annotations_are_read_strictly(before: str, after: str, said: str) -> None:
    assert before in GOOD
    assert said in problems({"rules/a.rego": GOOD.replace(before, after, 1).encode()})


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "at least one rule"),
        ({"rules/b.rego": rule()}, "is in rules/a.rego too"),
        ({"rules/b.rego": b"# METADATA\n# a: 1"}, "`a`: unknown"),
        ({"main.py": b""}, "is no part of a bundle"),
        ({"rules/../x.rego": b""}, "is no part of a bundle"),
        ({"rules/b.rego": b"\xff"}, "expected UTF-8"),
        ({"lib/x.rego": b"package muniment.lib.y"}, "package muniment.lib.x"),
        ({"lib/x.rego": b"package muniment.lib.x\ny := time.now_ns()"}, "lib/x.rego:2"),
        ({"lib/x.rego": b"# nothing"}, "found none"),
        ({"data.json": b"{"}, "data.json"),
        ({"data.json": b"[]"}, "expected a JSON object"),
        ({"data.json": b'{"a": 1, "a": 2}'}, "data.json"),
        ({"data.json": b'{"muniment": {}}'}, "where the rules are"),
        ({"fixtures/a.yaml": b"a: *b"}, "aliases"),
        ({"fixtures/a.yaml": b"[]"}, "expected `rule`"),
        ({"fixtures/a.yaml": b"{rule: SEC-001, fixtures: [], more: 1}"}, "expected `rule`"),
        ({"fixtures/a.yaml": b"{rule: SEC-009, fixtures: []}"}, "a rule of this bundle"),
        ({"fixtures/a.yaml": b"{rule: [SEC-001], fixtures: []}"}, "a rule of this bundle"),
        ({"fixtures/a.yaml": b"{rule: SEC-001, fixtures: [{name: a, outcome: [failed]}]}"}, "`outcome`"),
        ({"fixtures/a.yaml": b"{rule: SEC-001, fixtures: [1]}"}, "fixtures[0]: expected cases"),
        ({"fixtures/a.yaml": b"{rule: SEC-001, fixtures: [{outcome: passed}]}"}, "`name`"),
        ({"fixtures/a.yaml": b"{rule: SEC-001, fixtures: [{name: a, outcome: x}]}"}, "`outcome`"),
        ({"fixtures/a.yaml": b"{rule: SEC-001, fixtures: [{name: a, outcome: passed, with: 1}]}"}, "`with`"),
        ({"fixtures/a.yaml": b"{rule: SEC-001, fixtures: [{name: a, outcome: failed, cases: [1]}]}"}, "`cases`"),
    ],
)  # fmt: skip
def test_all_that_is_wrong_with_files_is_said(files: dict[str, bytes], said: str) -> None:
    start = {} if not files else {"rules/a.rego": rule()}
    assert said in problems({**start, **files})


def test_everything_is_said_at_once() -> None:
    with pytest.raises(BadPolicy, match="2 problems") as caught:
        policy.read_bundle({"rules/a.rego": rule(), "x": b"", "data.json": b"1"})
    assert len(caught.value.problems) == 2


def test_the_digest_is_of_the_files_however_they_came(tmp_path: Path) -> None:
    packed = policy.pack(starter())
    assert packed == policy.pack(starter())
    file = tmp_path / "bundle.tar.gz"
    file.write_bytes(packed)
    again = policy.read_bundle(policy.read_files(file))
    assert again.digest == starter().digest == manifest_digest(starter().files)
    changed = {**starter().files, "README.md": b"another"}
    assert policy.read_bundle(changed).digest != starter().digest


def archive(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as made:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            member.size = len(data) if kind == tarfile.REGTYPE else 0
            made.addfile(member, io.BytesIO(data))
    return held.getvalue()


def headers(kind: bytes, count: int) -> bytes:
    """So many headers of a kind that only says something of the next one, and no next one."""
    one = tarfile.TarInfo("x")
    one.type, one.size = kind, 512
    return gzip.compress((one.tobuf(tarfile.GNU_FORMAT) + b"a" * 512) * count)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (headers(tarfile.GNUTYPE_LONGNAME, 3_000), "a .tar.gz"),
        (archive(("a\nb", b"")), "relative, plain paths"),
        (archive(("a\udcff", b"")), "a .tar.gz"),
        (b"no archive", "a .tar.gz"),
        (gzip.compress(b"no tar at all" * 100), "a .tar.gz"),
        (policy.pack(starter())[:-40], "a .tar.gz"),
        (b"\0" * (archives.MAX_PACKED_BYTES + 1), "packed"),
        (gzip.compress(b"\0" * (archives.MAX_BYTES * 2)), "unpacked"),
        (archive(("../rules/a.rego", b"")), "relative, plain paths"),
        (archive(("/rules/a.rego", b"")), "relative, plain paths"),
        (archive(("rules\\a.rego", b"")), "relative, plain paths"),
        (archive(("a", b"1"), ("./a", b"2")), "each file once"),
        (archive(("a", b""), kind=tarfile.SYMTYPE, link="/etc/passwd"), "plain files"),
        (archive(("a", b""), kind=tarfile.LNKTYPE, link="b"), "plain files"),
        (archive(("a", b""), kind=tarfile.CHRTYPE), "plain files"),
        (archive(*((f"f{number}", b"") for number in range(archives.MAX_FILES + 1))), "1000 files"),
        (archive(*((f"f{number}", b"") for number in range(2 * archives.MAX_FILES + 1))), "1000 files"),
        (archive(("a", b"\0" * (archives.MAX_BYTES + 1))), "in all"),
    ],
    ids=lambda value: "archive" if isinstance(value, bytes) else None,
)  # fmt: skip
def test_hostile_archives_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(BadPolicy, match=said):
        archives.unpack(data)


def test_folders_in_archives_are_passed_over() -> None:
    assert archives.unpack(archive(("rules", b""), kind=tarfile.DIRTYPE)) == {}


def test_folders_are_read_without_links(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x").write_bytes(b"")
    (tmp_path / "rules" / "a.rego").write_bytes(rule())
    assert policy.read_files(tmp_path) == {"rules/a.rego": rule()}
    (tmp_path / "rules" / "b.rego").symlink_to("/etc/passwd")
    with pytest.raises(BadPolicy, match="link"):
        policy.read_files(tmp_path)
    (tmp_path / "rules" / "b.rego").unlink()
    os.mkfifo(tmp_path / "rules" / "c.rego")
    with pytest.raises(BadPolicy, match="link or the like"):
        policy.read_files(tmp_path)
    with pytest.raises(BadPolicy, match="found none"):
        policy.read_files(tmp_path / "none")


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, "bar", "bar"),
        (["c"], {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_patches_are_those_of_rfc_7396(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


def test_input_documents_are_checked_and_all_is_said() -> None:
    assert inputs.read_input(inputs.canonical_input(DOCUMENT)[0]) == DOCUMENT
    wrong = {**DOCUMENT, "step": "x", "at": -1, "more": 1}
    with pytest.raises(BadBody, match="3 problems"):
        inputs.read_input(inputs.canonical_input(wrong)[0])
    with pytest.raises(BadBody):
        inputs.read_input(b'{"a": 1, "a": 2}')
    with pytest.raises(BadBody, match="1 problems"):
        inputs.read_input(b'{"at": 1.5}')
    many = {**DOCUMENT, "evaluation": {"runs": [{"id": 1}] * 60, "dimensions": {}}}
    assert len(inputs.input_problems(many)) == 50


def test_criteria_are_in_words_and_tables_are_escaped() -> None:
    shown = policy.criteria(starter())
    assert "| high | routine | 1 technical, 1 security |" in shown
    assert all(f"## {one.id}: {one.title}" in shown for one in starter().rules)
    plain = policy.criteria(bundle(data=b'{"quorum": {"high": 1}}'))
    assert "Who has to approve" in plain
    assert "major" not in policy.criteria(bundle(data=b'{"quorum": {"high": {"major": 2}}}'))
    described = GOOD.replace("# title: A rule", "# title: A | rule\n# description: Long words.")
    shown = policy.criteria(policy.read_bundle({"rules/a.rego": described.encode()}))
    assert "A \\| rule" in shown
    assert "Long words." in shown
    assert "Who has" not in shown
    assert policy.criteria_json(starter())["rules"][0]["class"] == "critical_safety"


def tables(profile: object) -> str:
    data = json.dumps({"profiles": {"high": profile, "odd": 1}}).encode()
    return problems({"rules/a.rego": rule(), "data.json": data})


def test_what_roles_sign_off_is_looked_at_and_shown() -> None:
    assert tables({"sign_offs": {"platform": "entry-verified"}}) == ""
    assert tables({}) == ""
    assert tables({"own_key": True, "own_login": False}) == ""
    assert "profiles.high.own_login`: expected true or false" in tables({"own_login": "yes"})
    assert "profiles.high.sign_offs`: expected the sign-off" in tables({"sign_offs": []})
    wrong = tables({"sign_offs": {"platfrom": "entry-verified", "legal": "seen"}})
    assert "found the role 'platfrom'" in wrong
    assert "profiles.high.sign_offs.legal`: expected one of entry-verified" in wrong
    assert problems({"rules/a.rego": rule(), "data.json": b'{"profiles": 1}'}) == ""


@pytest.mark.parametrize("odd", ["see the wiki", [{"name": "peer"}], None, [None] * 51])
def test_a_bundle_that_was_taken_before_tables_were_looked_at_is_read_and_lets_nobody_through(
    odd: Any,
) -> None:
    profile = {"own_key": "yes", "own_login": 1, "review_steps": odd}
    data = json.dumps({"profiles": {"high": profile}}).encode()
    files = {"rules/a.rego": rule(), "data.json": data}
    assert "profiles.high.own_key" in problems(files)
    held = policy.read_held(files)
    read = registry_tables.profile_of(held.data, "high")
    assert (registry_tables.asks(read, "own_key"), registry_tables.asks_own_login(held.data)) == (
        True,
        True,
    )
    assert registry_tables.review_steps(read) == (policy.UNREADABLE,)
    assert "| high | unreadable |" in policy.criteria(held)
    with pytest.raises(BadPolicy, match="2 problems"):
        policy.read_held({"x": b"", "data.json": data})
    shown = policy.criteria(starter())
    assert "| high | governance | production-approved |" in shown
    assert "signed off" not in policy.criteria(bundle(data=b'{"profiles": {"high": 1}}'))


def steps(*listed: object) -> str:
    return tables({"review_steps": list(listed)})


def test_the_steps_of_a_review_are_looked_at_and_shown() -> None:
    own = {"name": "self-review", "roles": ["author"]}
    peer = {"name": "peer", "roles": ["technical"], "after": ["self-review"], "optional": True}
    assert steps(own, peer) == ""
    assert "expected a list" in tables({"review_steps": {}})
    assert "review_steps[0]`: expected after, name" in steps(1)
    assert "expected after, name" in steps({**own, "role": "x"})
    assert "expected a `name`" in steps({**own, "name": "Self review"})
    assert "found self-review again" in steps(own, own)
    assert "expected `roles`" in steps({**own, "roles": ["nobody"]})
    assert "expected `roles`" in steps({"name": "a"})
    assert "nobody else's" in steps({**own, "roles": ["author", "legal"]})
    assert "listed before this one" in steps(peer, own)
    assert "`optional`" in steps({**own, "optional": 1})
    data = json.dumps({"profiles": {"high": {"review_steps": [own, peer]}, "odd": 1}}).encode()
    shown = policy.criteria(bundle(data=data))
    assert "| high | peer (optional) | technical | self-review |" in shown
    assert "Steps of the review" not in policy.criteria(starter())


def test_fixtures_may_have_tables_of_their_own() -> None:
    limited = f"rule: SEC-001\ndata: {{most: 3}}\nbase: {json.dumps(DOCUMENT)}\n"
    limited += "fixtures:\n  - {name: a, outcome: passed}\n"
    made = policy.read_bundle({
        "rules/1.rego": rule(), "data.json": b'{"most": 1, "least": 0}', "fixtures/a.yaml": limited.encode(),
    })  # fmt: skip
    [fixture] = made.fixtures
    other = with_tables(made, fixture.data or {})
    assert (other.data, made.data["most"]) == ({"most": 3, "least": 0}, 1)
    assert other.program.digest != made.program.digest
    wrong = limited.replace("{most: 3}", "[1]")
    assert "`data`: expected members" in problems(
        {"rules/1.rego": rule(), "fixtures/a.yaml": wrong.encode()}
    )


def test_differences_name_rules_and_places() -> None:
    one = bundle(BODY, BODY, data=b'{"a": {"b": 1, "c": 2}, "d": 1}')
    other = policy.read_bundle(
        {
            "rules/1.rego": rule(f"{BODY}\n# changed\n"),
            "rules/3.rego": rule(BODY, "SEC-003"),
            "data.json": b'{"a": {"b": 2, "c": 2}}',
            "README.md": b"new",
        }
    )
    found = [
        (each["what"], each["change"], each["detail"]) for each in policy.differences(one, other)
    ]
    assert found == [
        ("SEC-001", "changed", "expression"),
        ("SEC-002", "removed", "A rule"),
        ("SEC-003", "added", "A rule"),
        ("README.md", "added", ""),
        ("data.json", "changed", "a.b: 1 -> 2, d: 1 -> nothing"),
    ]
    stricter = policy.read_bundle({"rules/1.rego": rule(rule_class="critical_safety")})
    assert policy.differences(bundle(), stricter)[0]["detail"] == "cases, class"
    assert policy.differences(one, one) == []
