"""Why a version may not be deployed somewhere: asked, and not recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muniment.core.names import AssetRef, VersionRef
from muniment.server import identity
from muniment.server.http.records import PrincipalKind, Role
from muniment.server.identity import By
from muniment.server.lifecycle.actions import judging, placing, wholes
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions.helping import help_with
from muniment.server.lifecycle.actions.question import Question
from muniment.server.lifecycle.records import (
    Environment,
    Executor,
    Ports,
    Promotion,
    Stage,
    Whole,
    Whose,
)
from muniment.server.lifecycle.rules import advice
from muniment.server.lifecycle.store import deployments as store
from muniment.server.ports.db import Tx


@dataclass(frozen=True, slots=True)
class Told:
    """What the rules say, what is in the way, and who could help.

    `titles` maps rules to title and source. `people` are names of active people by role.
    """

    question: Question
    unmet: Sequence[advice.Unmet]
    titles: Mapping[str, tuple[str, str]]
    people: Mapping[Role, Sequence[str]]


async def why_not(  # noqa: PLR0917 -- what is asked
    tx: Tx, ref: VersionRef, environment: str, executor: Executor, by: By, ports: Ports
) -> Told:
    """Return what stands between a version and an environment, now. Nothing is written.

    Of production, who is no pipeline asks for the one that the asset trusts: what is in its way.

    Raises:
        NotFound: there is no such version.
        BadBody: there is no such environment.
    """
    place = await store.get_environment(tx, environment)
    if _asks_for_another(place, executor):
        executor = await _pipeline(tx, ref.asset)
    question = await questions.ask(tx, ref, place, executor, locked=False)
    wanted = Promotion(version=ref, environment=environment)
    return await _told(tx, placing.placed(question, wanted), by, ports)


async def why_not_whole(  # noqa: PLR0917 -- what is asked
    tx: Tx, whole: Whole, environment: str, whose: Whose, by: By, ports: Ports
) -> Told:
    """Return what stands between a composite and an environment, now; otherwise as `why_not`."""
    place = await store.get_environment(tx, environment)
    executors = {}
    for one in whole.members:
        asked = whose.executor(one.ref.asset)
        another = _asks_for_another(place, asked)
        executors[one.ref.asset] = await _pipeline(tx, one.ref.asset) if another else asked
    # What would leave is moved by whoever asks: no rule asks who.
    pipelines = dataclasses.replace(
        whose, executor=lambda ref: executors.get(ref) or whose.executor(ref)
    )
    question = await wholes.parts_of(tx, whole, place, pipelines)
    wanted = Promotion(version=whole.members[0].ref, environment=environment, whole=whole)
    question = await wholes.replacing(tx, placing.placed(question, wanted), pipelines)
    return await _told(tx, question, by, ports)


async def _told(tx: Tx, question: Question, by: By, ports: Ports) -> Told:
    question = await judging.judge(tx, question, ports, by)
    found, asset = question.verdict, question.lead.asset.ref
    helped = await help_with(tx, found, asset, request_id=question.request_id)
    return Told(question, helped.unmet, helped.titles, helped.people)


def _asks_for_another(place: Environment, executor: Executor) -> bool:
    return place.stage is Stage.PRODUCTION and executor.kind is not PrincipalKind.WORKLOAD


async def _pipeline(tx: Tx, ref: AssetRef) -> Executor:
    places = await identity.trusted_to_promote(tx, str(ref.namespace), str(ref.name))
    return Executor(PrincipalKind.WORKLOAD, may=True, environments=frozenset(places))
