"""Who may do what, and what a token is.

In the order enforced:

1. A token is `mun_<id>_<secret>`; only its SHA-256 is kept, compared in constant time.
2. It speaks for its principal until it expires, is revoked, or the principal is disabled.
3. It gives at most its principal's roles, narrowed to its own limits where it has some.
4. A verb is allowed if any grant covers the scope and its role has the verb (`VERBS`).
5. A token made with another token neither exceeds nor outlives it, unless an administrator of
   everything makes it.
6. The last administrator of everything stays one.

Source: design §2 (decide ≠ execute ≠ request), §3 Identity, §8.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import unicodedata
import uuid
from collections.abc import Iterable, Mapping, Sequence

from muniment.core.errors import BadBody, Conflict, NotAllowed, NotAuthenticated
from muniment.server.http.records import EVERYTHING, Caller, Grant, Role, Scope, Verb
from muniment.server.identity.records import CameBy, CameIn, Credential, Token

TOKEN_PREFIX = "mun_"  # noqa: S105 - the public part of every token
TOKEN_MAX_CHARS = 512
SECRET_BYTES = 32
LIFETIME_DEFAULT = dt.timedelta(days=90)
LIFETIME_MAX = dt.timedelta(days=365)
BOOTSTRAP_MIN_CHARS = 32
CODE_LIFETIME = dt.timedelta(hours=24)
NAME_MAX_CHARS = 200

APPROVERS = frozenset(
    {
        Role.APPROVER_PLATFORM,
        Role.APPROVER_PRODUCT,
        Role.APPROVER_SECURITY,
        Role.APPROVER_GOVERNANCE,
        Role.APPROVER_TECHNICAL,
        Role.APPROVER_LEGAL,
    }
)

_ALWAYS = frozenset({Verb.NOTHING, Verb.ANONYMOUS})
_CONTRIBUTOR = frozenset(
    {Verb.READ, Verb.CREATE, Verb.REGISTER, Verb.ANNOTATE, Verb.ATTEST, Verb.REQUEST, Verb.USE}
)
_APPROVER = frozenset({Verb.READ, Verb.READ_LOG, Verb.STOP, Verb.REQUEST})

#: Which role has which verbs, within the scope it is granted for.
VERBS: Mapping[Role, frozenset[Verb]] = {
    Role.VIEWER: frozenset({Verb.READ}),
    Role.ATTESTER: frozenset({Verb.READ, Verb.ATTEST}),
    Role.CONSUMER: frozenset({Verb.READ, Verb.USE}),
    Role.CONTRIBUTOR: _CONTRIBUTOR,
    Role.PROMOTER: frozenset({Verb.READ, Verb.PROMOTE}),
    Role.PUBLISHER: _CONTRIBUTOR | {Verb.ALIAS, Verb.PROMOTE, Verb.RETIRE, Verb.STOP},
    **dict.fromkeys(APPROVERS, _APPROVER),
    Role.APPROVER_SECURITY: _APPROVER | {Verb.RELEASE, Verb.AUDIT, Verb.TRIAGE},
    Role.APPROVER_GOVERNANCE: _APPROVER | {Verb.RELEASE, Verb.AUDIT, Verb.RETIRE, Verb.GOVERN},
    Role.AUDITOR: frozenset(
        {Verb.READ, Verb.READ_LOG, Verb.READ_PRINCIPALS, Verb.OBSERVE, Verb.AUDIT}
    ),
    Role.ADMIN: frozenset(Verb) - _ALWAYS,
}


def allows(grants: Iterable[Grant], verb: Verb, scope: Scope) -> bool:
    """Say whether `grants` let a principal do `verb` in `scope`.

    More grants never allow less; a grant for a wider scope allows all that a narrower one does.
    """
    if verb in _ALWAYS:
        return True
    return any(verb in VERBS[grant.role] and grant.scope.covers(scope) for grant in grants)


def roles_with(verb: Verb) -> tuple[Role, ...]:
    """Return the roles that have a verb, the administrator only where nobody else has it."""
    found = tuple(role for role in Role if verb in VERBS[role])
    return tuple(role for role in found if role is not Role.ADMIN) or found


def allows_somewhere(grants: Iterable[Grant], verb: Verb) -> bool:
    """Say whether `grants` let a principal do `verb` in any scope at all."""
    return verb in _ALWAYS or any(verb in VERBS[grant.role] for grant in grants)


def visible_scopes(grants: Iterable[Grant], verb: Verb = Verb.READ) -> list[Scope] | None:
    """Return the scopes where `verb` is allowed, for a list's filter; None is everywhere.

    No scope in the list lies within another; an empty list is nowhere.
    """
    held = {grant.scope for grant in grants if verb in VERBS[grant.role]}
    if EVERYTHING in held:
        return None
    widest = [s for s in held if not any(o != s and o.covers(s) for o in held)]
    return sorted(widest, key=lambda scope: (scope.namespace or "", scope.asset or ""))


def includes(role: Role, other: Role) -> bool:
    """Say whether who is `role` may act as `other`: never as an approver it is not."""
    return role == other or (other not in APPROVERS and VERBS[other] <= VERBS[role])


def _meet(one: Scope, other: Scope) -> Scope | None:
    if one.covers(other):
        return other
    return one if other.covers(one) else None


def narrow(grants: Iterable[Grant], limits: tuple[Grant, ...] | None) -> tuple[Grant, ...]:
    """Return what a token with `limits` gives of its principal's `grants`, without repetition."""
    if limits is None:
        return tuple(grants)
    met = (
        (limit.role, _meet(grant.scope, limit.scope))
        for grant in grants
        for limit in limits
        if includes(grant.role, limit.role)
    )
    return tuple(dict.fromkeys(Grant(role, scope) for role, scope in met if scope is not None))


