"""People's own signing keys: made here, the private half kept here; the registry knows the public one."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from muniment.client import places
from muniment.client.paging import all_items
from muniment.client.principals import Principals
from muniment.client.records import Page, Record
from muniment.client.transport import Transport, api
from muniment.core.canon import to_base64
from muniment.core.errors import BadPath, NotFound
from muniment.core.own_keys import NAME, possession
from muniment.core.statement import public_key_pem

if TYPE_CHECKING:
    from muniment.client.signing import OwnKey

#: What a key is called where nothing else is said.
DEFAULT: Final = "default"
_OWNER_ONLY, _OWNER_ONLY_DIRECTORY = 0o600, 0o700


class SigningKey(Record, frozen=True, kw_only=True):
    """A person's own public key as the registry has it; `came_in` is how who made it known did."""

    id: str
    principal_id: str
    name: str
    public_key: str
    key_sha256: str
    created_at: dt.datetime
    revoked_at: dt.datetime | None = None
    revoked_by: str | None = None
    came_in: dict[str, str | None] | None = None


class Keys:
    """Calls about people's own keys. Only people have keys, each only their own."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, key: OwnKey, *, name: str = DEFAULT) -> SigningKey:
        """Make a key known as one's own: approvals signed with it count as signed by you. Repeatable.

        Raises:
            NotAllowed: the token is not a person's, or has limits.
            Conflict: the key is somebody else's, or was revoked.
            AlreadyExists: another key of yours has that name.
        """
        me = Principals(self._transport).whoami()
        proof = key.sign(possession(str(me.id), key.public_key_der))
        body = {
            "name": name,
            "public_key": public_key_pem(key.public_key_der),
            "proof": to_base64(proof),
        }
        return self._transport.send("POST", api("signing-keys"), body, SigningKey)

    def list_(
        self, *, principal_id: str | None = None, own: bool = False, revoked: bool = False
    ) -> list[SigningKey]:
        """People's keys, newest first: everybody's, one person's, or (`own`) the caller's."""
        if own:
            principal_id = str(Principals(self._transport).whoami().id)

        def page_at(cursor: str | None) -> Page[SigningKey]:
            query = {
                "principal_id": principal_id,
                "revoked": "true" if revoked else None,
                "cursor": cursor,
            }
            return self._transport.get(api("signing-keys"), Page[SigningKey], query)

        return list(all_items(page_at))

    def revoke(self, key: str) -> SigningKey:
        """Have a key count no more, nor what it signed: by its id, or by the name of one's own.

        Raises:
            NotFound: there is none.
            NotAllowed: it is another person's, and the caller no administrator.
        """
        called = {each.name: each.id for each in self.list_(own=True)}
        key_id = called.get(key, key)
        try:
            return self._transport.send(
                "POST", api("signing-keys", key_id, "revoke"), None, SigningKey
            )
        except NotFound as error:
            raise NotFound(
                f"you have no key called `{key}`, and there is none of that id"
            ) from error


def key_file(name: str = DEFAULT) -> Path:
    """Where the private key of that name is kept on this machine, whether it exists or not.

    Raises:
        BadPath: a key is not called that.
    """
    if not NAME.fullmatch(name):
        raise BadPath(
            f"expected a name of lower-case letters, digits, `.`, `_`, `-`, at most 63, found {name[:80]!a}"
        )
    return places.config_home() / "keys" / f"{name}.pem"


def only_key() -> Path | None:
    """Where the key to sign with is: the default one, else the only one; None if there is none.

    Raises:
        BadPath: there are several, and none is the default.
    """
    file = key_file()
    if file.exists():
        return file
    there = sorted(file.parent.glob("*.pem")) if file.parent.is_dir() else []
    if len(there) > 1:
        names = ", ".join(each.stem for each in there)
        raise BadPath(f"there are several keys of yours here ({names}): say which with `--key`")
    return there[0] if there else None


def make_key(file: Path, password: str | None = None) -> None:
    """Make an ECDSA P-256 key in a new file that its owner alone can read: PKCS #8, PEM.

    Raises:
        BadPath: the file is there already, or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- slow to import
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 -- slow to import

    how: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password.encode())
        if password
        else serialization.NoEncryption()
    )
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how
    )
    draft = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY_DIRECTORY)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as out:
            out.write(pem)
            out.flush()
            os.fsync(out.fileno())
        os.link(draft, file)  # unlike a rename, never over another key
        draft.unlink()
    except FileExistsError as error:
        draft.unlink(missing_ok=True)
        raise BadPath(f"`{file}` is there already; say where else with `--key`") from error
    except OSError as error:
        raise BadPath(f"cannot write a key to `{file}`: {error}") from error
