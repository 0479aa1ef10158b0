"""People's own keys as requests register them."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from muniment.core.canon import to_base64
from muniment.core.own_keys import possession
from tests.support.signing import der_of, pem_of, signed_by


def key_body(
    key: ec.EllipticCurvePrivateKey, principal_id: object, name: str = "default"
) -> dict[str, Any]:
    """The request by which `principal_id` makes `key` known as its own."""
    proof = signed_by(key, possession(str(principal_id), der_of(key)))
    return {"name": name, "public_key": pem_of(key), "proof": to_base64(proof)}
