"""Why a version may not be deployed somewhere: asked, and not recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muniment.core.names import VersionRef
from muniment.server import catalog, identity
from muniment.server.http.records import PrincipalKind, Role
from muniment.server.identity import By
from muniment.server.lifecycle import store
from muniment.server.lifecycle.actions import judging
from muniment.server.lifecycle.actions import question as questions
from muniment.server.lifecycle.actions.helping import help_with
from muniment.server.lifecycle.actions.question import Question
from muniment.server.lifecycle.records import (
    Deployment,
    DeployMode,
    Environment,
    Executor,
    Ports,
    Stage,
)
from muniment.server.lifecycle.rules import advice, stages
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
    if place.stage is Stage.PRODUCTION and executor.kind is not PrincipalKind.WORKLOAD:
        executor = await _pipeline(tx, ref)
    question = await questions.ask(tx, ref, place, executor, locked=False)
    question = await judging.judge(tx, question, executor, ports, by, _replaced(question, place))
    found, asset = question.verdict, question.asset.ref
    helped = await help_with(tx, found, asset, request_id=question.request_id)
    return Told(question, helped.unmet, helped.titles, helped.people)


async def _pipeline(tx: Tx, ref: VersionRef) -> Executor:
    places = await identity.trusted_to_promote(tx, str(ref.asset.namespace), str(ref.asset.name))
    return Executor(PrincipalKind.WORKLOAD, may=True, environments=frozenset(places))


def _replaced(question: Question, place: Environment) -> list[Deployment]:
    if place.stage is not Stage.PRODUCTION:
        return []
    default = stages.alias_of(DeployMode.FULL)
    alias = str(default) if catalog.resolves(question.namespace.state, default) else None
    return [one for one in question.live if one.environment == place.name and one.alias == alias]
