"""Jinja templates: whether they reach for Python. They are looked at, never rendered.

Source: CVE-2024-34359 (templates in GGUF files rendered without a sandbox).
"""

from __future__ import annotations

import re
from typing import Final

from muniment.scan.context import Context

_TAG: Final = re.compile(r"\{[{%].*?(?:[}%]\}|\Z)", re.DOTALL)
_REACHING: Final = re.compile(
    r"__\w+__|\|\s*attr\b|_module\b|\b(?:popen|subprocess|builtins|mro|globals|getattr|eval|exec"
    r"|func_code|gi_frame|cr_frame|os\s*\.\s*\w+)\b|\\x5f|\\u005f|\[\s*['\"]_|self\s*\._"
    r"|\{%-?\s*(?:import|include|extends|from)\b",
    re.IGNORECASE,
)


def check_template(text: str, context: Context, offset: int = 0) -> None:
    """Note that there is a template, and whether it reaches for Python."""
    for tag in _TAG.finditer(text):
        found = _REACHING.search(tag[0])
        if found is not None:
            shown = "".join(char if char.isprintable() else "?" for char in found[0][:60])
            context.found("jinja.code", f"a template uses `{shown}`", offset + tag.start())
            return
    context.found("jinja.template", f"a template of {len(text)} characters", offset)