def check_within(grants: tuple[Grant, ...], wanted: Iterable[Grant]) -> None:
    """Refuse to give what one does not have.

    Raises:
        NotAllowed: a wanted grant is not within `grants`.
    """
    for want in wanted:
        if not any(includes(g.role, want.role) and g.scope.covers(want.scope) for g in grants):
            raise NotAllowed(
                f"you are not {want.role.value} on {describe(want.scope)}, so your token cannot be; "
                "ask for roles within your own"
            )


def inherited(
    maker: Caller, own: Token | None, wanted: tuple[Grant, ...] | None
) -> tuple[dt.datetime | None, tuple[Grant, ...] | None]:
    """Return the latest expiry and the limits of a token that `maker` makes for itself with `own`.

    Without `wanted`, the new token has the limits of `own`: those of its maker, not more.

    Raises:
        NotAllowed: it wants a role the maker has not.
    """
    cap = None if own is None else own.expires_at
    if wanted is None:
        return cap, None if own is None else own.limits
    check_within(maker.grants, wanted)
    return cap, wanted


def check_admin_left(admins: Sequence[uuid.UUID], leaving: uuid.UUID) -> None:
    """Refuse to lose the last of `admins`, who administer everything.

    Raises:
        Conflict: `leaving` is the only one.
    """
    if list(admins) == [leaving]:
        raise Conflict("that is the last administrator; make another one administrator first")


def describe(scope: Scope) -> str:
    """Write `scope` for a message."""
    if scope.namespace is None:
        return "everything"
    if scope.asset is None:
        return f"namespace `{scope.namespace}`"
    return f"asset `{scope.namespace}/{scope.asset}`"


def grant_key(principal_id: uuid.UUID | str, grant: Grant) -> str:
    """Return what one granted role is known by in the ledger: principal, role, scope."""
    return (
        f"{principal_id}|{grant.role.value}|{grant.scope.namespace or ''}|{grant.scope.asset or ''}"
    )


def grant_as_json(grant: Grant) -> dict[str, str | None]:
    """Return a grant as the ledger and the API write it."""
    return {
        "role": grant.role.value,
        "namespace": grant.scope.namespace,
        "asset": grant.scope.asset,
    }


def grants_as_json(grants: tuple[Grant, ...] | None) -> list[dict[str, str | None]] | None:
    """Return grants in their order, or None for None."""
    return None if grants is None else [grant_as_json(grant) for grant in grants]


# --- tokens ------------------------------------------------------------------------------------

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_SECRET_CHARS = 43  # 62 ** 43 > 2 ** 256


def _digits(number: int, alphabet: str, length: int) -> str:
    out = []
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        out.append(alphabet[digit])
    return "".join(reversed(out))


def came_in(maker: Caller | None, own: Token | None, principal_id: uuid.UUID) -> CameIn | None:
    """Return how whoever uses a new token came in; `own` is the token that `maker` makes it with.

    One's own token made with another came in as that did. None: that is not known.
    """
    if maker is None:
        return CameIn(CameBy.TOKEN)
    if maker.id != principal_id:
        return CameIn(CameBy.TOKEN, maker.id)
    return None if own is None else own.came_in


def came_in_json(found: CameIn | None) -> dict[str, str | None] | None:
    """Return how somebody came in as entries have it."""
    if found is None:
        return None
    made_by = None if found.made_by is None else str(found.made_by)
    return {"by": found.by.value, "made_by": made_by}


