"""An issuer's published keys, and whether a token was signed with one of them.

Of a key set only what can check RS256 or ES256 is taken: RSA of 2048 bits or more, P-256. Its other
keys are for others. Two keys under one name are no name.

Source: RFC 7517, RFC 8725; OpenID Connect Discovery 1.0 §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from muniment.core.canon import loads_strict
from muniment.core.errors import BadJson, DestinationDown
from muniment.server.identity.rules.id_tokens import ALGORITHMS, IdToken, refused

DISCOVERY_MAX_BYTES: Final = 64 << 10
KEYS_MAX_BYTES: Final = 256 << 10
KEYS_MAX: Final = 100
RSA_MIN_BITS: Final = 2048
#: Where a key's public half is, by type, and what it signs.
_PUBLIC: Final = {"RSA": ("RS256", ("n", "e")), "EC": ("ES256", ("crv", "x", "y"))}

#: Keys of an issuer by the name its tokens give them.
Keys = Mapping[str, jwt.PyJWK]


def read_discovery(url: str, data: bytes) -> str:
    """Return where the keys of the issuer `url` are, by its own discovery document.

    Raises:
        DestinationDown: it is the document of another issuer, or none.
    """
    document = _object(url, data, DISCOVERY_MAX_BYTES)
    if document.get("issuer") != url:
        found = str(document.get("issuer"))[:200]
        raise _unusable(url, f"its discovery document is that of {found!r}")
    where = document.get("jwks_uri")
    if not isinstance(where, str):
        raise _unusable(url, "its discovery document has no `jwks_uri`")
    return where


def read_keys(url: str, data: bytes) -> Keys:
    """Return the keys of the issuer `url` that may sign tokens, by their names.

    Raises:
        DestinationDown: it is no key set, or has more than a hundred keys, or one name twice.
    """
    listed = _object(url, data, KEYS_MAX_BYTES).get("keys")
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise _unusable(url, f"expected a set of at most {KEYS_MAX} keys")
    found: dict[str, jwt.PyJWK] = {}
    for each in listed:
        key = _usable(each)
        if key is None:
            continue
        if each["kid"] in found:
            raise _unusable(url, "two of its keys have the same `kid`")
        found[each["kid"]] = key
    return found


def _usable(key: Any) -> jwt.PyJWK | None:
    if not isinstance(key, dict) or not isinstance(key.get("kid"), str):
        return None
    algorithm, members = _PUBLIC.get(str(key.get("kty")), ("", ()))
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm or not algorithm:
        return None
    try:
        public = {name: key[name] for name in members} | {"kty": key["kty"]}
        made = jwt.PyJWK(public, algorithm=algorithm)
    except (KeyError, TypeError, ValueError, jwt.PyJWTError):
        return None
    if isinstance(made.key, RSAPublicKey):
        return made if made.key.key_size >= RSA_MIN_BITS else None
    return made if key["crv"] == "P-256" else None


def verify(token: IdToken, key: jwt.PyJWK) -> None:
    """Go on only if `token` was signed with `key`, by the algorithm that key is for.

    Raises:
        IdTokenRefused: it was not.
    """
    if token.algorithm != key.algorithm_name:
        raise refused("algorithm", f"the key it names is for {key.algorithm_name}")
    try:
        jwt.PyJWS(algorithms=list(ALGORITHMS)).decode(
            token.text, key, algorithms=[key.algorithm_name]
        )
    except (jwt.PyJWTError, ValueError):
        raise refused("signature", "its signature is not of the issuer's key") from None


def _object(url: str, data: bytes, max_bytes: int) -> dict[str, Any]:
    try:
        value = loads_strict(data, max_bytes=max_bytes)
    except BadJson as error:
        raise _unusable(url, error.message) from None
    if not isinstance(value, dict):
        raise _unusable(url, "expected a JSON object")
    return value


def _unusable(url: str, why: str) -> DestinationDown:
    return DestinationDown(f"the keys of the issuer {url} cannot be had: {why}")
