"""Step 0: do the guards of the tables stand as the migrations put them?

Triggers are what keeps even the server from changing history. Somebody who is to change it quietly
switches them off first, and may forget, or not be able, to put all of it back.
"""

from __future__ import annotations

from typing import Final

from muniment.server import migrations
from muniment.server.ledger.fsck.options import NOTHING
from muniment.server.ledger.records import Finding, Report
from muniment.server.migrations import Guards, Trigger
from muniment.server.ports.db import Row, Tx

KIND: Final = "guard"
_PUT_BACK: Final = (
    "put it back as the migrations have it (`muniment migrate --dry-run` on an empty database "
    "prints them), then look for what was changed while it was not there"
)
_TRIGGERS: Final = """
    SELECT c.relname AS table_name, t.tgname AS name, t.tgenabled::text AS enabled,
           pg_get_triggerdef(t.oid) AS definition
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = current_schema::regnamespace
    ORDER BY 1, 2
"""
_FUNCTIONS: Final = """
    SELECT proname AS name, prosrc AS body FROM pg_proc
    WHERE pronamespace = current_schema::regnamespace AND proname = ANY($1::text[])
"""
_RULES: Final = """
    SELECT tablename AS table_name, rulename AS name FROM pg_rules
    WHERE schemaname = current_schema ORDER BY 1, 2
"""
#: A setting kept for a role or a database that has its sessions pass all triggers by.
_SWITCHED_OFF: Final = """
    SELECT coalesce(r.rolname, 'every role') AS role, s.setting
    FROM pg_db_role_setting d CROSS JOIN LATERAL unnest(d.setconfig) AS s (setting)
    LEFT JOIN pg_roles r ON r.oid = d.setrole
    WHERE s.setting LIKE 'session_replication_role=%'
      AND d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
_MAY_WRITE: Final = """
    SELECT c.relname AS table_name, coalesce(r.rolname, 'everybody (PUBLIC)') AS role,
           string_agg(DISTINCT a.privilege_type, ', ') AS privileges
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema::regnamespace
      AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
      AND a.grantee <> c.relowner
      AND (a.grantee = 0 OR r.rolname <> current_user OR a.privilege_type IN ('TRUNCATE', 'TRIGGER'))
    GROUP BY 1, 2 ORDER BY 2, 1
"""
_OWNERS: Final = """
    SELECT c.relname AS table_name, pg_get_userbyid(c.relowner) AS owner,
           pg_get_userbyid((SELECT relowner FROM pg_class
                            WHERE oid = to_regclass('alembic_version'))) AS expected
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema::regnamespace
"""
#: Whether the role we are may do what only an owner may.
_OWNS: Final = """
    SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'ledger_entry'
                   AND relnamespace = current_schema::regnamespace
                   AND pg_has_role(current_user, relowner, 'USAGE'))
"""


async def check_guards(tx: Tx, report: Report) -> None:
    """Compare triggers, their functions, owners and grants with what the migrations made."""
    expected = migrations.guards(await tx.fetchval("SELECT version_num FROM alembic_version"))
    await _check_triggers(tx, report, expected)
    await _check_functions(tx, report, expected)
    for row in await tx.fetch(_RULES):
        where = f"{row['table_name']}, rule {row['name']}"
        report.add(Finding(KIND, where, NOTHING, "a rewriting rule", _PUT_BACK))
    for row in await tx.fetch(_SWITCHED_OFF):
        where = f"setting of {row['role']}"
        report.add(Finding(KIND, where, NOTHING, row["setting"], _PUT_BACK))
    await _check_owners(tx, report)


async def _check_triggers(tx: Tx, report: Report, expected: Guards) -> None:
    missing = dict(expected.triggers)
    for row in await tx.fetch(_TRIGGERS):
        report.count("guards")
        one = migrations.trigger_of(row["definition"])
        made = missing.pop((row["table_name"], row["name"]), None)
        where = f"{row['table_name']}, trigger {row['name']}"
        if made is None:
            report.add(Finding(KIND, where, NOTHING, _text(row), _PUT_BACK))
        elif one != made:
            report.add(Finding(KIND, where, _described(made), _text(row), _PUT_BACK))
        elif row["enabled"] not in ("O", "A"):
            report.add(Finding(KIND, where, "a trigger that fires", "one switched off", _PUT_BACK))
    for (table, name), wanted in missing.items():
        where = f"{table}, trigger {name}"
        report.add(Finding(KIND, where, _described(wanted), NOTHING, _PUT_BACK))


async def _check_functions(tx: Tx, report: Report, expected: Guards) -> None:
    rows = await tx.fetch(_FUNCTIONS, list(expected.functions))
    stored = {row["name"]: row["body"] for row in rows}
    for name, body in expected.functions.items():
        if stored.get(name) != body:
            found = "another body" if name in stored else NOTHING
            where = f"function {name}"
            report.add(Finding(KIND, where, "the body the migrations gave it", found, _PUT_BACK))


async def _check_owners(tx: Tx, report: Report) -> None:
    for row in await tx.fetch(_OWNERS):
        if row["owner"] != row["expected"]:
            where = f"{row['table_name']}, owner"
            remedy = "give it back (ALTER TABLE … OWNER TO …), and find out who took it"
            report.add(Finding(KIND, where, str(row["expected"]), str(row["owner"]), remedy))
    for row in await tx.fetch(_MAY_WRITE):
        where = f"{row['table_name']}, role {row['role']}"
        remedy = "revoke it (REVOKE … FROM …); only the server's role writes"
        report.add(Finding(KIND, where, "no right to write", row["privileges"], remedy))
    if await tx.fetchval(_OWNS):
        report.notes.append(
            "the server's role owns its tables, so it could drop their triggers: give it a role of "
            "its own (docs/guides/operations.md, `MUNIMENT_DATABASE_OWNER_URL`)"
        )


def _described(one: Trigger) -> str:
    events = " or ".join(sorted(one.events))
    return f"{one.timing} {events} {one.rest} calling {one.function}"


def _text(row: Row) -> str:
    one = migrations.trigger_of(row["definition"])
    return _described(one) if one is not None else str(row["definition"])
