"""The shape of the house: faces, sizes, edges. Each failure names the place and the remedy."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "muniment"
OPEN_TO_ALL = {"ports", "http", "migrations", "settings"}
JOINERS = {"wiring", "upkeep", "commands", "policy_commands", "policy_show_commands", "openapi"}

FILE_LINES = 400
FUNCTION_LINES = 60
INIT_LINES = 40
EMPTY_WORDS = re.compile("Manager|Helper|Util|Impl")
#: The only places that may catch everything: where a request, a job or a command ends.
BROAD_EXCEPT = {
    "client/cli/app.py",
    "server/commands.py",
    "server/http/app.py",
    "server/ledger/sequencer.py",
    "server/ports/queue_worker.py",
    "server/wiring.py",
}


@functools.cache
def sources() -> tuple[tuple[str, int, tuple[ast.AST, ...]], ...]:
    """Name, number of lines and every node of each file."""
    texts = ((path, path.read_text()) for path in sorted(SOURCE.rglob("*.py")))
    return tuple(
        (str(path.relative_to(SOURCE)), text.count("\n"), tuple(ast.walk(ast.parse(text))))
        for path, text in texts
    )


def test_slices_meet_only_at_their_faces() -> None:
    graph = grimp.build_graph("muniment")
    strays = []
    for importer in sorted(graph.modules):
        ours = importer.split(".")
        if ours[:2] != ["muniment", "server"] or (ours[2:3] and ours[2] in JOINERS):
            continue
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            theirs = imported.split(".")
            if theirs[:2] != ["muniment", "server"] or len(theirs) < 4:
                continue
            same_slice = ours[2:3] == theirs[2:3]
            if not (same_slice or theirs[2] in OPEN_TO_ALL or theirs[3] == "records"):
                strays.append(
                    f"{importer} -> {imported}: import it from muniment.server.{theirs[2]}"
                )
    assert not strays, "\n".join(strays)


def test_files_and_functions_stay_in_their_budgets() -> None:
    over = []
    for name, lines, nodes in sources():
        limit = INIT_LINES if name.endswith("__init__.py") else FILE_LINES
        if lines > limit:
            over.append(f"{name}: {lines} lines, budget {limit}")
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    over.append(
                        f"{name}:{node.lineno} {node.name}: {length} lines, budget {FUNCTION_LINES}"
                    )
    assert not over, "\n".join(over)


def _catches_all(node: ast.ExceptHandler) -> bool:
    return node.type is None or (
        isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
    )


def test_only_edges_catch_everything() -> None:
    strays = [
        f"{name}:{node.lineno}"
        for name, _, nodes in sources()
        for node in nodes
        if isinstance(node, ast.ExceptHandler) and _catches_all(node) and name not in BROAD_EXCEPT
        # Cleaning up and raising again hides nothing.
        if not any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
    ]
    assert not strays, f"catch what you expect, or let the edge see it: {strays}"


def test_only_the_clock_asks_for_the_time() -> None:
    strays = [
        f"{name}:{node.lineno}"
        for name, _, nodes in sources()
        for node in nodes
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
        if isinstance(node.value, ast.Attribute | ast.Name)
        and (node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id)
        in {"datetime", "date"}
        if name.startswith("server/") and name != "server/ports/clock.py"
    ]
    assert not strays, f"take `now` as an argument: {strays}"


def test_no_slice_file_has_a_name_of_its_own() -> None:
    allowed = {
        "__init__",
        "records",
        "rules",
        "store",
        "plugins",
        "reads",
        "actions",
        "routes",
        "jobs",
    }
    also = {"ledger": {"sequencer", "tiles", "fsck"}, "policy": {"starter"}}
    strays = []
    server = SOURCE / "server"
    kits = OPEN_TO_ALL | JOINERS | {"facades", "__pycache__"}
    folders = [each for each in server.iterdir() if each.is_dir() and each.name not in kits]
    for folder in sorted([*folders, server / "facades" / "mlflow"]):
        slice_name = folder.name
        names = {
            path.stem for path in folder.iterdir() if path.name[0] != "_" or path.stem == "__init__"
        }
        names -= allowed | also.get(slice_name, set())
        strays += [
            f"{slice_name}/{name}"
            for name in names
            if name not in {"schemas", "rules", "__pycache__"}
        ]
    assert not strays, strays


def test_no_class_hides_behind_an_empty_word() -> None:
    strays = [
        f"{name}:{node.name}"
        for name, _, nodes in sources()
        for node in nodes
        if isinstance(node, ast.ClassDef) and EMPTY_WORDS.search(node.name)
    ]
    assert not strays, strays


def test_readme_stays_short() -> None:
    assert (ROOT / "README.md").read_text().count("\n") <= 150


def test_no_machine_path_or_download_address_is_committed() -> None:
    locks = [path.read_text() for path in (ROOT / "requirements").glob("*.txt")]
    assert not any(
        "index-url" in text or "find-links" in text or "http" in line
        for text in locks
        for line in text.splitlines()
        if line.startswith("--")
    )
