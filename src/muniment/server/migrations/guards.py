"""Which triggers guard the tables, as the migrations made them, to compare a database with.

Read from the SQL files themselves, so that what is looked for is what was made. Understood is how
the files here write it: `CREATE [OR REPLACE] FUNCTION … RETURNS trigger … AS $$ … $$`, `CREATE
TRIGGER … EXECUTE FUNCTION …()`, `DROP TRIGGER`, `DROP TABLE`. A test compares the outcome with a
migrated database, so a way of writing that is not understood here fails there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_COMMENT = re.compile(r"--[^\n]*")
_STATEMENT = re.compile(
    r"""
    CREATE\s+(OR\s+REPLACE\s+)?FUNCTION\s+(?P<function>\w+)\(\)\s+RETURNS\s+trigger
        \b.*?AS\s+\$\$(?P<body>.*?)\$\$
    | CREATE\s+(OR\s+REPLACE\s+)?(CONSTRAINT\s+)?TRIGGER\s+(?P<trigger>\w+)\s+
        (?P<timing>BEFORE|AFTER|INSTEAD\s+OF)\s+(?P<events>.*?)\s+ON\s+(public\.)?(?P<table>\w+)
        (?P<rest>.*?)EXECUTE\s+FUNCTION\s+(public\.)?(?P<calls>\w+)\(\)
    | DROP\s+TRIGGER\s+(IF\s+EXISTS\s+)?(?P<dropped>\w+)\s+ON\s+(?P<dropped_on>\w+)
    | DROP\s+TABLE\s+(IF\s+EXISTS\s+)?(?P<gone>\w+)
    | ALTER\s+TABLE\s+(?P<renamed>\w+)\s+RENAME\s+TO\s+(?P<new_name>\w+)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger: when it fires, for what, and which function it calls."""

    table: str
    name: str
    timing: str
    events: frozenset[str]
    rest: str
    function: str


@dataclass(frozen=True, slots=True)
class Guards:
    """Triggers by (table, name), and the bodies of the functions they call by name."""

    triggers: dict[tuple[str, str], Trigger]
    functions: dict[str, str]


def guards_of(scripts: Iterable[str]) -> Guards:
    """Return what SQL scripts, run in order, leave in place."""
    triggers: dict[tuple[str, str], Trigger] = {}
    functions: dict[str, str] = {}
    for script in scripts:
        for found in _STATEMENT.finditer(_without_comments(script)):
            if found["function"]:
                functions[found["function"].lower()] = found["body"]
            elif found["trigger"]:
                one = _trigger(found)
                triggers[one.table, one.name] = one
            elif found["dropped"]:
                triggers.pop((found["dropped_on"], found["dropped"]), None)
            elif found["gone"]:
                triggers = {key: one for key, one in triggers.items() if key[0] != found["gone"]}
            else:
                triggers = dict(_renamed(triggers, found["renamed"], found["new_name"]))
    called = {one.function for one in triggers.values()}
    return Guards(triggers, {name: functions[name] for name in sorted(called)})


def trigger_of(definition: str) -> Trigger | None:
    """Return what `pg_get_triggerdef` writes as a `Trigger`."""
    found = _STATEMENT.match(definition)
    return _trigger(found) if found is not None and found["trigger"] else None


def _trigger(found: re.Match[str]) -> Trigger:
    events = re.split(r"\s+OR\s+", _plain(found["events"]), flags=re.IGNORECASE)
    return Trigger(
        table=found["table"],
        name=found["trigger"],
        timing=_plain(found["timing"]),
        events=frozenset(event.strip() for event in events),
        rest=_plain(found["rest"]),
        function=found["calls"],
    )


def _renamed(
    triggers: dict[tuple[str, str], Trigger], old: str, new: str
) -> Iterable[tuple[tuple[str, str], Trigger]]:
    for (table, name), one in triggers.items():
        named = new if table == old else table
        yield (
            (named, name),
            Trigger(named, name, one.timing, one.events, one.rest, one.function),
        )


def _plain(text: str) -> str:
    return " ".join(text.split())


def _without_comments(script: str) -> str:
    """Drop comments, but not inside function bodies, which are compared word for word."""
    parts = script.split("$$")
    return "$$".join(
        part if index % 2 else _COMMENT.sub("", part) for index, part in enumerate(parts)
    )
