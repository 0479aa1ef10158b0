"""Bundles as the registry holds them, read and checked; those asked last are kept in the process."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import OrderedDict
from typing import Final

from muniment.core.errors import NotFound, Unavailable
from muniment.server.policy.records import Bundle
from muniment.server.policy.rules import archives, bundles
from muniment.server.policy.store import activations
from muniment.server.policy.store import bundles as store
from muniment.server.ports.db import Tx

_KEPT: Final = 8
_read: OrderedDict[str, Bundle] = OrderedDict()
#: At most 2 MiB each.
_SENT_KEPT: Final = 2
_sent: OrderedDict[str, bytes] = OrderedDict()


async def active(tx: Tx, at: dt.datetime) -> Bundle:
    """Return the bundle that is in force at a time.

    Raises:
        Unavailable: none is; a registry begins with one when it is first started.
    """
    digest = await activations.digest_in_force(tx, at)
    if digest is None:
        raise Unavailable(
            f"no policy is in force at {at:%Y-%m-%d %H:%M:%S}Z: nothing can be judged"
        )
    return await get_bundle(tx, digest)


async def get_bundle(tx: Tx, digest: str) -> Bundle:
    """Return the bundle of that digest.

    Raises:
        NotFound: the registry does not hold it.
    """
    found = _read.get(digest)
    if found is None:
        found = await asyncio.to_thread(_parse, await packed(tx, digest))
        _read[digest] = found
        if len(_read) > _KEPT:
            _read.popitem(last=False)
    _read.move_to_end(digest)
    return found


async def packed(tx: Tx, digest: str) -> bytes:
    """Return a bundle as it was packed.

    Raises:
        NotFound: the registry does not hold it.
    """
    found = await store.packed(tx, digest)
    if found is None:
        raise no_bundle(digest)
    return found


async def for_agent(tx: Tx, digest: str) -> bytes:
    """Return a bundle as an agent takes it: the same bytes each time; those sent last are kept.

    Raises:
        NotFound: the registry does not hold it.
    """
    data = _sent.get(digest)
    if data is None:
        data = await asyncio.to_thread(archives.pack, await get_bundle(tx, digest))
        _sent[digest] = data
        if len(_sent) > _SENT_KEPT:
            _sent.popitem(last=False)
    _sent.move_to_end(digest)
    return data


def no_bundle(digest: str) -> NotFound:
    """Return the error that says that the registry does not hold a bundle."""
    return NotFound(
        f"this registry holds no policy bundle {digest[:80]!a}; `muniment policy bundles` lists"
        " those it does"
    )


def _parse(data: bytes) -> Bundle:
    return bundles.read_held(archives.unpack(data))
