"""Secrets of webhooks: what one is, how it is kept, how it signs.

1. A secret of our own format is `whsec_` and 24 to 64 bytes in base64; its bytes are the key.
2. At rest a secret is AES-256-GCM under a key that follows from the entry key, bound to its webhook
   and its own id: a row moved elsewhere cannot be opened.
3. A signature is `v1,` and base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`.

Source: Standard Webhooks 1.0; NIST SP 800-38D.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from muniment.core.errors import BadBody, IntegrityError

#: What the entry key is asked for: its HMAC of this is the key of secrets at rest.
KEY_CONTEXT: Final = b"muniment/webhook-secret/v1\n"
NONCE_BYTES: Final = 12
SECRET_BYTES: Final = 32
SECRET_MAX_CHARS: Final = 1000
_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = range(24, 65)


def secret_of(key: bytes) -> str:
    """Write a key as a secret."""
    return _PREFIX + base64.b64encode(key).decode()


def key_of(secret: str) -> bytes:
    """Return the key of a secret.

    Raises:
        BadBody: it is none of ours.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) not in _KEY_BYTES:
        problem = {
            "field": "secret",
            "message": f"expected {_PREFIX} and 24 to 64 bytes in base64",
            "fix": "leave it out: the registry makes one",
        }
        raise BadBody(f"`secret`: {problem['message']}", problems=[problem])
    return key


def seal(key: bytes, secret: str, owner: tuple[uuid.UUID, uuid.UUID], nonce: bytes) -> bytes:
    """Encrypt a secret for its owner (webhook, secret); `nonce` is 12 fresh random bytes."""
    return nonce + AESGCM(key).encrypt(nonce, secret.encode(), _bound(owner))


def unseal(key: bytes, sealed: bytes, owner: tuple[uuid.UUID, uuid.UUID]) -> str:
    """Decrypt a secret.

    Raises:
        IntegrityError: it was not sealed under this key for this owner.
    """
    try:
        opened = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(owner))
    except (InvalidTag, ValueError):
        raise IntegrityError(
            "the secret of the webhook cannot be opened: it was changed, or sealed under another"
            " entry key; give it a new one (`muniment webhook update --new-secret`)"
        ) from None
    return opened.decode()


def _bound(owner: tuple[uuid.UUID, uuid.UUID]) -> bytes:
    webhook_id, secret_id = owner
    return KEY_CONTEXT + webhook_id.bytes + secret_id.bytes


def signature(key: bytes, delivery_id: str, sent_at: int, body: bytes) -> str:
    """Sign a delivery; `sent_at` is in seconds since 1970."""
    signed = f"{delivery_id}.{sent_at}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
