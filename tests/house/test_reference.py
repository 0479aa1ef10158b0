"""docs/reference says what the code says, and links in our pages lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from muniment.core.errors import CODES

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page",
    [
        "errors.md",
        "settings.md",
        "command-line.md",
        "evaluation.v1.schema.json",
        "gate_plan.v1.schema.json",
        "policy_input.v1.schema.json",
    ],
)
def test_the_reference_is_current(page: str) -> None:
    written = (ROOT / "docs" / "reference" / page).read_text()
    assert written == generator().PAGES[page](), "run `make docs`"


def test_no_code_is_used_twice() -> None:
    assert len({error.code for error in CODES.values()}) == len(CODES)


def test_every_page_named_in_our_documents_exists() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    missing = [
        f"{page.relative_to(ROOT)}: {named}"
        for page in pages
        for named in re.findall(r"`((?:docs|tests|src)/[\w./-]+\.\w+)`", page.read_text())
        if not (ROOT / named).exists()
    ]
    assert not missing, missing
