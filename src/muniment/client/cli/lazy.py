"""A command group that knows its commands by name and one line of help, and loads one when it runs.

`muniment --help` and shell completion of command names import no command at all.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import typer.main
from typer.core import TyperCommand, TyperGroup

from muniment.client.cli.screen import Session, show_error
from muniment.core.errors import (
    ApprovalPending,
    EvidenceMissing,
    MunimentError,
    Refused,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Later:
    """Where a command is: the `app` of a module, or one command of that app.

    With `group`, a group of such commands, each from a module of its own; then `module` is none.
    """

    module: str
    help: str
    panel: str
    child: str | None = None
    without: str = ""  # what to say when a library it needs is not installed
    group: Mapping[str, Later] | None = None


class LazyGroup(TyperGroup):
    """The root group. A subclass gives the commands as `table`, in the order they are shown."""

    table: ClassVar[Mapping[str, Later]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, later in self.table.items():
            self.add_command(TyperCommand(name, help=later.help), name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under their panels' names; plain, because drawing costs 60 ms."""
        del ctx
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, later in self.table.items():
            panels.setdefault(later.panel, []).append((name, later.help))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command as any group does, then load the real one."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.table:
            command = load(name, self.table[name])
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; show an error of ours as text (or JSON) and exit.

        With 3 if the rules refused, 4 if that is for want of evidence, 5 of approval; else with 1.
        """
        try:
            return super().invoke(ctx)
        except MunimentError as error:
            session = Session.of(ctx)
            if session.debug:
                raise
            show_error(error, session)
            raise typer.Exit(_exit_code(error)) from error


def _exit_code(error: MunimentError) -> int:
    match error:
        case ApprovalPending():
            return 5
        case EvidenceMissing():
            return 4
        case Refused():
            return 3
        case _:
            return 1


def load(name: str, later: Later) -> Any:
    """Import a command.

    Raises:
        Unavailable: it needs a library that is not installed.
    """
    if later.group is not None:
        return group(name, later.help, later.group)
    try:
        app = importlib.import_module(later.module).app
    except ModuleNotFoundError as error:
        if not later.without:
            raise
        raise Unavailable(later.without.format(name=name, missing=error.name)) from error
    command: Any = typer.main.get_command(app)
    return command.commands[later.child] if later.child else command


def group(name: str, text: str, commands: Mapping[str, Later]) -> LazyGroup:
    """Return a group of commands of which none is loaded yet."""

    class Group(LazyGroup):
        table: ClassVar[Mapping[str, Later]] = commands

    return Group(name=name, help=text, no_args_is_help=True, rich_markup_mode=None)
