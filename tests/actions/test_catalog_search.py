"""Search on a real PostgreSQL: what a filter means, orders and pages, what a caller may see."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.core.errors import BadCursor, BadFilter
from muniment.core.names import AssetName, AssetRef, Namespace, SemVer
from muniment.server import catalog
from muniment.server.catalog.reads.bodies import VersionItem
from muniment.server.catalog.reads.search import Query, search_assets, search_versions
from muniment.server.catalog.records import Kind, RiskTier, Visible
from muniment.server.catalog.rules.changes import Change
from muniment.server.catalog.rules.fields import VERSION_FIELDS, Field, Type, field_named
from muniment.server.catalog.rules.filters import All, Comparison, Filter, Not, Some, filter_text
from muniment.server.catalog.rules.parsing import parse_filter
from muniment.server.ports.db import Tx
from muniment.server.ports.postgres import PostgresDatabase
from tests.support.catalog import FULL_METADATA, Catalog
from tests.support.filtering import matches, row_of

ALL = Visible(everything=True)
TEXTS = ["fraud", "Fraud", "fra_ud", "fr%ud", "fräud", "FRÄUD", "fr\\aud", "x'y", "", "1", "z" * 90]
WORDS = [text for text in TEXTS if text]
NUMBERS = [0.0, 1.0, -1.5, 0.94, 1e300, 5e-324, 9007199254740991.0]
VERSIONS = ["0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-2", "1.0.0-10"]
VERSIONS += ["1.0.0-a-b", "1.0.0", "1.0.0+build", "1.2.0", "1.10.0", "10.0.0"]


async def populate(tx: Tx) -> list[dict[str, Any]]:
    """Make versions that differ in everything a filter can ask for; return them as rows."""
    made_by = Catalog()
    names = ["fraud", "Fraud", "fra_ud", "fräud", "risk/fraud", "risk/x'y", "zoo/fr&ud"]
    for index, name in enumerate(names):
        await made_by.asset(
            tx,
            name,
            list(Kind)[index % 3],
            owner=WORDS[index],
            backup_owner=WORDS[-index] if index % 2 else None,
            risk_tier=list(RiskTier)[index % 4] if index % 3 else None,
        )
    for index in range(24):
        name = names[index % len(names)]
        await made_by.version(
            tx,
            name,
            [v for v in VERSIONS if "+" not in v][index // len(names) * 3 + index % 2],
            metadata=_metadata(index),
            formats=("onnx", "pickle")[: index % 3],
            executable=index % 3 == 2,
            size_bytes=index**3,
            description=TEXTS[index % len(TEXTS)],
            tags={
                **({"team": TEXTS[index % len(TEXTS)]} if index % 4 else {}),
                **({'a "key"': WORDS[index % len(WORDS)]} if index % 5 == 0 else {}),
            },
        )
        if index % 6 == 0:
            await made_by.point(tx, "champion", index // len(names) + 1, name)
    return await _rows(tx)


def _metadata(index: int) -> dict[str, Any]:
    if index % 5 == 0:
        return {}
    number = NUMBERS[index % len(NUMBERS)]
    params = [number, WORDS[index % len(WORDS)], index % 2 == 0, None]
    return {
        "license": ["MIT", "MIT OR Apache-2.0", "LicenseRef-x"][index % 3],
        "training_datasets": [
            {"name": word, "version": "1"} for word in WORDS[index % 4 : index % 4 + 2]
        ],
        "frameworks": [{"name": "sklearn", "version": f"1.{index % 3}"}],
        "metrics": {"auc": number} if index % 2 else {"auc": {"value": number}, "f 1": 0.5},
        "hyperparameters": {"lr": params[index % 4], "fr%ud": "x"},
        "run": {"id": WORDS[index % len(WORDS)]},
    }


async def _rows(tx: Tx) -> list[dict[str, Any]]:
    rows = []
    found = await tx.fetch(
        "SELECT a.namespace, a.name, v.number FROM version v JOIN asset a ON a.id = v.asset_id"
    )
    for row in found:
        ref = AssetRef.parse(f"{row['namespace']}/{row['name']}")
        version = await catalog.find_version(tx, ref, row["number"])
        assert version is not None
        asset = await catalog.get_asset(tx, ref)
        rows.append({"id": version.id, **row_of(version, asset)})
    return rows


def _fields() -> st.SearchStrategy[Field]:
    keys = {
        "tags": ["team", 'a "key"', "none"],
        "metrics": ["auc", "f 1"],
        "params": ["lr", "fr%ud"],
    }
    choices = []
    for name, field in VERSION_FIELDS.items():
        choices += [field_named(name, key, VERSION_FIELDS) for key in keys.get(name, [])] or [field]
    return st.sampled_from(choices)


_MOMENTS = [
    dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC) + dt.timedelta(seconds=n) for n in (0, 20, 50)
]
_VALUES: dict[Type, st.SearchStrategy[Any]] = {
    Type.TEXT: st.sampled_from([*TEXTS, "ada"])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
    Type.MANY: st.sampled_from([*TEXTS, "fraud@1", "MIT", "onnx", "champion", "sklearn@1.1"]),
    Type.NUMBER: st.sampled_from([*NUMBERS, 2.0, 27.0])
    | st.floats(allow_nan=False, allow_infinity=False),
    Type.TRUTH: st.booleans(),
    Type.MOMENT: st.sampled_from(_MOMENTS) | st.datetimes(timezones=st.just(dt.UTC)),
    Type.SCALAR: st.sampled_from([*TEXTS, *NUMBERS, True, False]),
    Type.DIGEST: st.sampled_from([b"\0" * 32]),
    Type.SEMVER: st.sampled_from([SemVer.parse(text) for text in VERSIONS]),
}
_PATTERNS = st.lists(
    st.sampled_from(["%", "_", "fr", "FR", "a", "ä", "\\%", "\\\\", "\\_", "'", "ud", "M", "."]),
    max_size=5,
).map("".join)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    field = draw(_fields())
    op = draw(st.sampled_from(field.operators))
    if op in {"LIKE", "ILIKE"}:
        return Comparison(field, op, (draw(_PATTERNS),))
    values = st.sampled_from(list(field.choices)) if field.choices else _VALUES[field.type]
    count = draw(st.integers(1, 10)) if op == "IN" else 1
    return Comparison(field, op, tuple(draw(values) for _ in range(count)))


def _several(kind: type[All | Some], parts: Sequence[Filter]) -> Filter:
    flat: list[Filter] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else [part]
    return kind(tuple(flat))


filters: st.SearchStrategy[Filter] = st.recursive(
    comparisons(),
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: _several(All, parts))
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: _several(Some, parts))
    ),
    max_leaves=6,
)


@given(filters)
@settings(max_examples=300)
def test_a_filter_written_and_read_is_the_same(wanted: Filter) -> None:
    assert parse_filter(filter_text(wanted), VERSION_FIELDS) == wanted


async def test_sql_means_what_the_language_says(db: PostgresDatabase) -> None:
    async with db.transaction() as tx:
        rows = await populate(tx)
    times = [None, dt.datetime(2100, 1, 1, tzinfo=dt.UTC)]
    for wanted in _examples(400):
        expected = {row["id"] for row in rows if matches(wanted, row)}
        for as_of in times:
            query = Query(ALL, filter_text(wanted), limit=100, as_of=as_of)
            async with db.transaction(read_only=True) as tx:
                found, _ = await search_versions(tx, query)
            assert {version.id for version in found} == expected, (as_of, filter_text(wanted))


def _asset_of(found: VersionItem) -> str:
    return str(AssetRef(Namespace(found.namespace), AssetName(found.name)))


def _examples(count: int) -> list[Filter]:
    """The same filters in every run, drawn by Hypothesis (whose own loop cannot await)."""
    drawn: list[Filter] = []

    @settings(max_examples=count, database=None, suppress_health_check=list(HealthCheck))
    @given(filters)
    def draw(wanted: Filter) -> None:
        drawn.append(wanted)

    draw()
    return drawn


ORDERS = [
    [],
    ["registered_at"],
    ["name", "version desc"],
    ["tags.team desc, number"],
    ["metrics.auc desc"],
    ["metrics.auc asc", 'tags."a ""key""" desc', "namespace"],
    ["owner desc, size_bytes desc"],
    ["version"],
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("as_of", [None, dt.datetime(2100, 1, 1, tzinfo=dt.UTC)])
async def test_pages_neither_repeat_nor_skip(
    db: PostgresDatabase, order: list[str], as_of: dt.datetime | None
) -> None:
    async with db.transaction() as tx:
        await populate(tx)
        whole, end = await search_versions(tx, Query(ALL, order=order, limit=100, as_of=as_of))
        assert end is None
        assert len(whole) == 24
        paged, cursor = [], None
        while True:
            query = Query(ALL, order=order, limit=5, cursor=cursor, as_of=as_of)
            found, cursor = await search_versions(tx, query)
            paged += found
            if cursor is None:
                break
        assert paged == whole


