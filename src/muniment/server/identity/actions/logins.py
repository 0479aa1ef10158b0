"""By which issuers people come in, and what comes of one who does.

Each act is one entry; an act repeated without effect writes nothing. Whoever calls has checked that
the caller may.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.entry import time_text
from muniment.core.errors import AlreadyExists, NotTrusted
from muniment.server import ledger
from muniment.server.http.records import PrincipalKind
from muniment.server.identity.actions import access
from muniment.server.identity.reads.access import SIGNAL
from muniment.server.identity.records import (
    By,
    CameBy,
    CameIn,
    GroupRole,
    Issued,
    LoginIssuer,
    NewLoginIssuer,
    NewPrincipal,
    Person,
    Principal,
    Token,
)
from muniment.server.identity.rules import logins as rules
from muniment.server.identity.rules.id_tokens import IdToken, refused
from muniment.server.identity.store import access as principals
from muniment.server.identity.store import logins as store
from muniment.server.identity.store import trust
from muniment.server.ledger import Actor, Entry, Subject
from muniment.server.ports.db import Tx

_LOGIN: Final = Actor("system", "login")


async def _record(
    tx: Tx, by: By, act: str, issuer: LoginIssuer, payload: Mapping[str, Any]
) -> None:
    subject = Subject("login_issuer", str(issuer.id), issuer.name)
    await ledger.append(tx, Entry(by.new_id(), by.at, act, by.actor, subject, payload))
    tx.signal(SIGNAL)


# --- issuers -----------------------------------------------------------------------------------


async def add_issuer(tx: Tx, new: NewLoginIssuer, by: By) -> LoginIssuer:
    """Let people come in by an issuer. Adding the same again changes nothing.

    Raises:
        BadBody: no token could be of it, or what is asked of it is no text.
        AlreadyExists: the name or the URL is another issuer's, of people or of pipelines: names of
            principals begin with it, and no issuer says who both are. Nothing is written in either
            case.
    """
    new = rules.clean_issuer(new)
    await trust.lock_trust(tx)
    for each in await store.issuers(tx):
        if each.removed_at is None and _same(each, new):
            return each
        if each.name == new.name and (each.removed_at is None or each.url != new.url):
            raise AlreadyExists(f"{new.name!r} is or was {each.url}: choose another name")
        if each.url == new.url and each.removed_at is None:
            raise AlreadyExists(
                f"people come in by {new.url} already, as {each.name!r}: change its roles with"
                " `muniment trust people roles`, or remove it first"
            )
    for other in await trust.issuers(tx):
        if other.name == new.name:
            raise AlreadyExists(
                f"{new.name!r} is or was an issuer of pipelines: choose another name"
            )
        if other.url == new.url and other.removed_at is None:
            raise AlreadyExists(
                f"{new.url} says who pipelines are, so it cannot say who people are"
            )
    issuer = LoginIssuer(**_fields(new), id=by.new_id(), created_at=by.at)
    await store.insert_issuer(tx, issuer)
    payload = {
        "name": issuer.name,
        "url": issuer.url,
        "client_id": issuer.client_id,
        "groups_claim": issuer.groups_claim,
        "scopes": list(issuer.scopes),
        "roles": rules.roles_json(issuer.roles),
        "created_at": time_text(by.at),
    }
    await _record(tx, by, "login_issuer.add", issuer, payload)
    return issuer


_FIELDS: Final = ("name", "url", "client_id", "groups_claim", "scopes", "roles")


def _fields(issuer: NewLoginIssuer) -> dict[str, Any]:
    return {name: getattr(issuer, name) for name in _FIELDS}


def _same(one: LoginIssuer, new: NewLoginIssuer) -> bool:
    return _fields(one) == _fields(new)


async def set_roles(tx: Tx, name: str, roles: Iterable[GroupRole], by: By) -> LoginIssuer:
    """Replace what groups of an issuer are: for each person from their next login.

    Raises:
        NotFound: people do not come in by one of that name.
        BadBody: a group's name is no text. Nothing is written in either case.
    """
    wanted = rules.clean_roles(roles)
    issuer = await store.lock_issuer(tx, name)
    if issuer.roles != wanted:
        await store.set_roles(tx, issuer.id, wanted)
        await _record(tx, by, "login_issuer.roles", issuer, {"roles": rules.roles_json(wanted)})
    return await store.lock_issuer(tx, name)


async def remove_issuer(tx: Tx, name: str, by: By) -> LoginIssuer:
    """Let nobody come in by an issuer any more.

    Who did loses what its groups gave, and all tokens; what was given by hand stays.

    Raises:
        NotFound: people do not come in by one of that name.
        Conflict: the last administrator is one by its groups. Nothing is written in either case.
    """
    issuer = await store.lock_issuer(tx, name)
    await principals.lock_admins(tx)
    for principal_id in await store.people(tx, issuer.url):
        await principals.lock_principal(tx, principal_id)
        for grant in rules.change(await store.held(tx, principal_id), frozenset()).take:
            await access.revoke_role(tx, principal_id, grant, by)
        for token in await principals.live_tokens(tx, principal_id):
            await access.revoke_token(tx, token, by)
    await store.remove_issuer(tx, issuer.id, by.at)
    await _record(tx, by, "login_issuer.remove", issuer, {"removed_at": time_text(by.at)})
    return next(each for each in await store.issuers(tx) if each.id == issuer.id)


# --- people ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Login:
    """A person's ID token whose signature and times hold; known by `key` until `expires_at`."""

    issuer: LoginIssuer
    token: IdToken
    key: bytes
    expires_at: dt.datetime


