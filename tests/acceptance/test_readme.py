"""The session in README.md, run against a real server: every line it shows is printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess

README = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.slow


def session() -> list[tuple[str, list[str]]]:
    """Return the commands of the first console block, each with the lines it shows."""
    block = re.search(r"```console\n(.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    steps: list[tuple[str, list[str]]] = []
    for line in block[1].splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        else:
            steps[-1][1].append(line)
    return steps


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_the_session_prints_what_readme_shows(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.json").write_text('{"w": [0.1, 0.2, 0.3]}\n')
    (model / "notes.txt").write_text("first release\n\n")
    with ServerProcess(tmp_path) as server:
        server.environ["MUNIMENT_DATA_DIR"] = str(server.data)
        for command, shown in session():
            program, *arguments = shlex.split(command)
            assert program == "muniment"
            printed = server.cli(*arguments)
            for line in shown:
                assert squeezed(line) in squeezed(printed.stdout + printed.stderr), command