async def test_a_page_stays_while_versions_arrive(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
        for patch in range(6):
            await made_by.version(tx, version=f"1.0.{patch}")
        first, cursor = await search_versions(tx, Query(ALL, limit=3))
        await made_by.version(tx, version="2.0.0")
        second, end = await search_versions(tx, Query(ALL, limit=3, cursor=cursor))
        assert [v.version for v in [*first, *second]] == [
            f"1.0.{patch}" for patch in (5, 4, 3, 2, 1, 0)
        ]
        assert end is None


async def test_orders_are_what_they_say(db: PostgresDatabase) -> None:
    async with db.transaction() as tx:
        await populate(tx)
        by_version, _ = await search_versions(tx, Query(ALL, order=["version"], limit=100))
        versions = [SemVer.parse(v.version).precedence for v in by_version]
        assert versions == sorted(versions)
        best, _ = await search_versions(tx, Query(ALL, order=["metrics.auc desc"], limit=100))
        aucs = [v.metrics_at_registration.get("auc") for v in best]
        present = [auc for auc in aucs if auc is not None]
        assert present == sorted(present, reverse=True)
        assert aucs == present + [None] * (len(aucs) - len(present))


async def test_a_cursor_belongs_to_its_query(db: PostgresDatabase) -> None:
    async with db.transaction() as tx:
        await populate(tx)
        _, cursor = await search_versions(tx, Query(ALL, "number >= 1", limit=2))
        assert cursor is not None
        for other in (
            Query(ALL, "number >= 2", cursor=cursor),
            Query(ALL, "number >= 1", order=["name"], cursor=cursor),
            Query(ALL, "number >= 1", cursor={**cursor, "key": ["x", "y"]}),
            Query(ALL, "number >= 1", cursor={**cursor, "key": [1, 2]}),
            Query(ALL, "number >= 1", cursor={**cursor, "key": cursor["key"][:1]}),
            Query(ALL, "number >= 1", cursor={}),
        ):
            with pytest.raises(BadCursor):
                await search_versions(tx, other)


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (Visible(), set()),
        (Visible(namespaces=("risk",)), {"risk/a", "risk/b"}),
        (Visible(assets=(("default", "a"), ("risk", "b"))), {"a", "risk/b"}),
        (Visible(namespaces=("risk",), assets=(("default", "b"),)), {"risk/a", "risk/b", "b"}),
        (Visible(assets=(("a", "default"),)), set()),
        (Visible(assets=tuple(("risk", f"x{n}") for n in range(20))), set()),
        (Visible(assets=(*(("x", f"{n}") for n in range(9)), ("risk", "b"))), {"risk/b"}),
        (ALL, {"a", "b", "risk/a", "risk/b"}),
    ],
)
async def test_a_caller_sees_what_it_may_read(
    db: PostgresDatabase, visible: Visible, names: set[str]
) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        for name in ("a", "b", "risk/a", "risk/b"):
            await made_by.asset(tx, name)
            await made_by.version(tx, name)
        for as_of in (None, made_by.clock.now()):
            versions, _ = await search_versions(tx, Query(visible, as_of=as_of))
            assert {_asset_of(found) for found in versions} == names
            assets, _ = await search_assets(tx, Query(visible, as_of=as_of))
            assert {str(found.ref) for found in assets} == names


