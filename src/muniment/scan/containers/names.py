"""Names of members that would leave the folder they are unpacked in."""

from __future__ import annotations

import re
from typing import Final

from muniment.scan.context import Context

_DRIVE: Final = re.compile(r"[a-zA-Z]:")


def check_name(name: str, context: Context, offset: int) -> None:
    """Note a name that is empty, absolute, climbs up, or that systems read differently."""
    parts = name.replace("\\", "/").split("/")
    wrong = (
        not name
        or parts[0] == ""
        or ".." in parts
        or "\\" in name
        or _DRIVE.match(name) is not None
        or any(ord(char) < 32 for char in name)  # noqa: PLR2004 -- control characters
    )
    if wrong:
        shown = "".join(char if char.isprintable() else "?" for char in name[:100])
        context.found("archive.path", f"a member is called `{shown}`", offset)
