"""Read files, and record what they say.

`record` is the one governed act. Files are held, and read, before the transaction that records them;
a crash in between leaves blobs that nothing names, never evidence without its file. The same file
of the same subject, kind and context is recorded once, however often it is sent.
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from muniment.core.canon import canonical
from muniment.core.digest import Digest, digest_of
from muniment.core.errors import BadEvidence
from muniment.server import artifacts, ledger
from muniment.server.artifacts.records import Held
from muniment.server.evidence import plugins, store
from muniment.server.evidence.records import (
    About,
    Assurance,
    Attested,
    Evidence,
    EvidenceKind,
    Kept,
    New,
    Parsed,
    Unreadable,
)
from muniment.server.evidence.rules import binding, contexts, folding, gates
from muniment.server.evidence.rules.parsed import (
    context_json,
    flags_of,
    merged,
    parsed_json,
)
from muniment.server.evidence.rules.reading import Limits, clean, too_large
from muniment.server.identity.records import By
from muniment.server.ledger.records import Entry, Subject
from muniment.server.ports.blobs import Blobs
from muniment.server.ports.db import Tx
from muniment.server.ports.keys import Signer

#: Files read at the same time in this process: each may take several times its size in memory.
_AT_ONCE = asyncio.Semaphore(2)


async def load(blobs: Blobs, digest: Digest, size_bytes: int, limit_bytes: int) -> bytes | None:
    """Return a held file whole; None if it has more than `limit_bytes`.

    Raises:
        NotFound: it is not held.
    """
    if size_bytes > limit_bytes:
        return None
    return (
        b"".join([chunk async for chunk in blobs.read(digest, 0, size_bytes)])
        if size_bytes
        else b""
    )


async def parse_held(
    blobs: Blobs,
    digest: Digest,
    size_bytes: int,
    name: str,
    *,
    kind: EvidenceKind | None,
    limits: Limits,
) -> Parsed | Unreadable:
    """Read a held file called `name`; nothing is recorded. At most two are read at a time."""
    if kind is EvidenceKind.OTHER:
        return plugins.unparsed(kind)
    async with _AT_ONCE:
        data = await load(blobs, digest, size_bytes, limits.max_bytes)
        if data is None:
            return too_large(name, size_bytes, limits)
        return await asyncio.to_thread(plugins.parse, data, name, kind=kind, limits=limits)


async def read_context(
    blobs: Blobs,
    digest: Digest,
    size_bytes: int,
    name: str,
    *,
    of: Digest,
    about: About,
    keys: Sequence[bytes],
) -> Attested | Unreadable:
    """Read the held context of the file `of`, checking who vouches for it with `keys`."""
    data = await load(blobs, digest, size_bytes, contexts.MAX_BYTES)
    if data is None:
        return too_large(name, size_bytes, Limits(max_bytes=contexts.MAX_BYTES))
    return contexts.parse_context(data, name, of, about.digests, keys)


def judge(
    plan: Evidence, evaluations: Sequence[Evidence], about: About, by: By
) -> list[tuple[New, bytes]]:
    """Run a recorded plan's gates; return each gate's record as evidence to be, with its file.

    Nothing is written, and the files are not held yet (`keep`).
    """
    rules = gates.plan_from(plan.parsed["details"], plan.recorded_at, str(plan.digest))
    cvi = about.id if about.kind == "composite" else None
    judged = gates.Judged(about.name, tuple(sorted(map(str, about.components.values()))), cvi)
    found = []
    for record in gates.run_gates(rules, evaluations, judged, started=by.at, ended=by.at):
        data = canonical(record)
        name = f"gate-{record['order']}-{record['gate']}.json"
        parsed = plugins.parse(data, name, kind=EvidenceKind.GATE)
        assert isinstance(parsed, Parsed), "what is written here is read here"
        new = New(
            about=about,
            file_name=name,
            digest=digest_of(data),
            size_bytes=len(data),
            parsed=parsed,
            assurance=Assurance.VERIFIED,
            signer="registry",
        )
        found.append((new, data))
    return found


async def keep(blobs: Blobs, data: bytes, new_id: uuid.UUID) -> Kept:
    """Have `data` (a report the registry itself made) held under its digest. Repeatable.

    `record` notes that it is held, where the evidence says so (`New.kept`).
    """
    [kept] = await keep_all(blobs, [data], new_id)
    return kept


async def keep_all(blobs: Blobs, contents: Sequence[bytes], new_id: uuid.UUID) -> list[Kept]:
    """Have reports held, as `keep` each of them, and cheaper."""
    digests = await blobs.keep_all(new_id, contents)
    return [
        Kept(digest, len(data), artifacts.format_of_content(data))
        for digest, data in zip(digests, contents, strict=True)
    ]


def check_subject(new: New) -> list[dict[str, Any]]:
    """Return what keeps evidence from being about its subject: digests it names are others.

    Source: R-082; requirements §4.2.
    """
    named = list(new.parsed.subjects)
    run = merged(new.parsed.run, None if new.context is None else new.context.run)
    if run.model_digest is not None and run.model_digest.startswith("sha256:"):
        named.append(Digest.parse(run.model_digest))
    if not named or not new.about.digests.isdisjoint(named):
        return []
    return [
        {
            "field": new.file_name,
            "message": f"is about {', '.join(str(one) for one in named[:3])}, which is neither "
            f"{new.about.name} nor one of its files",
            "fix": "add it to the version it was made of, or run the tool on this one",
        }
    ]


async def record(tx: Tx, new: New, by: By, signer: Signer) -> tuple[Evidence, bool]:
    """Record evidence and its signed ledger entry; return it, and whether it is new.

    Its file must be held. What is there already (same subject, kind, file and context) is returned
    as it is, and nothing is written.

    Raises:
        BadEvidence: it names other digests than the subject's. Nothing is written.
    Source: R-082, R-083, R-096; design §5.1.
    """
    [done] = await record_all(tx, [new], by, signer)
    return done


async def record_all(
    tx: Tx, every: Sequence[New], by: By, signer: Signer
) -> list[tuple[Evidence, bool]]:
    """Record many pieces of evidence, as `record` each of them; return what it would, in order.

    Raises:
        BadEvidence: some name other digests than their subject's; all are said. Nothing is written.
    """
    problems = [problem for new in every for problem in check_subject(new)]
    if problems:
        raise refused(problems)
    made = [evidence_of(new, by) for new in every]
    created = await store.insert_all(tx, made)
    blobs, entries = [], []
    for evidence, new in zip(made, every, strict=True):
        if evidence.id in created:
            if new.kept is not None:
                held = Held(new.kept.digest, new.kept.size_bytes)
                blobs.append((held, new.kept.format))
            if new.parsed.components:
                await store.insert_components(tx, evidence, new.parsed.components)
            entries.append(_entry(evidence, new))
    await artifacts.note_blobs(tx, blobs, by.at)
    await ledger.append_all(tx, entries, signer)
    return [
        (one, True) if one.id in created else (await _there_already(tx, one), False) for one in made
    ]


async def _there_already(tx: Tx, one: Evidence) -> Evidence:
    same = await store.find_same(tx, one)
    assert same is not None, "who inserted it first has committed, or we would have waited"
    return same


def evidence_of(new: New, by: By) -> Evidence:
    """Return the evidence `record` would write; nothing is written."""
    context = new.context
    said = None if context is None else context_json(context)
    parsed = _whole(new.parsed, said, None if new.check is None else new.check.reason)
    assurance, signer = _vouched(new)
    run = merged(new.parsed.run, None if context is None else context.run)
    return Evidence(
        id=by.new_id(),
        subject_kind=new.about.kind,
        subject_id=new.about.id,
        subject_name=new.about.name,
        asset_id=new.about.asset_id,
        kind=new.parsed.kind,
        format=new.parsed.format,
        format_version=new.parsed.format_version,
        digest=new.digest,
        size_bytes=new.size_bytes,
        file_name=clean(new.file_name, 200),
        parsed=parsed,
        parsed_digest=digest_of(canonical(parsed)),
        assurance=assurance,
        signer=signer,
        context_digest=None if context is None else context.digest,
        bound=binding.bound(new.parsed.kind, new.about.components),
        flags=flags_of(new.parsed, context, by.at, new.check),
        tool_name=run.tool_name,
        tool_version=run.tool_version,
        produced_at=run.ended,
        recorded_at=by.at,
        actor=by.actor,
        entry_id=by.new_id(),
    )


def _vouched(new: New) -> tuple[Assurance, str | None]:
    """Who vouches: for a signed statement its signer, else the context, else the submitter alone."""
    if new.check is not None:
        return new.check.assurance, new.check.signer
    if new.context is not None:
        return new.context.assurance, new.context.signer
    return new.assurance, new.signer


def _whole(
    parsed: Parsed, context: Mapping[str, Any] | None, reason: str | None = None
) -> dict[str, Any]:
    """Return what is stored of a file, its context, and why it is assured as it is.

    Metrics that name no dimension of their own are of the context's.
    """
    whole = parsed_json(parsed)
    if reason is not None:
        whole["assurance_reason"] = reason
    if context is not None:
        whole["context"] = dict(context)
        for metric in whole["metrics"] if "dimension" in context else ():
            metric["dimension"] = context["dimension"]
    return whole


async def reparse(blobs: Blobs, evidence: Evidence, limits: Limits) -> list[str]:
    """Read the file of recorded evidence again; return how it differs from what is recorded.

    Source: R-083.
    """
    kind = EvidenceKind.OTHER if evidence.format == plugins.UNKNOWN else None
    found = await parse_held(
        blobs, evidence.digest, evidence.size_bytes, evidence.file_name, kind=kind, limits=limits
    )
    if isinstance(found, Unreadable):
        return [f"{one['field']}: {one['message']}" for one in found.problems]
    if kind is not None:
        found = dataclasses.replace(found, kind=evidence.kind)
    now = _whole(found, evidence.parsed.get("context"), evidence.parsed.get("assurance_reason"))
    return [
        f"{name}: was read as {evidence.parsed.get(name)!r:.120}, is now read as {now.get(name)!r:.120}"
        for name in sorted({*now, *evidence.parsed})
        if canonical(now.get(name)) != canonical(evidence.parsed.get(name))
    ]


def _entry(evidence: Evidence, new: New) -> Entry:
    subject = Subject("evidence", str(evidence.id), evidence.subject_name, evidence.asset_id)
    digests = [evidence.digest, evidence.parsed_digest, *sorted(_of_subject(new))]
    return Entry(
        id=evidence.entry_id,
        at=evidence.recorded_at,
        act=folding.ACT,
        actor=evidence.actor,
        subject=subject,
        payload=folding.payload(evidence),
        digests=tuple(dict.fromkeys(digests)),
        predicate_type=folding.PREDICATE_TYPE,
    )


def _of_subject(new: New) -> list[Digest]:
    """The digests of the components evidence is bound to, where they are SHA-256."""
    components = binding.bound(new.parsed.kind, new.about.components).values()
    return [Digest.parse(one) for one in components if one.startswith("sha256:")]


def refused(problems: Sequence[Any]) -> BadEvidence:
    """Return the error that says all of `problems`."""
    first = problems[0]
    more = f" (and {len(problems) - 1} more, see `problems`)" if len(problems) > 1 else ""
    return BadEvidence(
        f"the evidence cannot be recorded: `{first['field']}` {first['message']}{more}",
        problems=[dict(one) for one in problems[:100]],
    )
