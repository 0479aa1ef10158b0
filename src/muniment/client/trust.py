"""Which public keys this machine trusts, per registry: kept at first use, never changed by a server.

A registry whose log key is another than the one kept here shows a different log. That is an error
to look into, not a setting to update.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization

from muniment.client import places
from muniment.client.records import LogKeys
from muniment.core.errors import BadProof, BadRequest, LogInconsistent
from muniment.core.receipt import TrustedKeys


def path() -> Path:
    """Where trusted keys are kept, whether the file exists or not."""
    return places.config_home() / "trusted-keys.json"


def load() -> dict[str, LogKeys]:
    """Return the trusted keys by registry address.

    Raises:
        BadRequest: the file is not what `pin` writes.
    """
    try:
        saved = json.loads(path().read_text(encoding="utf-8"))
        return msgspec.convert(saved["registries"], dict[str, LogKeys])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
        msg = f"`{path()}` is not a list of trusted keys ({error}); restore it from a copy"
        raise BadRequest(msg) from error


def pin(url: str, keys: LogKeys) -> bool:
    """Trust `keys` for `url` from now on; return whether they were new.

    Raises:
        LogInconsistent: other keys are trusted for it. Nothing is written.
    """
    trusted = load()
    if url in trusted:
        check_same(url, trusted[url], keys)
        return False
    trusted[url] = keys
    registries = {at: _as_json(each) for at, each in trusted.items()}
    places.write_private(path(), {"registries": registries})
    return True


def check_same(url: str, trusted: LogKeys, found: LogKeys) -> None:
    """Accept keys equal to the trusted ones.

    Raises:
        LogInconsistent: they are not.
    """
    if (trusted.vkey, trusted.record_key_pem) == (found.vkey, found.record_key_pem):
        return
    raise LogInconsistent(
        f"`{url}` shows other keys than were trusted before (log key `{trusted.vkey}`, now"
        f" `{found.vkey}`): either it is another registry, or its log was replaced. Ask whoever"
        f" runs it; only then remove its entry from `{path()}`",
        extra={"trusted": trusted.vkey, "found": found.vkey},
    )


def as_trusted(keys: LogKeys) -> TrustedKeys:
    """Return keys in the form the verifier takes.

    Raises:
        BadProof: the record key is no PEM public key.
    """
    return TrustedKeys(keys.vkey, _der(keys.record_key_pem))


def read_keys(file: Path) -> LogKeys:
    """Read keys that `muniment log keys --json` printed, or one bare verifier key.

    Raises:
        BadProof: the file holds neither.
    """
    try:
        text = file.read_text(encoding="utf-8").strip()
        if not text.startswith("{"):
            return LogKeys(vkey=text.splitlines()[0])
        return msgspec.json.decode(text, type=LogKeys)
    except (OSError, ValueError, IndexError, msgspec.MsgspecError) as error:
        msg = f"cannot read keys from `{file}` ({error}); make it with `muniment log keys --json`"
        raise BadProof(msg) from error


def _der(pem: str | None) -> bytes | None:
    if pem is None:
        return None
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except ValueError as error:
        raise BadProof("the record key is not a PEM public key") from error
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _as_json(keys: LogKeys) -> dict[str, Any]:
    return {"vkey": keys.vkey, "record_key_pem": keys.record_key_pem}