async def log_in(
    tx: Tx, login: Login, now: dt.datetime, new_id: Callable[[], uuid.UUID], lifetime: dt.timedelta
) -> tuple[Issued, Principal] | NotTrusted:
    """Give and take what groups do, and make a token; return it and whose it is.

    Who is new is made a principal, if a group gives a role. Who is known and has no role left gets
    no token: the refusal is returned, so that what was taken stays taken.

    Raises:
        IdTokenRefused: the ID token was exchanged before, or does not say who it is of.
        NotTrusted: nobody known, without a group that gives a role; or a disabled person.
        NotFound: the issuer was removed just now.
        Conflict: a role would be taken from the last administrator; or the principal's name is
            somebody else's. Nothing is to be committed in any of these cases.
    """
    by = By(_LOGIN, now, new_id)
    issuer = await store.lock_issuer(tx, login.issuer.name)
    who = rules.person(issuer, login.token.claims)
    wanted = rules.given(issuer, who.groups)
    await principals.lock_admins(tx)
    principal_id = await store.find_person(tx, issuer.url, who.subject)
    if principal_id is None and not wanted:
        raise _nobody(issuer)
    if not await trust.use_id_token(tx, login.key, login.expires_at):
        raise refused("replayed", "it was exchanged before: log in again")
    if principal_id is None:
        principal_id = await _create(tx, issuer, who, by)
    principal = await principals.lock_principal(tx, principal_id)
    if principal.disabled_at is not None:
        raise NotTrusted(f"{principal.name!r} was disabled by an administrator")
    change = rules.change(await store.held(tx, principal_id), wanted)
    for grant in change.give:
        await access.grant_by_groups(tx, principal_id, grant, issuer.id, by)
    for grant in change.take:
        await access.revoke_role(tx, principal_id, grant, by)
    if not change.left:
        return _nobody(issuer)
    token = _token(issuer, principal_id, by, lifetime)
    issued = await access.keep_login_token(tx, token, by, _said(issuer, login, who))
    return issued, await principals.get_principal(tx, principal_id)


def _nobody(issuer: LoginIssuer) -> NotTrusted:
    return NotTrusted(
        f"{issuer.name} knows you, but none of your groups there (`{issuer.groups_claim}`) gives a"
        " role here: ask an administrator, who maps groups with `muniment trust people roles`"
    )


async def _create(tx: Tx, issuer: LoginIssuer, who: Person, by: By) -> uuid.UUID:
    name = rules.principal_name(issuer, who.subject)
    new = NewPrincipal(PrincipalKind.PERSON, name, who.shown)
    login = {"issuer": issuer.url, "subject": who.subject}
    principal = await access.create_principal(tx, new, by, login=login)
    await store.insert_identity(tx, principal.id, issuer.url, who.subject, by.at)
    return principal.id


def _token(issuer: LoginIssuer, principal_id: uuid.UUID, by: By, lifetime: dt.timedelta) -> Token:
    return Token(
        id=by.new_id(),
        principal_id=principal_id,
        label=f"login by {issuer.name}",
        limits=None,
        created_at=by.at,
        expires_at=by.at + lifetime,
        revoked_at=None,
        last_used_at=None,
        came_in=CameIn(CameBy.ISSUER),
    )


def _said(issuer: LoginIssuer, login: Login, who: Person) -> dict[str, Any]:
    """Return what the entry keeps: only groups that are something here are anybody's business."""
    known = {each.group for each in issuer.roles}
    return {
        "issuer_id": str(issuer.id),
        "subject": who.subject,
        "groups": sorted(who.groups & known),
        "id_token_sha256": hashlib.sha256(login.token.text.encode()).hexdigest(),
    }