def came_in_row(found: CameIn | None) -> tuple[str | None, uuid.UUID | None]:
    """Return how somebody came in as a row has it."""
    return (None, None) if found is None else (found.by.value, found.made_by)


def came_in_of(by: str | None, made_by: uuid.UUID | None) -> CameIn | None:
    """Return how somebody came in, from a row."""
    return None if by is None else CameIn(CameBy(by), made_by)


def short_id(token_id: uuid.UUID) -> str:
    """Return the id a token's text shows, so that a leaked one can be found: 26 base32 digits."""
    return _digits(token_id.int, _BASE32, 26)


def token_text(token_id: uuid.UUID, secret: bytes) -> str:
    """Write the token that carries `secret` (32 random bytes): `mun_<id>_<43 base62 digits>`."""
    number = int.from_bytes(secret, "big")
    return f"{TOKEN_PREFIX}{short_id(token_id)}_{_digits(number, _BASE62, _SECRET_CHARS)}"


def token_hash(text: str) -> bytes:
    """Return what is kept of a token: the 32 bytes of its SHA-256."""
    return hashlib.sha256(text.encode()).digest()


def hash_witness(hashed: bytes) -> str:
    """Return what the ledger says of a token's hash, so that a swapped one is noticed: hex."""
    return hashlib.sha256(b"muniment/token-hash/v1\n" + hashed).hexdigest()


def check_credential(credential: Credential | None, hashed: bytes, now: dt.datetime) -> Credential:
    """Return `credential` if the token that hashes to `hashed` may be used at `now`.

    Raises:
        NotAuthenticated: there is none, or it is expired, revoked or of a disabled principal. The
            message is the same for all, so that nobody learns which.
    """
    if (
        credential is None
        or not hmac.compare_digest(credential.hash, hashed)
        or not credential.usable
        or credential.expires_at <= now
    ):
        raise NotAuthenticated(
            "the token is unknown, expired or revoked; run `muniment login` or ask for a new one"
        )
    return credential


def check_bootstrap_token(text: str) -> None:
    """Refuse a bootstrap token that could be guessed.

    Raises:
        BadBody: it is shorter than 32 characters, longer than 512, or has other than visible ASCII.
    """
    if not BOOTSTRAP_MIN_CHARS <= len(text) <= TOKEN_MAX_CHARS or not (
        text.isascii() and text.isprintable() and " " not in text
    ):
        raise BadBody(
            f"MUNIMENT_BOOTSTRAP_TOKEN must be {BOOTSTRAP_MIN_CHARS} to {TOKEN_MAX_CHARS} visible "
            f"ASCII characters, found {len(text)} characters; generate one with `openssl rand -hex 32`"
        )


def expiry(now: dt.datetime, wanted: dt.datetime | None, *, cap: dt.datetime | None) -> dt.datetime:
    """Return when a new token expires: as `wanted`, or 90 days from `now`, but never after `cap`.

    Raises:
        BadBody: `wanted` has passed, is more than 365 days away, or is after `cap` (the expiry of
            the token that makes it).
    """
    if wanted is None:
        return min(now + LIFETIME_DEFAULT, cap or now + LIFETIME_DEFAULT)
    if wanted.tzinfo is None or not now < wanted <= now + LIFETIME_MAX:
        raise _bad_field(
            "expires_at",
            f"expected a time with a zone within the next {LIFETIME_MAX.days} days",
        )
    if cap is not None and wanted > cap:
        raise _bad_field(
            "expires_at",
            f"expected at most {cap.isoformat()}, when your own token expires",
            fix="leave it out, or ask an administrator to make the token",
        )
    return wanted


def clean_name(text: str, *, field: str = "name", max_chars: int = NAME_MAX_CHARS) -> str:
    """Return the name of a principal or the label of a token, in NFC.

    Raises:
        BadBody: it is empty, too long, unprintable, or has spaces at an end.
    """
    name = unicodedata.normalize("NFC", text)
    if not 0 < len(name) <= max_chars or not name.isprintable() or name != name.strip():
        raise _bad_field(
            field,
            f"expected 1 to {max_chars} printable characters without spaces at the ends",
        )
    return name


def check_scope(scope: Scope) -> None:
    """Refuse a scope that names an asset and no namespace.

    Raises:
        BadBody: it does.
    """
    if scope.asset is not None and scope.namespace is None:
        raise _bad_field(
            "asset", "expected its namespace too", fix="add `namespace`, for example `default`"
        )


def _bad_field(field: str, message: str, fix: str | None = None) -> BadBody:
    problem = {"field": field, "message": message} | ({"fix": fix} if fix else {})
    return BadBody(f"`{field}`: {message}", problems=[problem])
