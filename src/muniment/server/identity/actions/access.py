"""What may be done to principals, roles and tokens; each act appends one entry, in `tx`.

Whoever calls an action has checked that the caller may (`routes`); what an action itself refuses
holds for everybody. Acts repeated without effect write nothing.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from muniment.core.entry import time_text
from muniment.core.errors import Conflict, NotAllowed, NotAuthenticated
from muniment.server import ledger
from muniment.server.http.records import EVERYTHING, Caller, Grant, PrincipalKind, Role, Verb
from muniment.server.identity.reads.access import SIGNAL
from muniment.server.identity.records import (
    By,
    FirstAdmin,
    Issued,
    NewPrincipal,
    NewToken,
    Principal,
    Token,
)
from muniment.server.identity.rules import access as rules
from muniment.server.identity.rules.publishers import attestation_json
from muniment.server.identity.store import access as store
from muniment.server.identity.store import codes
from muniment.server.ledger import Actor, Entry, Subject
from muniment.server.ports.clock import Clock
from muniment.server.ports.db import Tx
from muniment.server.settings import Settings

_ADMIN = Grant(Role.ADMIN, EVERYTHING)
_LOCAL = "local"
_STARTING = Actor("system", "bootstrap")


async def _record(
    tx: Tx, by: By, act: str, subject: tuple[str, uuid.UUID], payload: Mapping[str, Any]
) -> None:
    # The leaf can never be erased, so it names nobody: the subject's name is its id.
    kind, subject_id = subject
    await ledger.append(
        tx,
        Entry(
            id=by.new_id(),
            at=by.at,
            act=act,
            actor=by.actor,
            subject=Subject(kind, str(subject_id), str(subject_id)),
            payload=payload,
        ),
    )
    tx.signal(SIGNAL)


# --- principals --------------------------------------------------------------------------------


async def create_principal(
    tx: Tx, new: NewPrincipal, by: By, *, login: Mapping[str, str] | None = None
) -> Principal:
    """Make a principal with its roles: one entry, and one for each role.

    `login` is issuer and subject of a person who came in by an issuer; it goes into the entry.

    Raises:
        AlreadyExists: there is one of that name. Nothing is written.
    """
    principal_id = by.new_id()
    await store.insert_principal(tx, principal_id, new, by.at)
    await _record(
        tx,
        by,
        "principal.create",
        ("principal", principal_id),
        {
            "kind": new.kind.value,
            "name": new.name,
            "display_name": new.display_name,
            "created_at": time_text(by.at),
            **({"login": dict(login)} if login else {}),
        },
    )
    for grant in dict.fromkeys(new.grants):
        await _grant(tx, principal_id, grant, by)
    return await store.get_principal(tx, principal_id)


async def disable_principal(tx: Tx, principal_id: uuid.UUID, by: By) -> Principal:
    """Have a principal's tokens stop working. Repeating it changes nothing.

    Raises:
        NotFound: there is none of that id.
        Conflict: it is the last administrator. Nothing is written in either case.
    """
    admins = await store.lock_admins(tx)
    principal = await store.lock_principal(tx, principal_id)
    if principal.disabled_at is not None:
        return principal
    rules.check_admin_left(admins, principal_id)
    await store.disable_principal(tx, principal_id, by.at)
    payload = {"disabled_at": time_text(by.at)}
    await _record(tx, by, "principal.disable", ("principal", principal_id), payload)
    return await store.get_principal(tx, principal_id)


async def enable_principal(tx: Tx, principal_id: uuid.UUID, by: By) -> Principal:
    """Let a disabled principal in again, with the roles it has. Repeating it changes nothing.

    The tokens it had are revoked, one act each: why it was disabled may have been one of them.

    Raises:
        NotFound: there is none of that id.
    """
    principal = await store.lock_principal(tx, principal_id)
    if principal.disabled_at is None:
        return principal
    for token in await store.live_tokens(tx, principal_id):
        await revoke_token(tx, token, by)
    await store.enable_principal(tx, principal_id)
    await _record(tx, by, "principal.enable", ("principal", principal_id), {})
    return await store.get_principal(tx, principal_id)


async def grant_role(tx: Tx, principal_id: uuid.UUID, grant: Grant, by: By) -> Principal:
    """Give a principal a role in a scope; one it has stays as it is.

    Raises:
        NotFound: there is none of that id.
        Conflict: it is disabled. Nothing is written in either case.
    """
    await _lock_enabled(tx, principal_id)
    await _grant(tx, principal_id, grant, by)
    return await store.get_principal(tx, principal_id)


async def grant_by_groups(
    tx: Tx, principal_id: uuid.UUID, grant: Grant, issuer_id: uuid.UUID, by: By
) -> None:
    """Give a principal a role that groups at a login issuer give; one it has stays as it is."""
    await _grant(tx, principal_id, grant, by, issuer_id)


async def _grant(
    tx: Tx, principal_id: uuid.UUID, grant: Grant, by: By, issuer_id: uuid.UUID | None = None
) -> None:
    if await store.insert_grant(tx, principal_id, grant, by.at, issuer_id):
        payload = {**rules.grant_as_json(grant), "granted_at": time_text(by.at)}
        payload |= {"issuer_id": str(issuer_id)} if issuer_id else {}
        await _record(tx, by, "role.grant", ("principal", principal_id), payload)


async def revoke_role(tx: Tx, principal_id: uuid.UUID, grant: Grant, by: By) -> Principal:
    """Take a role in exactly that scope from a principal. Repeating it changes nothing.

    Raises:
        NotFound: there is no such principal.
        Conflict: it is the last administrator's. Nothing is written in either case.
    """
    if grant == _ADMIN:
        rules.check_admin_left(await store.lock_admins(tx), principal_id)
    await store.lock_principal(tx, principal_id)
    if await store.delete_grant(tx, principal_id, grant):
        payload = rules.grant_as_json(grant)
        await _record(tx, by, "role.revoke", ("principal", principal_id), payload)
    return await store.get_principal(tx, principal_id)


async def _lock_enabled(tx: Tx, principal_id: uuid.UUID) -> Principal:
    principal = await store.lock_principal(tx, principal_id)
    if principal.disabled_at is not None:
        raise Conflict(f"{principal.name!r} is disabled: enable it first")
    return principal


# --- tokens ------------------------------------------------------------------------------------


async def create_token(tx: Tx, new: NewToken, by: By, *, maker: Caller | None) -> Issued:
    """Make a token. Its text is in the result and nowhere else.

    `maker` None is the registry itself. An administrator of everything may make any; anybody else
    only their own, which neither exceeds nor outlives the token they make it with.

    Raises:
        NotFound: there is no such principal.
        NotAllowed: it asks for a role the maker has not, or the maker is a pipeline.
        Conflict: the principal is disabled.
        BadBody: it would expire too late, or has. Nothing is written in any case.
    """
    if maker is not None and maker.attested is not None:
        raise NotAllowed("a pipeline's token makes no others: exchange another ID token")
    await _lock_enabled(tx, new.principal_id)
    cap, limits = None, new.limits
    own = await store.find_token(tx, maker.token_id) if maker and maker.token_id else None
    if maker is not None and not rules.allows(maker.grants, Verb.ADMINISTER, EVERYTHING):
        cap, limits = rules.inherited(maker, own, limits)
    token = Token(
        id=by.new_id(),
        principal_id=new.principal_id,
        label=new.label,
        limits=limits,
        created_at=by.at,
        expires_at=rules.expiry(by.at, new.expires_at, cap=cap),
        revoked_at=None,
        last_used_at=None,
        came_in=rules.came_in(maker, own, new.principal_id),
    )
    text = rules.token_text(token.id, os.urandom(rules.SECRET_BYTES))
    await _keep_token(tx, token, text, by)
    return Issued(token, text)


async def keep_workload_token(
    tx: Tx, token: Token, by: By, id_token_claims: Mapping[str, Any]
) -> Issued:
    """Keep a token made from an ID token with `id_token_claims`, all of which go into its entry.

    They may name people: an entry's payload can be erased.
    """
    text = rules.token_text(token.id, os.urandom(rules.SECRET_BYTES))
    made = {
        "workload": attestation_json(token.workload),
        "id_token_claims": dict(id_token_claims),
    }
    await _keep_token(tx, token, text, by, made)
    return Issued(token, text)


async def keep_login_token(tx: Tx, token: Token, by: By, login: Mapping[str, Any]) -> Issued:
    """Keep a token made from a person's ID token; `login` goes into its entry."""
    text = rules.token_text(token.id, os.urandom(rules.SECRET_BYTES))
    await _keep_token(tx, token, text, by, {"login": dict(login)})
    return Issued(token, text)


