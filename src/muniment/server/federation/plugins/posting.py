"""One POST to whoever is told, through the guard of outgoing requests."""

from __future__ import annotations

import time
from typing import Final

from muniment.core.errors import DestinationDown, DestinationRefused
from muniment.server.federation.records import Message, Outcome
from muniment.server.federation.rules.sending import asked_wait, printable
from muniment.server.ports.outbound import Ask, Incoming, Outbound, Reach

_SECONDS: Final = 15.0
#: What is kept of an answer.
_ANSWER_BYTES: Final = 1024


async def post(reach: Reach, url: str, message: Message) -> Outcome:
    """Send a message and return how that went; never raises for what the other side does."""
    begun = time.perf_counter()
    heard: list[Incoming] = []
    answer, error, refused = b"", "", False
    try:
        async with Outbound(reach) as outbound:
            ask = Ask(
                url=url,
                method="POST",
                headers=message.headers,
                body=message.body,
                seconds=_SECONDS,
            )
            async with outbound.open(ask) as incoming:
                heard.append(incoming)
                answer = await incoming.read(limit_bytes=_ANSWER_BYTES)
    except DestinationRefused as no:
        error, refused = no.message, True
    except DestinationDown as down:
        error = down.message
    taken_ms = round((time.perf_counter() - begun) * 1000)
    if not heard:
        return Outcome(None, taken_ms, error=printable(error), refused=refused)
    status = heard[0].status  # whatever became of the rest of the answer
    return Outcome(
        status,
        taken_ms,
        answer=printable(answer.decode(errors="replace")),
        wait=asked_wait(heard[0].headers.get("retry-after")),
    )