async def test_a_search_as_of_a_time_sees_what_held_then(db: PostgresDatabase) -> None:
    made_by = Catalog()
    fraud = AssetRef.parse("fraud")
    async with db.transaction() as tx:
        await made_by.asset(tx, tags={"team": "old"}, owner="old")
        await made_by.version(tx, tags={"stage": "old"})
        await made_by.point(tx, "champion", 1)
        then = made_by.clock.now()
        await made_by.version(tx, version="2.0.0", tags={"stage": "old"})
        await made_by.point(tx, "champion", 2)
        change = Change({"owner": "new"}, {"team": "new"})
        await catalog.annotate_asset(tx, fraud, change, made_by.by())
        await catalog.annotate_version(tx, fraud, 1, Change({}, {"stage": "new"}), made_by.by())
        for wanted in (
            "tags.stage = 'old'",
            "owner = 'old'",
            "alias = 'champion'",
            "alias LIKE 'c%'",
        ):
            found, _ = await search_versions(tx, Query(ALL, wanted, as_of=then))
            assert [v.number for v in found] == [1], wanted
        assert found[0].owner == "old"
        assert found[0].tags == {"stage": "old"}
        now, _ = await search_versions(tx, Query(ALL, "tags.stage = 'old'"))
        assert [v.number for v in now] == [2]
        for wanted in ("tags.team = 'old'", "owner = 'old' AND tags.team IN ('old', 'x')"):
            assets, _ = await search_assets(tx, Query(ALL, wanted, as_of=then))
            assert [a.state.owner for a in assets] == ["old"]
            assert not (await search_assets(tx, Query(ALL, wanted)))[0]


