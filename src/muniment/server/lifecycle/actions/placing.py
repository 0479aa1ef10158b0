"""Where a promotion puts a version: how it will be found there, and what ends with that."""

from __future__ import annotations

import dataclasses

from muniment.core.errors import BadBody
from muniment.core.names import Alias
from muniment.server import catalog
from muniment.server.lifecycle.actions.question import Part, Question
from muniment.server.lifecycle.records import Deployment, Environment, Promotion, Stage
from muniment.server.lifecycle.rules import stages


def placed(question: Question, wanted: Promotion) -> Question:
    """Return the question with how each version will be found and what ends, judged anew.

    Raises:
        BadBody: production does not find something through the alias that is wanted; all is named.
    """
    _check_alias(question, wanted)
    return at(
        question, wanted, [_alias(part, question.environment, wanted) for part in question.parts]
    )


def at(
    question: Question,
    wanted: Promotion,
    aliases: list[Alias | None],
    *,
    whole: str | None = None,
) -> Question:
    """Return the question with each version found through the alias in its place, judged anew.

    `whole` is a composite that leaves whole with what ends.
    """
    parts = []
    for part, alias in zip(question.parts, aliases, strict=True):
        ends = _superseded(part, question.environment, wanted, alias)
        facts = dataclasses.replace(part.facts, part_of=_part_of(part, alias, whole))
        parts.append(dataclasses.replace(part, alias=alias, ends=ends, facts=facts))
    return question.with_parts(parts)


def _part_of(part: Part, alias: Alias | None, whole: str | None) -> tuple[str, ...]:
    """Return the composites that production has where the version would be found, and its asset is part of.

    Whatever else of one is there, also if this asset's version was taken out. Where the version would be
    found through no alias, or nothing of one is, it is found beside it.
    """
    found: dict[str, set[str | None]] = {}
    for one in part.around:
        if one.composite not in {None, whole}:
            found.setdefault(str(one.composite), set()).add(one.alias)
    name = None if alias is None else str(alias)
    return tuple(
        cvi for cvi, names in found.items() if name is None or name in names or not names - {None}
    )


def _check_alias(question: Question, wanted: Promotion) -> None:
    alias, place = wanted.alias, question.environment
    if alias is None:
        return
    problems = []
    for namespace in {str(part.namespace.name): part.namespace for part in question.parts}.values():
        if place.stage is Stage.PRODUCTION and catalog.resolves(namespace.state, alias):
            continue
        message = (
            f"{place.name} finds nothing through the alias {alias}: production of {namespace.name}"
            f" resolves {', '.join(namespace.state.production_aliases)}"
        )
        problems.append(
            {"field": "alias", "message": message, "fix": "choose one of them, or none"}
        )
    if problems:
        raise BadBody(f"`alias`: {problems[0]['message']}", problems=problems)


def _alias(part: Part, environment: Environment, wanted: Promotion) -> Alias | None:
    """Return the alias that moves with the promotion."""
    if wanted.alias is not None:
        return wanted.alias
    default = stages.alias_of(wanted.mode)
    finds = environment.stage is Stage.PRODUCTION and catalog.resolves(
        part.namespace.state, default
    )
    return default if wanted.by_default and finds else None


def _superseded(
    part: Part, environment: Environment, wanted: Promotion, alias: Alias | None
) -> tuple[Deployment, ...]:
    """Return the live deployments that end with the promotion: those found where it will be found."""
    name = None if alias is None else str(alias)
    return tuple(
        one
        for one in part.live
        if one.id in wanted.ends
        or (
            one.environment == environment.name
            and one.alias == name
            and (name is not None or one.version_id == part.version.id)
        )
    )


def standing_so(question: Question, wanted: Promotion) -> list[Deployment] | None:
    """Return the live deployments, one for each version, if everything that is wanted stands so already."""
    if wanted.ends or question.left:
        return None
    there = [_standing_so(part, question, wanted) for part in question.parts]
    found = [one for one in there if one is not None]
    return found if len(found) == len(there) else None


def _standing_so(part: Part, question: Question, wanted: Promotion) -> Deployment | None:
    alias = None if part.alias is None else str(part.alias)
    if alias is not None and alias not in part.version.aliases:
        return None
    for one in part.live:
        same = (one.version_id, one.environment, one.alias, one.mode) == (
            part.version.id,
            question.environment.name,
            alias,
            wanted.mode,
        )
        if same and question.cvi in {None, one.composite}:
            return one
    return None
