"""How a setting's text is read: each function returns a value or says what is wrong with the text.

Raises (every function): ValueError, with what was expected.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from pathlib import Path

_MIB = 1 << 20
_GIB = 1 << 30
_SIZE_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE_UNITS |= {"KIB": 1 << 10, "MIB": _MIB, "GIB": _GIB, "TIB": 1 << 40}
_TIME_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_P256_BYTES = 91


def text(value: str) -> str:
    """Read text that is not empty."""
    if not value.strip():
        raise ValueError("it is empty; unset it to use the default")
    return value


def switch(value: str) -> bool:
    """Read a yes or no."""
    known = {"1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False}
    if value.strip().lower() not in known:
        raise ValueError(f"expected true or false, found {value!r}")
    return known[value.strip().lower()]


def number(value: str) -> int:
    """Read a whole number."""
    if not re.fullmatch(r"\s*\d{1,9}\s*", value, re.ASCII):
        raise ValueError(f"expected a whole number, found {value!r}")
    return int(value)


def size_bytes(value: str) -> int:
    """Read a size in bytes: `1048576`, `64MiB`, `5 GB`."""
    match = re.fullmatch(r"\s*(\d{1,18})\s*([A-Za-z]{0,3})\s*", value, re.ASCII)
    unit = _SIZE_UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise ValueError(f"expected a size such as 64MiB or 5GB, found {value!r}")
    return int(match[1]) * unit


def duration(value: str) -> dt.timedelta:
    """Read a time span: `90s`, `15m`, `24h`, `7d`."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*([smhd])\s*", value, re.ASCII)
    if match is None:
        raise ValueError(f"expected a time span such as 15m, 24h or 7d, found {value!r}")
    return dt.timedelta(seconds=int(match[1]) * _TIME_UNITS[match[2]])


def login_time(value: str) -> dt.timedelta:
    """Read how long a login holds: 5 minutes to 12 hours."""
    found = duration(value)
    if not dt.timedelta(minutes=5) <= found <= dt.timedelta(hours=12):
        raise ValueError(f"expected 5m to 12h, found {value!r}")
    return found


def enforcement(value: str) -> str:
    """Read an enforcement mode."""
    known = ("observe", "warn", "enforce")
    if value.strip().lower() not in known:
        raise ValueError(f"expected one of {', '.join(known)}, found {value!r}")
    return value.strip().lower()


def directory(value: str) -> Path:
    """Read a directory; `~` is the home directory."""
    return Path(text(value)).expanduser()


def names(value: str) -> tuple[str, ...]:
    """Read names separated by commas, or none at all."""
    return tuple(each.strip() for each in value.split(",") if each.strip())


def public_keys(value: str) -> tuple[bytes, ...]:
    """Read P-256 public keys in PEM; each comes back as SubjectPublicKeyInfo in DER."""
    blocks = _PEM.findall(value)
    keys = tuple(base64.b64decode("".join(block.split()), validate=True) for block in blocks)
    if not keys or _PEM.sub("", value).strip():
        raise ValueError("expected PEM blocks `-----BEGIN PUBLIC KEY-----`")
    if not all(len(key) == _P256_BYTES and key.startswith(_P256) for key in keys):
        raise ValueError("expected ECDSA P-256 public keys (`openssl ec -pubout`)")
    return keys
