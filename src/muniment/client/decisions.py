"""Check an exported decision on this machine: no registry, no network."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from muniment.client import trust
from muniment.core.canon import loads_strict
from muniment.core.checkpoint import LogKey
from muniment.core.decisions import CheckedDecision, check_decision, log_key_of
from muniment.core.envelope import read_public_key
from muniment.core.errors import BadProof, BadRequest

_MAX_BYTES = 64 << 20


def verify_file(
    file: Path, key: Path | None, trusted_root: Path | None, at: dt.datetime
) -> CheckedDecision:
    """Check the decision in `file` as of `at`.

    `key` is the record key in PEM, or what `muniment log keys --json` printed, which has the log's too;
    without it the keys kept on this machine are tried. `trusted_root` has the log's key.

    Raises:
        BadProof: a file cannot be read, or no key is known.
    """
    bundle = _read(file)
    tried = [
        check_decision(bundle, record_key, log, at) for record_key, log in _keys(key, trusted_root)
    ]
    if not tried:
        raise BadProof(
            "no key is known: give `--key`, or keep the registry's with `muniment log keys --save`"
        )
    return next((one for one in tried if one.ok), max(tried, key=lambda one: len(one.steps)))


def _keys(key: Path | None, trusted_root: Path | None) -> list[tuple[bytes, LogKey | None]]:
    log = None if trusted_root is None else log_key_of(_read(trusted_root))
    if key is None:
        known = [trust.as_trusted(one) for one in trust.load().values()]
        return [
            (one.record_key_der, log or LogKey.parse(one.log_vkey))
            for one in known
            if one.record_key_der is not None
        ]
    text = _text(key)
    if text.lstrip().startswith("{"):
        found = trust.as_trusted(trust.read_keys(key))
        if found.record_key_der is None:
            raise BadProof(f"`{key}` has no record key")
        return [(found.record_key_der, log or LogKey.parse(found.log_vkey))]
    return [(read_public_key(text), log)]


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadProof(f"cannot read `{file}`: {error}") from error


def _read(file: Path) -> dict[str, object]:
    try:
        value = loads_strict(_text(file), max_bytes=_MAX_BYTES)
    except BadRequest as error:
        raise BadProof(f"cannot read `{file}`: {error.message}") from None
    if not isinstance(value, dict):
        raise BadProof(f"expected a JSON object in `{file}`")
    return value
