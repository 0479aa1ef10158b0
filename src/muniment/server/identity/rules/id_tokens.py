"""What an ID token must be before anything it says is believed.

1. At most 16 KiB; three parts of base64url, each spelled the one way; header and claims are JSON
   objects in which no member stands twice.
2. Signed with RS256 or ES256, by a key the header names (`kid`). A header that brings a key, says
   where one is, or changes what is signed is refused: keys come from the issuer's own list.
3. The issuer is exactly one of those trusted; the audience is one text, exactly this registry's.
4. It holds now: `iat`, `exp`, and `nbf` if there, within 30 s of skew, and for a day at most.
5. Each token is good once: by its `jti`, or, where an issuer gives none, by what was signed.

Source: requirements §5.2; RFC 7515, RFC 7519, RFC 8725.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.canon import canonical, loads_strict
from muniment.core.errors import BadJson, IdTokenRefused

MAX_CHARS: Final = 16 << 10
ALGORITHMS: Final = ("RS256", "ES256")
LEEWAY: Final = dt.timedelta(seconds=30)
LIFETIME_MAX: Final = dt.timedelta(days=1)
_TEXT_MAX: Final = 500
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_TYPES: Final = frozenset({"jwt"})
#: Header members that would have us take a key from, or read the rest as, the sender likes.
_HOSTILE: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty"})
_LATEST_SECONDS: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class IdToken:
    """A token as it reads. Nothing of it is to be believed before its signature is checked."""

    text: str
    algorithm: str
    key_id: str
    issuer: str
    claims: Mapping[str, Any]

    @property
    def signed(self) -> bytes:
        """What is signed: header and claims as they were sent."""
        return self.text.rpartition(".")[0].encode()


def refused(reason: str, message: str) -> IdTokenRefused:
    """Return the error that says why a token is refused; `reason` is a stable word."""
    return IdTokenRefused(f"the ID token is refused: {message}", extra={"reason": reason})


def read(text: str) -> IdToken:
    """Read a token without believing it.

    Raises:
        IdTokenRefused: it is none, or one that is never accepted.
    """
    if len(text) > MAX_CHARS:
        raise refused("too_large", f"expected at most {MAX_CHARS} characters, found {len(text)}")
    parts = text.split(".")
    if len(parts) != 3:  # noqa: PLR2004 -- RFC 7515 §3.1
        raise refused("malformed", f"expected three parts with dots between, found {len(parts)}")
    header = _object(parts[0], "header")
    if header.get("alg") not in ALGORITHMS:
        raise refused(
            "algorithm",
            f"expected the algorithm RS256 or ES256, found {str(header.get('alg'))[:20]!r}",
        )
    _bytes(parts[2], "signature")
    claims = _object(parts[1], "claims")
    hostile = sorted(_HOSTILE & header.keys())
    if hostile:
        raise refused("header", f"expected a header without {', '.join(hostile)}")
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise refused("header", f"expected the type JWT, found {str(header['typ'])[:20]!r}")
    key_id = text_claim(header, "kid", "key_id")
    return IdToken(text, header["alg"], key_id, text_claim(claims, "iss", "issuer"), claims)


def _object(part: str, what: str) -> dict[str, Any]:
    try:
        value = loads_strict(_bytes(part, what), max_bytes=MAX_CHARS)
        canonical(value)
    except BadJson as error:
        raise refused("bad_json", f"its {what}: {error.message}") from None
    if not isinstance(value, dict):
        raise refused("bad_json", f"expected its {what} as a JSON object")
    return value


def _bytes(part: str, what: str) -> bytes:
    try:
        if not _PART.fullmatch(part):
            raise refused("malformed", f"expected its {what} in base64url without padding")
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        data = b""
    # Other spellings of the same bytes would let one token look like several.
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise refused("malformed", f"expected its {what} in base64url as it is always spelled")
    return data


def text_claim(fields: Mapping[str, Any], name: str, reason: str) -> str:
    """Return a text that must be there.

    Raises:
        IdTokenRefused: it is not, or empty, longer than 500 characters, or not printable.
    """
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_MAX or not value.isprintable():
        raise refused(reason, f"expected `{name}` as a text of 1 to {_TEXT_MAX} characters")
    return value


def check(
    token: IdToken, *, audience: str, now: dt.datetime, single_use: bool
) -> tuple[bytes, dt.datetime]:
    """Check what a verified token says of itself; return what it is known by, and until when.

    `single_use` says that its issuer gives each token a `jti`. It is to be remembered under the 32
    bytes returned until that time; who sends it again is refused.

    Raises:
        IdTokenRefused: it is for somebody else, or does not hold now.
    """
    found = token.claims.get("aud")
    if found != audience:
        shown = repr(found[:100]) if isinstance(found, str) else "something else than one text"
        raise refused("audience", f"expected the audience {audience!r} alone, found {shown}")
    _, expires = check_times(token, now)
    return known_by(token, single_use=single_use), expires + LEEWAY


def check_times(token: IdToken, now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """Return when a verified token was issued and when it expires, if it holds at `now`.

    Raises:
        IdTokenRefused: it does not.
    """
    issued, expires = _time(token, "iat", "issued_at"), _time(token, "exp", "expired")
    if expires <= now - LEEWAY:
        raise refused("expired", f"it expired at {expires.isoformat()}; ask for a new one")
    if "nbf" in token.claims and _time(token, "nbf", "not_yet_valid") > now + LEEWAY:
        raise refused(
            "not_yet_valid", "it does not hold yet: compare the clocks of issuer and registry"
        )
    if issued > now + LEEWAY:
        raise refused(
            "issued_at", "it is from the future: compare the clocks of issuer and registry"
        )
    if issued < now - LIFETIME_MAX - LEEWAY or not issued < expires <= issued + LIFETIME_MAX:
        raise refused("lifetime", "expected a token that holds for a day at most")
    return issued, expires


def _time(token: IdToken, name: str, reason: str) -> dt.datetime:
    value = token.claims.get(name)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 <= value < _LATEST_SECONDS
    ):
        raise refused(reason, f"expected `{name}` as seconds since 1970")
    return dt.datetime.fromtimestamp(min(value, 253_402_300_799), dt.UTC)


def known_by(token: IdToken, *, single_use: bool) -> bytes:
    """Return what a token is remembered by: 32 bytes, of its `jti` or of what was signed.

    Raises:
        IdTokenRefused: it has no `jti` and must (`single_use`), or one that is no text.
    """
    if single_use or "jti" in token.claims:
        own = b"jti\n" + text_claim(token.claims, "jti", "id").encode()
    else:
        own = b"signed\n" + token.signed
    issuer = token.issuer.encode()
    return hashlib.sha256(b"muniment/id-token/v1\n" + issuer + b"\n" + own).digest()


def claims_digest(claims: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all claims in canonical JSON, in hex."""
    return hashlib.sha256(canonical(dict(claims))).hexdigest()


def claim_text(claims: Mapping[str, Any], name: str) -> str | None:
    """Return a claim as text: `true` and 7 are written so; None if it is neither text nor those."""
    value = claims.get(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    return None
