"""What an operator may decide, read once from `MUNIMENT_*` variables into one frozen object.

Everything has a default that suits one machine; nothing is read from the environment elsewhere.
A wrong value stops the start, and every problem is reported at once. Secrets are not in `repr`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from muniment.core.errors import MunimentError
from muniment.server import setting_checks
from muniment.server.setting_fields import SettingFields

_PREFIX = "MUNIMENT_"


class BadSettings(MunimentError):
    """The settings cannot be used."""

    code = "bad_settings"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(SettingFields):
    """Everything an operator has decided."""

    #: Variables of the client, which are not settings of the server.
    OTHERS: ClassVar[frozenset[str]] = frozenset(
        {f"MUNIMENT_{name}" for name in ("URL", "TOKEN", "ID_TOKEN", "CONFIG_HOME", "STATE_HOME")}
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **overrides: Any) -> Self:
        """Read `environ`; `overrides` (typed, None: not given) win.

        Raises:
            BadSettings: with one problem for each variable that is wrong; secrets are not shown.
        """
        values, problems = _read(dataclasses.fields(cls), environ)
        values.setdefault("data_dir", _default_data_dir(environ))
        values |= {name: value for name, value in overrides.items() if value is not None}
        problems += _misspelt(environ, cls)
        if not problems:
            settings = cls(**values)
            problems = settings.problems()
        if problems:
            raise BadSettings(_summary(problems), problems=problems)
        return settings

    def problems(self) -> list[dict[str, str]]:
        """List what is wrong with the values themselves and with each other; empty when all is well."""
        return [
            {"field": _PREFIX + name.upper(), "message": message, "fix": fix}
            for name, message, fix in setting_checks.wrong(self)
        ]


def _read(
    fields: tuple[dataclasses.Field[Any], ...], environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    values: dict[str, Any] = {}
    problems: list[dict[str, str]] = []
    for one in fields:
        name = _PREFIX + one.name.upper()
        if name not in environ:
            continue
        try:
            values[one.name] = one.metadata["read"](environ[name])
        except ValueError as error:
            problems.append({"field": name, "message": str(error), "fix": "correct or unset it"})
    return values, problems


def _misspelt(environ: Mapping[str, str], settings: type[Settings]) -> list[dict[str, str]]:
    known = {_PREFIX + one.name.upper() for one in dataclasses.fields(settings)}
    problems = []
    for name in sorted(set(environ) - known - settings.OTHERS):
        near = difflib.get_close_matches(name, known, 1, 0.85) if name.startswith(_PREFIX) else []
        if near:
            fix = f"did you mean {near[0]}?"
            problems.append({"field": name, "message": "there is no such setting", "fix": fix})
    return problems


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    """Choose `$XDG_DATA_HOME/muniment`, else `~/.local/share/muniment`."""
    home = environ.get("XDG_DATA_HOME") or f"{environ.get('HOME', '~')}/.local/share"
    return Path(home, "muniment").expanduser()


def _summary(problems: list[dict[str, str]]) -> str:
    """Name what is wrong; how, and what to do, is in the problems, which are shown below it."""
    return f"the settings cannot be used: {', '.join(one['field'] for one in problems)}"
