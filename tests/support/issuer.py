"""An OpenID Connect issuer on this machine: discovery, keys, tokens signed with real keys.

`/token` behaves as GitHub's `ACTIONS_ID_TOKEN_REQUEST_URL` does; `/device` and `/oauth/token` are the
device flow (RFC 8628) of people. What it serves may be replaced, to be an issuer that misbehaves.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "muniment.localhost"
CLIENT_ID = "muniment-cli"
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SHA = "8c13517721d6ae11cac357e58b9c81e988dc86e4"
WORKFLOW = "acme/fraud/.github/workflows/promote.yml@refs/heads/main"
#: A publisher that the tokens of `Issuer.token` are of.
GITHUB_RULE: dict[str, Any] = {
    "repository_id": "632596897",
    "owner_id": "131804563",
    "repository": "acme/fraud",
    "workflow": WORKFLOW,
    "environment": "production",
}
_RSA = {
    name: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for name in ("issuer", "stranger")
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """One issuer. `asked` counts requests by path.

    `polls` are what the next polls of the device flow are answered (OAuth error codes); then the
    person says yes, and is who `somebody` says beside the usual claims.
    """

    def __init__(self) -> None:
        self.key, self.foreign = _RSA["issuer"], _RSA["stranger"]
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.documents: dict[str, Any] = {}
        self.asked: dict[str, int] = {}
        self.now = time.time
        self.polls: list[str] = []
        self.somebody: dict[str, Any] = {}
        self.device: dict[str, Any] = {"expires_in": 600, "interval": 1}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                at = urllib.parse.urlsplit(self.path)
                outer.asked[at.path] = outer.asked.get(at.path, 0) + 1
                body = outer.documents.get(at.path)
                if at.path == "/token":
                    if self.headers.get("authorization") != "Bearer request-token":
                        self.send_error(401)
                        return
                    audience = urllib.parse.parse_qs(at.query)["audience"][0]
                    body = {"value": outer.token(aud=audience)}
                self.answer(404 if body is None else 200, body)

            def do_POST(self) -> None:
                outer.asked[self.path] = outer.asked.get(self.path, 0) + 1
                length = int(self.headers.get("content-length", "0"))
                form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
                self.answer(*outer.device_flow(self.path, form))

            def answer(self, status: int, body: Any) -> None:
                if body is None:
                    self.send_error(status)
                    return
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        self.documents["/.well-known/openid-configuration"] = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "device_authorization_endpoint": f"{self.url}/device",
            "token_endpoint": f"{self.url}/oauth/token",
        }
        self.documents["/jwks"] = {"keys": [self.rsa_jwk(), self.ec_jwk()]}
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def rsa_jwk(self, kid: str = "rsa-1", key: Any = None) -> dict[str, Any]:
        public = (key or self.key).public_key()
        made = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public))
        return {**made, "kid": kid, "use": "sig", "alg": "RS256"}

    def ec_jwk(self) -> dict[str, Any]:
        made = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.ec.public_key()))
        return {**made, "kid": "ec-1", "use": "sig", "alg": "ES256"}

    def claims(self, **over: Any) -> dict[str, Any]:
        """What GitHub says of a push to main; a value of None leaves the claim out."""
        now = int(self.now())
        said = {
            "iss": self.url,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now - 5,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
            "sub": "repo:acme@131804563/fraud@632596897:environment:production",
            "repository": "acme/fraud",
            "repository_id": "632596897",
            "repository_owner": "acme",
            "repository_owner_id": "131804563",
            "ref": "refs/heads/main",
            "ref_type": "branch",
            "ref_protected": "true",
            "sha": SHA,
            "workflow_ref": WORKFLOW,
            "workflow_sha": SHA,
            "job_workflow_ref": WORKFLOW,
            "job_workflow_sha": SHA,
            "event_name": "push",
            "environment": "production",
            "actor": "octocat",
            "actor_id": "1",
            "run_id": "21561244697",
            "run_attempt": "1",
            "runner_environment": "github-hosted",
            **over,
        }
        return {name: value for name, value in said.items() if value is not None}

    def token(self, **over: Any) -> str:
        """A good token but for `over`, signed with RS256."""
        return self.signed({"alg": "RS256", "kid": "rsa-1", "typ": "JWT"}, self.claims(**over))

    def person(self, **over: Any) -> str:
        """A good ID token of a person but for `over`; a value of None leaves the claim out."""
        now = int(self.now())
        said = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "sub": "248289761001",
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "groups": ["platform"],
            "sid": str(uuid.uuid4()),
            **over,
        }
        claims = {name: value for name, value in said.items() if value is not None}
        return self.signed({"alg": "RS256", "kid": "rsa-1", "typ": "JWT"}, claims)

    def for_people(self) -> str:
        """Be a second issuer with the same keys, for people alone; return its URL."""
        url = f"{self.url}/people"
        document = self.documents["/.well-known/openid-configuration"]
        self.documents["/people/.well-known/openid-configuration"] = {**document, "issuer": url}
        return url

    def device_flow(self, path: str, form: dict[str, str]) -> tuple[int, Any]:
        """Answer as RFC 8628 has it: §3.2 at `/device`, §3.5 at `/oauth/token`."""
        if form.get("client_id") != CLIENT_ID:
            return 401, {"error": "invalid_client"}
        if path == "/device":
            if "openid" not in form.get("scope", "").split():
                return 400, {"error": "invalid_scope"}
            return 200, {
                "device_code": "GmRhmhcxhwAzkoEqiMEg",
                "user_code": "WDJB-MJHT",
                "verification_uri": f"{self.url}/activate",
                **self.device,
            }
        if (form.get("grant_type"), form.get("device_code")) != (_GRANT, "GmRhmhcxhwAzkoEqiMEg"):
            return 400, {"error": "invalid_grant"}
        if self.polls:
            return 400, {"error": self.polls.pop(0)}
        token = self.person(**self.somebody)
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": token}

    def signed(self, header: dict[str, Any], claims: dict[str, Any], key: Any = None) -> str:
        """Any header over any claims, signed with the issuer's RSA key or another."""
        return self.signed_bytes(json.dumps(header).encode(), json.dumps(claims).encode(), key)

    def signed_bytes(self, header: bytes, claims: bytes, key: Any = None) -> str:
        text = f"{b64(header)}.{b64(claims)}"
        algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
        return f"{text}.{b64(algorithm.sign(text.encode(), key or self.key))}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def hs256(issuer: Issuer, header: dict[str, Any]) -> str:
    """A token whose HMAC key is the issuer's public key: what confused libraries accept."""
    import hmac  # noqa: PLC0415 -- for this alone

    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
    )

    pem = issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(issuer.claims()).encode())}"
    return f"{text}.{b64(hmac.new(pem, text.encode(), hashlib.sha256).digest())}"


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """Run an issuer meanwhile."""
    issuer = Issuer()
    try:
        yield issuer
    finally:
        issuer.close()