async def _keep_token(
    tx: Tx, token: Token, text: str, by: By, more: Mapping[str, Any] = MappingProxyType({})
) -> None:
    hashed = rules.token_hash(text)
    await store.insert_token(tx, token, hashed)
    payload = {
        "principal_id": str(token.principal_id),
        "label": token.label,
        "hash_witness": rules.hash_witness(hashed),
        "limits": rules.grants_as_json(token.limits),
        "created_at": time_text(token.created_at),
        "expires_at": time_text(token.expires_at),
        "came_in": rules.came_in_json(token.came_in),
        **more,
    }
    await _record(tx, by, "token.create", ("token", token.id), payload)


async def revoke_token(tx: Tx, token: Token, by: By) -> Token:
    """End a token for good. Repeating it changes nothing."""
    if await store.revoke_token(tx, token.id, by.at):
        payload = {"revoked_at": time_text(by.at)}
        await _record(tx, by, "token.revoke", ("token", token.id), payload)
    return await store.find_token(tx, token.id) or token


# --- the first administrator -------------------------------------------------------------------


async def ensure_first_admin(tx: Tx, *, settings: Settings, clock: Clock) -> FirstAdmin | None:
    """Make sure that somebody can become, or is, the administrator; None if somebody was made.

    With `settings.bootstrap_token`, the administrator `admin` is made with that token. Without,
    a one-time code is made for the welcome page, valid for 24 hours; a later start before it is
    used makes another. Only hashes are kept.

    Raises:
        BadBody: the bootstrap token could be guessed. Nothing is written.
    """
    if settings.bootstrap_token is not None:
        rules.check_bootstrap_token(settings.bootstrap_token)
    await store.lock_first_admin(tx)
    if await store.any_outside_principal(tx):
        return None
    by = By(_STARTING, clock.now(), clock.new_id)
    if settings.bootstrap_token is None:
        code = secrets.token_urlsafe(24)
        await codes.replace_code(tx, rules.token_hash(code), by.at + rules.CODE_LIFETIME)
        return FirstAdmin(code=code)
    principal = await _make_admin(tx, "admin", by)
    token = _first_token(principal, "MUNIMENT_BOOTSTRAP_TOKEN", by, rules.LIFETIME_MAX)
    await _keep_token(tx, token, settings.bootstrap_token, by)
    return FirstAdmin(principal_id=principal.id)


