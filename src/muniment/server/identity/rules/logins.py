"""By which issuers people come in, what their ID tokens must be, and what their groups are here.

1. Such a token is for this registry's `client_id` alone, made by the device flow just now, and no
   other kind of token: an issuer signs those with the same keys.
2. A person is issuer and subject. Names and addresses change, and change hands.
3. A role that no group gives is nobody's: without one, and without one given by hand, nobody comes
   in. What groups gave goes when they do; what was given by hand stays.

Source: OpenID Connect Core 1.0 §2, §3.1.3.7, §5.7; RFC 8628; RFC 8725 §3.11.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from muniment.core.errors import BadBody
from muniment.server.http.records import Grant
from muniment.server.identity.records import GroupRole, LoginIssuer, NewLoginIssuer, Person
from muniment.server.identity.rules.access import NAME_MAX_CHARS, grant_as_json
from muniment.server.identity.rules.id_tokens import (
    LEEWAY,
    IdToken,
    check_times,
    known_by,
    refused,
    text_claim,
)
from muniment.server.identity.rules.publishers import (
    TEXT_MAX_CHARS,
    Problem,
    check_issuer,
    refuse,
    short,
)

#: An ID token is exchanged as soon as it is made; an older one was lying about.
FRESH: Final = dt.timedelta(minutes=10)
ROLES_MAX: Final = 500
SCOPES_MAX: Final = 20
_SUBJECT_MAX: Final = 255
#: What an ID token says of itself where an issuer says it at all.
_KINDS: Final = {"typ": "ID", "token_use": "id"}
_SHOWN: Final = ("name", "preferred_username", "email")


def clean_issuer(new: NewLoginIssuer) -> NewLoginIssuer:
    """Return `new` with its scopes and roles in order, each once; `openid` is always a scope.

    Raises:
        BadBody: no token could be of it, or what is asked of it is no text; it has all problems.
    """
    problems: list[Problem] = []
    try:
        check_issuer(new.name, new.url)
    except BadBody as error:
        problems += error.problems
    said = {"client_id": new.client_id, "groups_claim": new.groups_claim}
    problems += [
        _problem(field, f"expected 1 to {TEXT_MAX_CHARS} printable characters")
        for field, value in said.items()
        if not _is_text(value)
    ]
    wrong = [each for each in new.scopes if not _is_text(each) or not _is_word(each)]
    if wrong or len(new.scopes) > SCOPES_MAX:
        problems.append(_problem("scopes", f"expected at most {SCOPES_MAX} words without spaces"))
    problems += _wrong_roles(new.roles)
    refuse(problems)
    return NewLoginIssuer(
        name=new.name,
        url=new.url,
        client_id=new.client_id,
        groups_claim=new.groups_claim,
        scopes=tuple(dict.fromkeys(("openid", *new.scopes))),
        roles=_in_order(new.roles),
    )


def clean_roles(roles: Iterable[GroupRole]) -> tuple[GroupRole, ...]:
    """Return what groups are, in order, each once.

    Raises:
        BadBody: a group's name is no text, or there are more than five hundred roles.
    """
    found = tuple(roles)
    refuse(_wrong_roles(found))
    return _in_order(found)


def _in_order(roles: Iterable[GroupRole]) -> tuple[GroupRole, ...]:
    return tuple(sorted(set(roles), key=_order))


def _order(one: GroupRole) -> tuple[str, str, str, str]:
    scope = one.grant.scope
    return one.group, one.grant.role.value, scope.namespace or "", scope.asset or ""


def _wrong_roles(roles: tuple[GroupRole, ...]) -> list[Problem]:
    if len(roles) > ROLES_MAX:
        return [_problem("roles", f"expected at most {ROLES_MAX}, found {len(roles)}")]
    return [
        _problem(f"roles[{index}].group", f"expected 1 to {TEXT_MAX_CHARS} printable characters")
        for index, each in enumerate(roles)
        if not _is_text(each.group)
    ]


def _problem(field: str, message: str) -> Problem:
    return {"field": field, "message": message, "fix": "write it as the issuer has it"}


def _is_text(value: str) -> bool:
    return 0 < len(value) <= TEXT_MAX_CHARS and value.isprintable()


def _is_word(value: str) -> bool:
    return value.isascii() and not set(' "\\') & set(value)


# --- what a person's ID token must be ----------------------------------------------------------


def check(token: IdToken, *, client_id: str, now: dt.datetime) -> tuple[bytes, dt.datetime]:
    """Check what a verified token says of itself; return what it is known by, and until when.

    Raises:
        IdTokenRefused: it is for somebody else, of another kind, from another flow, or not from now.
    """
    claims = token.claims
    if claims.get("aud") not in (client_id, [client_id]):
        raise refused("audience", f"expected the audience {client_id!r} alone")
    if claims.get("azp", client_id) != client_id:
        raise refused("azp", f"expected a token made for {client_id!r}, as `azp` says")
    for name, expected in _KINDS.items():
        if claims.get(name, expected) != expected:
            raise refused("kind", f"expected an ID token: `{name}` says that it is another kind")
    if "events" in claims:
        raise refused("kind", "expected an ID token, found one that tells of events")
    if "nonce" in claims:
        raise refused("nonce", "expected no `nonce`: it was made for a browser's login")
    issued, expires = check_times(token, now)
    if issued < now - FRESH - LEEWAY:
        raise refused("stale", "it was made more than ten minutes ago: log in again")
    return known_by(token, single_use=False), expires + LEEWAY


def person(issuer: LoginIssuer, claims: Mapping[str, Any]) -> Person:
    """Return who a token with `claims` is of.

    Raises:
        IdTokenRefused: it has no subject, or its groups are something else than texts.
    """
    subject = text_claim(claims, "sub", "subject")
    if len(subject) > _SUBJECT_MAX:
        raise refused("subject", f"expected `sub` as at most {_SUBJECT_MAX} characters")
    groups = claims.get(issuer.groups_claim, [])
    if isinstance(groups, str):
        groups = [groups]
    if not isinstance(groups, list) or not all(isinstance(each, str) for each in groups):
        raise refused("groups", f"expected `{issuer.groups_claim}` as a list of texts")
    return Person(subject, frozenset(groups), _shown(claims))


def _shown(claims: Mapping[str, Any]) -> str | None:
    for name in _SHOWN:
        value = claims.get(name)
        if isinstance(value, str) and value.isprintable() and value.strip():
            return unicodedata.normalize("NFC", value).strip()[:NAME_MAX_CHARS].strip()
    return None


def principal_name(issuer: LoginIssuer, subject: str) -> str:
    """Return what the principal of a subject is called, for ever: `ISSUER:SUBJECT`."""
    name = f"{issuer.name}:{subject}"
    fits = len(name) <= NAME_MAX_CHARS and name == unicodedata.normalize("NFC", name).strip()
    return name if fits else f"{issuer.name}:{short(subject)}"


# --- what groups are here ----------------------------------------------------------------------


def given(issuer: LoginIssuer, groups: frozenset[str]) -> frozenset[Grant]:
    """Return the roles that `groups` give; a group that is not listed gives none."""
    return frozenset(each.grant for each in issuer.roles if each.group in groups)


@dataclass(frozen=True, slots=True)
class Change:
    """What a login gives and takes, in order."""

    give: tuple[Grant, ...]
    take: tuple[Grant, ...]
    left: bool  # whether any role is left


def change(held: Mapping[Grant, bool], wanted: frozenset[Grant]) -> Change:
    """Return what changes for who holds `held` (True: by groups) and whose groups give `wanted`."""
    take = [grant for grant, by_groups in held.items() if by_groups and grant not in wanted]
    give = [grant for grant in wanted if grant not in held]
    return Change(
        tuple(sorted(give, key=_grant_order)),
        tuple(sorted(take, key=_grant_order)),
        left=bool(wanted) or len(take) < len(held),
    )


def _grant_order(grant: Grant) -> tuple[str, str, str]:
    return grant.role.value, grant.scope.namespace or "", grant.scope.asset or ""


# --- as JSON -----------------------------------------------------------------------------------


def roles_json(roles: Iterable[GroupRole]) -> list[dict[str, str | None]]:
    """Return what groups are as the ledger writes it."""
    return [{"group": each.group, **grant_as_json(each.grant)} for each in roles]