async def test_assets_are_found_and_sorted(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        for name, owner in (("b", "x"), ("a", "y"), ("ä", "x"), ("risk/a", "z")):
            await made_by.asset(tx, name, owner=owner, description=f"about {name}")
        found, _ = await search_assets(tx, Query(ALL))
        assert [str(a.ref) for a in found] == ["a", "risk/a", "b", "ä"]
        found, cursor = await search_assets(tx, Query(ALL, order=["created_at desc"], limit=3))
        assert [str(a.ref) for a in found] == ["risk/a", "ä", "a"]
        rest, _ = await search_assets(
            tx, Query(ALL, order=["created_at desc"], limit=3, cursor=cursor)
        )
        assert [str(a.ref) for a in rest] == ["b"]
        for wanted, names in (
            ("owner = 'x'", ["b", "ä"]),
            ("description LIKE '%about r%'", ["risk/a"]),
            ("kind != 'model'", []),
            ("created_at > 2100-01-01", []),
            ("created_by = 'ada' AND escalation_contact = 'x'", []),
            ("updated_at <= 2100-01-01 AND name IN ('a')", ["a", "risk/a"]),
        ):
            found, _ = await search_assets(tx, Query(ALL, wanted))
            assert [str(a.ref) for a in found] == names, wanted


@pytest.mark.parametrize(
    "wanted",
    [
        "name = 'x'' OR 1=1 --'",
        "name = '$1'",
        "tags.\"'; DROP TABLE version; --\" = 'x'",
        "metrics.\"'||'\" > 1",
        "params.\"$2\" = 'x'",
        "name LIKE '%\\%%'",
        "description LIKE '" + "%_" * 400 + "'",
        "name IN (" + ", ".join(f"'{n}'" for n in range(500)) + ")",
        " AND ".join(f"tags.k{n} = 'v'" for n in range(100)),
        "(" * 30 + "name = 'x'" + ")" * 30,
        "NOT " * 31 + "name = 'x'",
        "number > 99999999999999999999999",
        "size_bytes < -1e308",
        "registered_at > 0001-01-01 AND registered_at < 9999-12-31",
        "name = '\U0001f575\u202e\u0301'",
    ],
)
async def test_whatever_is_asked_for_is_only_a_value(db: PostgresDatabase, wanted: str) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        await made_by.asset(tx)
        await made_by.version(tx, metadata=FULL_METADATA)
        for as_of in (None, made_by.clock.now()):
            await search_versions(tx, Query(ALL, wanted, as_of=as_of))
        assert await tx.fetchval("SELECT count(*) FROM version") == 1


async def test_the_versions_of_one_asset(db: PostgresDatabase) -> None:
    made_by = Catalog()
    async with db.transaction() as tx:
        for name in ("a", "risk/a"):
            await made_by.asset(tx, name)
            await made_by.version(tx, name)
        found, _ = await search_versions(tx, Query(ALL, within=AssetRef.parse("risk/a")))
        assert [_asset_of(v) for v in found] == ["risk/a"]
        with pytest.raises(BadFilter):
            await search_versions(tx, Query(ALL, "nme = 'x'", within=AssetRef.parse("a")))
