"""Turn SQL files into one script by Alembic: a revision for each file, made from its name.

Alembic keeps the chain and its version table (`alembic_version`) and writes the script, in its
offline mode; the script runs on the server's own driver. So there is one driver, and the dry run
shows exactly what runs.
"""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any, cast

from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script.base import Script
from alembic.script.revision import RevisionMap

from muniment.server.migrations.steps import Migration


def script(migrations: list[Migration], at: str | None, steps: list[Migration]) -> str:
    """Write the SQL that takes a database at number `at` of the chain `migrations` through `steps`.

    Without BEGIN and COMMIT: the caller has a transaction open.
    """
    output = io.StringIO()
    options: dict[str, Any] = {"as_sql": True, "output_buffer": output, "transactional_ddl": False}
    options["starting_rev"] = at

    def plan(_heads: object, _context: MigrationContext) -> list[MigrationStep]:
        revisions = RevisionMap(lambda: _scripts(migrations, output))
        found = [cast("Script", revisions.get_revision(step.number)) for step in steps]
        return [MigrationStep.upgrade_from_script(revisions, one) for one in found]

    options["fn"] = plan
    MigrationContext.configure(dialect_name="postgresql", opts=options).run_migrations()
    return output.getvalue()


def _scripts(migrations: list[Migration], output: io.StringIO) -> list[Script]:
    scripts, before = [], None
    for migration in migrations:
        module: Any = ModuleType(f"migration_{migration.number}")
        module.revision, module.down_revision = migration.number, before
        module.upgrade = _upgrade(migration, output)
        scripts.append(Script(module, migration.number, str(migration.path)))
        before = migration.number
    return scripts


def _upgrade(migration: Migration, output: io.StringIO) -> Any:
    def upgrade() -> None:
        output.write(f"-- {migration.path.name}\n{migration.sql()}\n")

    return upgrade
