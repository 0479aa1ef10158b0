"""`muniment completion`."""

from __future__ import annotations

import enum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

from muniment.client.cli.app import COMPLETE

app = typer.Typer(add_completion=False)


class Shell(enum.StrEnum):
    """A shell that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def completion(shell: Annotated[Shell, typer.Argument()] = Shell.BASH) -> None:
    """Print a script that completes commands and options.

    For bash: `eval "$(muniment completion bash)"` in `~/.bashrc`.
    """
    script = get_completion_script(prog_name="muniment", complete_var=COMPLETE, shell=shell.value)
    typer.echo(script)