async def redeem_code(tx: Tx, code: str, name: str, by: By) -> Issued:
    """Exchange the one-time code for an administrator called `name` and its token.

    `by.actor` is replaced: nobody is known yet, so it is the registry that acts.

    Raises:
        NotAuthenticated: the code is wrong, used or expired, or somebody came in otherwise: it is
            for the first only. Nothing is written.
        AlreadyExists: there is a principal of that name. Nothing is written, the code stays valid.
    """
    by = By(_STARTING, by.at, by.new_id)
    await store.lock_first_admin(tx)
    first = not await store.any_outside_principal(tx)
    if not (first and await codes.take_code(tx, rules.token_hash(code), by.at)):
        raise NotAuthenticated(
            "the code is wrong, used or expired; start the server again for a new one"
        )
    principal = await _make_admin(tx, name, by)
    new = NewToken(principal.id, "first sign-in")
    return await create_token(tx, new, by, maker=None)


async def create_local_admin_token(tx: Tx, *, clock: Clock) -> Issued | None:
    """Make a token for the command line on the server's own machine.

    Its principal `local` (kind `system`) administers everything: whoever can read the data
    directory could anyway. None if somebody disabled it. Every call makes one more token.
    """
    await store.lock_first_admin(tx)
    by = By(_STARTING, clock.now(), clock.new_id)
    principal = await store.find_principal_named(tx, _LOCAL)
    if principal is None:
        principal = await _make_admin(tx, _LOCAL, by, PrincipalKind.SYSTEM)
    if principal.disabled_at is not None or principal.kind is not PrincipalKind.SYSTEM:
        return None
    new = NewToken(principal.id, "command line", by.at + rules.LIFETIME_MAX)
    return await create_token(tx, new, by, maker=None)


async def _make_admin(
    tx: Tx, name: str, by: By, kind: PrincipalKind = PrincipalKind.PERSON
) -> Principal:
    return await create_principal(tx, NewPrincipal(kind, name, grants=(_ADMIN,)), by)


def _first_token(principal: Principal, label: str, by: By, lifetime: dt.timedelta) -> Token:
    return Token(
        id=by.new_id(),
        principal_id=principal.id,
        label=label,
        limits=None,
        created_at=by.at,
        expires_at=by.at + lifetime,
        revoked_at=None,
        last_used_at=None,
        came_in=rules.came_in(None, None, principal.id),
    )
