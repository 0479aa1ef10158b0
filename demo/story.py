"""How the demo speaks: a heading for each step, the command as typed, what it printed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)

MUNIMENT = [sys.executable, "-m", "muniment"]


class Surprise(SystemExit):
    """A step did not end as the story says; the demo exits with 1."""

    def __init__(self, step: str, expected: str, found: str) -> None:
        """Print the whole difference, then leave."""
        console.print(
            f"\n[bold red]Surprise[/] in: {step}\n  expected: {expected}\n  found:    {found}"
        )
        super().__init__(1)


class Story:
    """Runs commands in one environment and tells what they did."""

    def __init__(self, home: Path) -> None:
        """Keep credentials and state under `home`, apart from the user's own."""
        self.home = home
        self.environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MUNIMENT_")},
            "MUNIMENT_CONFIG_HOME": str(home / "config"),
            "COLUMNS": "110",
        }
        self._started = time.monotonic()
        self._count = 0

    def step(self, what: str) -> None:
        """Begin a step: its number and what it shows."""
        self._count += 1
        console.print(f"\n[bold cyan]{self._count}. {what}[/]")

    def say(self, text: str) -> None:
        """Add a sentence."""
        console.print(f"   {text}")

    def run(
        self,
        *arguments: str,
        exit_code: int = 0,
        shows: str = "",
        quiet: bool = False,
        environ: dict[str, str] | None = None,
    ) -> str:
        """Run `muniment ARGUMENTS`, in `environ` if that is given; return what it printed.

        Raises:
            Surprise: it ended with another code than `exit_code`, or did not print `shows`.
        """
        typed = shlex.join(("muniment", *arguments)).replace(str(self.home), ".")
        console.print(f"   [bold]$ {typed}[/]")
        done = subprocess.run(  # noqa: S603 -- our own command
            [*MUNIMENT, *arguments],
            env=environ or self.environ,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
        )
        printed = (done.stdout + done.stderr).strip()
        if not quiet:
            for line in printed.replace(str(self.home), ".").splitlines():
                console.print(f"     {line}", markup=False)
        if done.returncode != exit_code:
            raise Surprise(typed, f"exit code {exit_code}", f"{done.returncode}: {printed[-600:]}")
        self.expect(typed, shows in printed, f"output with {shows!r}", printed[-600:])
        return done.stdout

    def expect(self, step: str, holds: object, expected: str, found: object = "not so") -> None:
        """Go on only if `holds`.

        Raises:
            Surprise: it does not.
        """
        if not holds:
            raise Surprise(step, expected, str(found))

    @property
    def seconds(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._started
