"""Write docs/reference from the code itself: `make docs`. A test fails when it is not current."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from muniment.__main__ import server_commands
from muniment.client.cli.app import COMMANDS
from muniment.client.cli.lazy import load
from muniment.core.errors import CODES
from muniment.server import evidence, policy, setting_fields, settings

REFERENCE = Path(__file__).parent / "reference"
_NOTE = "<!-- Written by `make docs`; change the code, not this page. -->\n"


def errors() -> str:
    """Every error code with its status, in the order of the tree."""
    lines = [
        "# Error codes",
        "",
        _NOTE,
        "Errors are RFC 9457 problem details; `code` is stable. `problems` lists everything wrong with a request at once.",
        "",
        "| Code | Status | Repeat? | Means |",
        "|---|---|---|---|",
    ]
    for code, error in CODES.items():
        means = (error.__doc__ or "").strip().split("\n")[0]
        lines.append(
            f"| `{code}` | {error.status} | {'yes' if error.retryable else 'no'} | {means} |"
        )
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Every setting of the server, with its default."""
    comments = _comments(Path(setting_fields.__file__).read_text(encoding="utf-8"))
    lines = [
        "# Settings of the server",
        "",
        _NOTE,
        "Read once, at the start, from the environment. A wrong value stops the start; all problems are shown together.",
        "",
        "| Variable | Default | What it decides |",
        "|---|---|---|",
    ]
    for field in dataclasses.fields(settings.Settings):
        default = "" if field.default is dataclasses.MISSING else field.default
        shown = "" if default is None or default == "" else f"`{default}`"
        lines.append(
            f"| `MUNIMENT_{field.name.upper()}` | {shown} | {comments.get(field.name, '')} |"
        )
    return "\n".join(lines) + "\n"


def _comments(source: str) -> dict[str, str]:
    """Return the `#:` comment above each field."""
    found: dict[str, str] = {}
    pending: list[str] = []
    for line in source.splitlines():
        comment = re.match(r"    #: (.*)", line)
        field = re.match(r"    (\w+): ", line)
        if comment:
            pending.append(comment[1])
        elif field:
            found[field[1]] = " ".join(pending)
            pending = []
        else:
            pending = []
    return found


def command_page() -> str:
    """Every command with its arguments and options."""
    lines = ["# The command line", "", _NOTE]
    lines += [
        "Every command takes `--help`. Exit codes: 0 done, 1 failed, 2 wrong usage; of a verdict: 3 denied",
        "(or findings), 4 evidence is missing, 5 an approval is.",
        "",
    ]
    for name, later in {**COMMANDS, **server_commands()}.items():
        lines += list(_command(f"muniment {name}", load(name, later)))
    return "\n".join(lines).rstrip() + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    children = getattr(command, "commands", {})
    later = getattr(command, "table", {})
    children = {**children, **{child: load(child, each) for child, each in later.items()}}
    if len(children) > 0:
        for child, nested in children.items():
            yield from _command(f"{name} {child}", nested)
        return
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    usage = " ".join([name, *(_usage(argument) for argument in arguments)])
    yield from (f"## `{usage}`", "", _text(command.help), "")
    options = [
        (", ".join(f"`{text}`" for text in (*param.opts, *param.secondary_opts)), _text(param.help))
        for param in command.params
        if param.param_type_name == "option" and not getattr(param, "hidden", False)
    ]
    if options:
        yield from ("| Option | Means |", "|---|---|")
        yield from (f"| {names} | {means} |" for names, means in options)
        yield ""


def _usage(argument: Any) -> str:
    text = str(argument.name).upper() + ("…" if argument.nargs != 1 else "")
    return text if argument.required else f"[{text}]"


def _text(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").strip().replace("|", "\\|")


def _schema(name: str, owner: ModuleType = evidence) -> str:
    """A schema of ours, as the server checks with it."""
    return (Path(str(owner.__file__)).parent / "schemas" / name).read_text(encoding="utf-8")


PAGES = {
    "errors.md": errors,
    "settings.md": settings_page,
    "command-line.md": command_page,
    "evaluation.v1.schema.json": lambda: _schema("evaluation.v1.json"),
    "gate_plan.v1.schema.json": lambda: _schema("gate_plan.v1.json"),
    "policy_input.v1.schema.json": lambda: _schema("policy_input.v1.json", policy),
}


def main() -> None:
    """Write every page."""
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"docs/reference/{name}\n")


if __name__ == "__main__":
    main()
