"""What is trusted to say who a pipeline is, and which pipelines an asset trusts.

Each act is one entry; an act repeated without effect writes nothing. Whoever calls has checked that
the caller may.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from muniment.core.entry import time_text
from muniment.core.errors import AlreadyExists, Conflict
from muniment.server import ledger
from muniment.server.http.records import PrincipalKind
from muniment.server.identity.actions.access import create_principal
from muniment.server.identity.reads.access import SIGNAL
from muniment.server.identity.records import By, Issuer, NewPrincipal, NewPublisher, Publisher
from muniment.server.identity.rules import publishers as rules
from muniment.server.identity.store import access as principals
from muniment.server.identity.store import logins
from muniment.server.identity.store import trust as store
from muniment.server.ledger import Entry, Subject
from muniment.server.ports.db import Tx

_NAME_MAX: Final = 200


async def _record(tx: Tx, by: By, act: str, subject: Subject, payload: Mapping[str, Any]) -> None:
    entry = Entry(by.new_id(), by.at, act, by.actor, subject, payload)
    await ledger.append(tx, entry)
    tx.signal(SIGNAL)


# --- issuers -----------------------------------------------------------------------------------


async def add_issuer(tx: Tx, name: str, url: str, provider: str, by: By) -> Issuer:
    """Believe what `url` says of pipelines. Adding the same again changes nothing.

    Raises:
        BadBody: name or URL cannot be one's.
        AlreadyExists: the name or the URL is another issuer's, now or before: names of workloads
            begin with it. Nothing is written in either case.
    """
    rules.check_issuer(name, url)
    await store.lock_trust(tx)
    for each in await store.issuers(tx):
        same = (each.name, each.url, each.provider) == (name, url, provider)
        if same and each.removed_at is None:
            return each
        if each.name == name and not same:
            raise AlreadyExists(
                f"{name!r} is or was {each.url} ({each.provider}): choose another name"
            )
        if each.url == url and each.removed_at is None:
            raise AlreadyExists(f"{url} is trusted already, as {each.name!r}")
    for other in await logins.issuers(tx):
        if other.name == name:
            raise AlreadyExists(f"{name!r} is or was an issuer of people: choose another name")
        if other.url == url and other.removed_at is None:
            raise AlreadyExists(f"{url} says who people are, so it cannot say who pipelines are")
    issuer = Issuer(by.new_id(), name, url, provider, by.at)
    await store.insert_issuer(tx, issuer)
    payload = {"name": name, "url": url, "provider": provider, "created_at": time_text(by.at)}
    await _record(tx, by, "issuer.add", Subject("issuer", str(issuer.id), name), payload)
    return issuer


async def remove_issuer(tx: Tx, issuer: Issuer, by: By) -> list[Publisher]:
    """Believe an issuer no more, and trust none of its publishers; return those.

    Tokens made from its ID tokens stop working at once.
    """
    await store.lock_trust(tx)
    gone = await store.publishers_for(tx, issuer.id)
    for each in gone:
        await remove_publisher(tx, each, by)
    await store.remove_issuer(tx, issuer.id, by.at)
    subject = Subject("issuer", str(issuer.id), issuer.name)
    await _record(tx, by, "issuer.remove", subject, {"removed_at": time_text(by.at)})
    return gone


# --- publishers --------------------------------------------------------------------------------


async def add_publisher(tx: Tx, new: NewPublisher, by: By) -> Publisher:
    """Trust a pipeline for an asset. Adding the same again changes nothing.

    Its repository is one principal, of kind workload, whatever it is trusted for.

    Raises:
        NotFound: there is no such issuer.
        BadBody: the rule lacks what must be pinned, or asks for what cannot be.
        Conflict: the asset trusts a hundred already, or the principal's name is somebody else's.
            Nothing is written in any of these cases.
    """
    await store.lock_trust(tx)
    issuer = await store.get_issuer(tx, new.issuer)
    rule, permits = rules.clean_rule(issuer, new.rule), rules.clean_permits(new.permits)
    new = NewPublisher(
        namespace=new.namespace, asset=new.asset, issuer=new.issuer, rule=rule, permits=permits
    )
    same = await store.same_publisher(tx, new, issuer.id)
    if same is not None:
        return same
    if await store.count_publishers(tx, new.namespace, new.asset) >= rules.PUBLISHERS_MAX:
        raise Conflict(
            f"an asset trusts at most {rules.PUBLISHERS_MAX} publishers: remove one first"
        )
    publisher = Publisher(
        id=by.new_id(),
        namespace=new.namespace,
        asset=new.asset,
        issuer=issuer,
        principal_id=await _principal(tx, issuer, new, by),
        rule=rule,
        permits=permits,
        created_at=by.at,
    )
    await store.insert_publisher(tx, publisher)
    payload = {
        "namespace": publisher.namespace,
        "asset": publisher.asset,
        "issuer_id": str(issuer.id),
        "principal_id": str(publisher.principal_id),
        "rule": rules.rule_json(rule),
        "permits": list(permits),
        "created_at": time_text(by.at),
    }
    await _record(tx, by, "publisher.add", _subject(publisher), payload)
    return publisher


async def _principal(tx: Tx, issuer: Issuer, new: NewPublisher, by: By) -> uuid.UUID:
    name = f"{issuer.name}:{new.rule.identity}"
    if len(name) > _NAME_MAX:
        name = f"{issuer.name}:{rules.short(new.rule.identity)}"
    found = await principals.find_principal_named(tx, name)
    if found is None:
        shown = (new.rule.repository or new.rule.identity)[:_NAME_MAX]
        made = NewPrincipal(PrincipalKind.WORKLOAD, name, shown)
        return (await create_principal(tx, made, by)).id
    if found.kind is not PrincipalKind.WORKLOAD:
        raise Conflict(f"{name!r} is the name of a {found.kind.value}, not of a workload")
    return found.id


def _subject(publisher: Publisher) -> Subject:
    return Subject("publisher", str(publisher.id), f"{publisher.namespace}/{publisher.asset}")


async def remove_publisher(tx: Tx, publisher: Publisher, by: By) -> None:
    """Trust a pipeline no more; its tokens stop working at once. Repeating it changes nothing."""
    if await store.remove_publisher(tx, publisher.id, by.at):
        payload = {"removed_at": time_text(by.at)}
        await _record(tx, by, "publisher.remove", _subject(publisher), payload)
