"""Where bytes may be fetched from, and what of a listing from there is taken."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.core.digest import Digest
from muniment.core.errors import BadRequest
from muniment.server.federation.records import About, Entry, KeptFile, RemoteFile
from muniment.server.federation.rules import folding, places
from muniment.server.federation.rules.places import InBucket, OnServer
from muniment.server.ledger.records import Actor, Recorded, Subject

SERVER = "http://mlflow.example:5000/base"


def parse(text: str, server: str | None = SERVER) -> places.Place:
    return places.parse_place(text, server_url=server)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://bucket/a/b", InBucket("s3", "bucket", "a/b")),
        ("s3://my.bucket-1", InBucket("s3", "my.bucket-1", "")),
        ("gs://bucket/a/", InBucket("gs", "bucket", "a")),
        ("s3://bucket/a%20b", InBucket("s3", "bucket", "a%20b")),
        ("mlflow-artifacts:/1/r/artifacts/m", OnServer(None, "1/r/artifacts/m")),
        ("mlflow-artifacts:/1/a%20b/", OnServer(None, "1/a b")),
        ("mlflow-artifacts://mlflow.example:5000/1/m", OnServer(None, "1/m")),
        (SERVER + places.PROXY + "1/m", OnServer(None, "1/m")),
        (SERVER + places.PROXY + "1/m%20x", OnServer(None, "1/m x")),
        ("https://other.example" + places.PROXY + "1/m", OnServer("https://other.example", "1/m")),
    ],
)
def test_places(text: str, place: places.Place) -> None:
    assert parse(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "file:///etc/passwd", "/etc/passwd", "etc/passwd", "", "ftp://x/y", "dbfs:/x", "hdfs://x/y", "azure://x",
        "s3:///x", "s3://", "s3://B/x", "s3://b/x", "s3://bucket/../other", "s3://bucket/a/%2e%2e/b",
        "s3://bucket/a//b", "s3://user:pw@bucket/a", "s3://bucket\\x/a",
        "mlflow-artifacts:/", "mlflow-artifacts:/../x", "mlflow-artifacts:/a/%2e%2e/%2e%2e/x",
        "mlflow-artifacts:/a/%252e%252e/x", "mlflow-artifacts://other.example/1/m", "mlflow-artifacts:///a",
        "mlflow-artifacts:/a/\x00", "mlflow-artifacts:/a\\..\\b",
        "https://x.example/other/path", "https://x.example" + places.PROXY, "https://x.example/" + places.PROXY[1:] + "a?b=c",
        "https://x.example" + places.PROXY + "a#b", "https://x.example" + places.PROXY + "a/../../b",
        "https://x.example" + places.PROXY + "a/%2e%2e/b", "HTTP://x.example" + places.PROXY + "a",
    ],
)  # fmt: skip
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(BadRequest):
        parse(text)


def test_without_a_tracking_server_an_address_is_somebody_elses() -> None:
    with pytest.raises(BadRequest, match="not the tracking server"):
        parse("mlflow-artifacts://mlflow.example:5000/1/m", None)
    assert parse(SERVER + places.PROXY + "m", None) == OnServer(SERVER, "m")
    assert parse("mlflow-artifacts:/1/m", None) == OnServer(None, "1/m")


@pytest.mark.parametrize(
    ("place", "allowed", "fine"),
    [
        ("s3://bucket/a/b", ["s3://bucket"], True),
        ("s3://bucket/a/b", ["s3://bucket/a/"], True),
        ("s3://bucket/a/b", ["s3://bucket/a/b"], True),
        ("s3://bucket/ab", ["s3://bucket/a"], False),
        ("s3://bucket2/a", ["s3://bucket"], False),
        ("s3://bucket", ["s3://bucket/a"], False),
        ("gs://bucket/a", ["s3://bucket"], False),
        ("s3://bucket/a", [], False),
        ("s3://bucket/a", ["s3://x-y", "s3://bucket"], True),
    ],
)
def test_a_bucket_is_read_only_where_an_operator_allowed_it(
    place: str, allowed: list[str], fine: bool
) -> None:
    found = parse(place)
    assert isinstance(found, InBucket)
    if fine:
        places.check_bucket(found, allowed)
        return
    with pytest.raises(BadRequest, match="MUNIMENT_FETCH_BUCKETS"):
        places.check_bucket(found, allowed)


def test_inside_and_within() -> None:
    root = OnServer(None, "1/r/artifacts")
    assert places.inside(root, "") == root
    assert places.inside(root, "m") == OnServer(None, "1/r/artifacts/m")
    assert places.inside(InBucket("s3", "b-b", ""), "m") == InBucket("s3", "b-b", "m")
    assert places.inside(InBucket("s3", "b-b", "a"), "m") == InBucket("s3", "b-b", "a/m")
    assert places.is_within(places.inside(root, "m"), root)
    assert places.is_within(root, root)
    assert not places.is_within(OnServer(None, "1/r/artifacts2"), root)
    assert not places.is_within(OnServer("https://x", "1/r/artifacts/m"), root)
    assert not places.is_within(root, InBucket("s3", "b-b", ""))
    assert places.is_within(InBucket("s3", "b-b", "a"), InBucket("s3", "b-b", ""))
    assert places.is_within(InBucket("s3", "b-b", "a/b"), InBucket("s3", "b-b", "a"))
    assert not places.is_within(InBucket("s3", "b-b", "ab"), InBucket("s3", "b-b", "a"))
    assert not places.is_within(InBucket("gs", "b-b", "a"), InBucket("s3", "b-b", "a"))
    assert places.is_tracked(root)
    assert not places.is_tracked(OnServer("https://x", "a"))
    with pytest.raises(BadRequest):
        places.inside(root, "../other")


@given(st.text(max_size=30), st.text(max_size=30))
def test_nothing_that_is_parsed_leaves_its_place(root: str, path: str) -> None:
    try:
        place = places.inside(parse(f"mlflow-artifacts:/1/{root}"), path)
    except BadRequest:
        return
    assert isinstance(place, OnServer)
    assert f"{place.path}/".startswith("1/")
    assert not {"", ".", ".."} & set(place.path.split("/"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "/a",
        "../a",
        "a\\b",
        "..\\a",
        "%2e%2e",
        "%2fa",
        "a\x00",
        "a\n",
        "C:a",
        "\ufffd",
    ],
)
def test_a_listing_with_a_name_that_is_none_is_not_taken(name: str) -> None:
    with pytest.raises(BadRequest, match="nothing is taken"):
        places.below("", Entry(name, is_directory=False, size_bytes=1))


def test_names_make_paths_to_a_depth() -> None:
    assert places.below("", Entry("a", is_directory=True, size_bytes=None)) == "a"
    assert places.below("a/b", Entry("c d", is_directory=False, size_bytes=1)) == "a/b/c d"
    with pytest.raises(BadRequest, match="deep"):
        places.checked_path("/".join("d" * (places.DEPTH_MAX + 1)))
    assert places.checked_path("/".join("d" * places.DEPTH_MAX))


def test_a_listing_is_sorted_and_bounded() -> None:
    files = [RemoteFile("b", 5), RemoteFile("a", None), RemoteFile("c", 5)]
    assert [one.path for one in places.checked_listing(files, max_bytes=10)] == ["a", "b", "c"]
    with pytest.raises(BadRequest, match="more than 9 bytes"):
        places.checked_listing(files, max_bytes=9)
    with pytest.raises(BadRequest, match="no files"):
        places.checked_listing([], max_bytes=9)
    with pytest.raises(BadRequest, match="twice"):
        places.checked_listing([RemoteFile("a", 1), RemoteFile("a", 1)], max_bytes=9)
    many = [RemoteFile(str(n), 0) for n in range(places.FILES_MAX + 1)]
    with pytest.raises(BadRequest, match="more than 100000 files"):
        places.checked_listing(many, max_bytes=9)


def test_what_is_here_is_of_what_is_there_only_if_all_that_is_told_agrees() -> None:
    kept = KeptFile("a", "tag", 3, Digest(bytes(32)))
    assert kept.is_of(RemoteFile("a", 3, "tag"))
    assert kept.is_of(RemoteFile("a", None, "tag"))
    assert not kept.is_of(RemoteFile("a", 4, "tag"))
    assert not kept.is_of(RemoteFile("a", 3, "other"))
    assert not kept.is_of(RemoteFile("b", 3, "tag"))


AT = dt.datetime(2026, 4, 20, tzinfo=dt.UTC)


def entry(act: str, payload: dict[str, Any] | None) -> Recorded:
    return Recorded(
        uuid.UUID(int=7), AT, act, Actor("person", "ada"), Subject("fetch", "f", "m@3"), payload, 0
    )


def test_a_fetch_follows_from_its_acts() -> None:
    about = folding.about_json(About("r", "m-1", "link", "said", {"k": "v"}))
    assert about == {
        "run_id": "r",
        "model_id": "m-1",
        "run_link": "link",
        "description": "said",
        "tags": {"k": "v"},
    }
    assert folding.about_json(About()) == {}
    rows: dict[str, dict[str, Any]] = {}
    asked = {"asset_id": "A", "number": 3, "fetch": {"id": "F", "source": "s", "about": about}}
    folding.fold_fetch(rows, entry(folding.RESERVE, asked))
    other = asked | {"number": 4}
    folding.fold_fetch(rows, entry(folding.RESERVE, other))
    assert rows["A/3"] == {
        "id": "F",
        "source": "s",
        "about": about,
        "asked_at": "2026-04-20T00:00:00.000000Z",
        "actor_kind": "person",
        "actor_id": "ada",
        "entry_id": str(uuid.UUID(int=7)),
        "state": "pending",
        "reason": "",
        "ended_at": None,
        "version_id": None,
    }
    folding.fold_fetch(rows, entry(folding.ABANDON, {"asset_id": "A", "number": 4, "reason": "w"}))
    assert (rows["A/4"]["state"], rows["A/4"]["reason"]) == ("failed", "w")
    for number in (3, 9):  # 9 was nobody's to wait for
        version = {"asset_id": "A", "number": number, "id": f"V{number}"}
        folding.fold_fetch(rows, entry("version.register", {"version": version}))
    assert (rows["A/3"]["state"], rows["A/3"]["version_id"]) == ("registered", "V3")
    before = dict(rows)
    folding.fold_fetch(rows, entry("asset.create", {}))
    folding.fold_fetch(rows, entry(folding.RESERVE, None))
    assert rows == before
