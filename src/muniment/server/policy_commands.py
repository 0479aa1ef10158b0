"""`muniment policy`: bundles of rules, checked and tried here; no registry is asked."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from muniment.core.errors import BadPolicy, BadRequest
from muniment.server import policy
from muniment.server.policy.records import Bundle, Evaluation, Outcome
from muniment.server.ports.embedded_rego import EmbeddedRego
from muniment.server.ports.opa import Opa
from muniment.server.ports.policy_engine import PolicyEngine

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Place = Annotated[
    Path | None, typer.Argument(metavar="[DIR]", help="Folder or .tar.gz; else the starter bundle.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
OpaUrl = Annotated[
    str | None,
    typer.Option(
        "--opa", metavar="URL", help="Ask this Open Policy Agent, which serves the bundle."
    ),
]
OpaToken = Annotated[
    str | None, typer.Option(envvar="MUNIMENT_OPA_TOKEN", help="Bearer token for the agent.")
]
_MAX_INPUT_BYTES = 16 * 1024 * 1024


class Session(Protocol):
    """What the root of the command line knows of this run."""

    as_json: bool


@app.command()
def lint(ctx: typer.Context, directory: Place = None, as_json: AsJson = False) -> None:
    """Say everything that is wrong with a bundle. Exits with 1 if anything is.

    Rules need an id, class, source and a fixture that passes and one that fails, and name nothing
    that reads a clock, the network or chance.
    """
    _say_json(ctx, as_json)
    bundle, problems = policy.look(policy.read_files(directory or policy.STARTER))
    shown = [{"place": one.place, "message": one.message, "fix": one.fix} for one in problems]
    if bundle is not None:
        shown += [
            {"place": "fixtures/", "message": text, "fix": "add one"}
            for text in policy.missing_fixtures(bundle)
        ]
        shown += _unread(bundle)
    if as_json:
        _print({"digest": bundle.digest if bundle else None, "problems": shown})
    for one in () if as_json else shown:
        typer.echo(f"{one['place']}: {one['message']}" + (f"; {one['fix']}" if one["fix"] else ""))
    if not as_json and bundle is not None and not shown:
        typer.echo(f"{len(bundle.rules)} rules, nothing wrong: {bundle.digest}")
    raise typer.Exit(1 if shown else 0)


@app.command("test")
def try_fixtures(
    ctx: typer.Context,
    directory: Place = None,
    opa: OpaUrl = None,
    opa_token: OpaToken = None,
    as_json: AsJson = False,
) -> None:
    """Run the fixtures of a bundle. Exits with 1 if a rule says something else than it is to."""
    _say_json(ctx, as_json)
    bundle = _bundle(directory)
    missing = policy.missing_fixtures(bundle)
    left_out = sum(one.data is not None for one in bundle.fixtures) if opa else 0
    if left_out:
        own = tuple(one for one in bundle.fixtures if one.data is None)
        bundle = dataclasses.replace(bundle, fixtures=own)
    with _engine(opa, opa_token) as engine:
        tried = policy.run_fixtures(engine, bundle)
    wrong = [one for one in tried if one.wrong]
    if as_json:
        rows = [
            {
                "rule": one.fixture.rule,
                "name": one.fixture.name,
                "ok": not one.wrong,
                "wrong": one.wrong,
            }
            for one in tried
        ]
        _print({"digest": bundle.digest, "fixtures": rows, "missing": missing})
    else:
        for one in wrong:
            typer.echo(f"{one.fixture.place} ({one.fixture.name}): {one.wrong}")
        for text in missing:
            typer.echo(text)
        if left_out:
            typer.echo(f"{left_out} fixtures have tables of their own: no agent serves those")
        typer.echo(f"{len(tried) - len(wrong)} of {len(tried)} fixtures as expected")
    raise typer.Exit(1 if wrong or missing else 0)


@app.command("eval")
def evaluate(
    ctx: typer.Context,
    input_file: Annotated[
        Path,
        typer.Option("--input", metavar="FILE", help="The input document; `-`: standard input."),
    ],
    directory: Place = None,
    opa: OpaUrl = None,
    opa_token: OpaToken = None,
    as_json: AsJson = False,
) -> None:
    """Say what a bundle says of an input document.

    Exits with 0 if it allows, 3 if it denies, 4 if that is for want of evidence, 5 of approval.
    """
    _say_json(ctx, as_json)
    bundle = _bundle(directory)
    document = policy.read_input(_input(input_file))
    with _engine(opa, opa_token) as engine:
        found = policy.evaluate(engine, bundle, document)
    if as_json:
        _print(
            {
                "verdict": policy.verdict_json(found.verdict),
                "engine": found.engine,
                "engine_version": found.engine_version,
                "duration_us": found.duration_us,
            }
        )
    else:
        _tell(found)
    raise typer.Exit(policy.exit_code(found.verdict))


@app.command()
def pack(
    ctx: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tar.gz to write.")],
    directory: Place = None,
    as_json: AsJson = False,
) -> None:
    """Write a bundle for an Open Policy Agent (`opa run --server --bundle FILE`)."""
    _say_json(ctx, as_json)
    bundle = _bundle(directory)
    try:
        output.write_bytes(policy.pack(bundle))
    except OSError as error:
        raise BadRequest(f"{output} cannot be written: {error.strerror}") from None
    if as_json:
        _print({"digest": bundle.digest, "file": str(output)})
    else:
        typer.echo(f"{output}: revision {bundle.digest}")


def _say_json(ctx: typer.Context, as_json: bool) -> None:
    """Have errors printed as JSON too."""
    session: Session | None = ctx.find_root().obj
    if session is not None:
        session.as_json = as_json


def _bundle(place: Path | None) -> Bundle:
    return policy.read_bundle(policy.read_files(place or policy.STARTER))


@contextlib.contextmanager
def _engine(url: str | None, token: str | None) -> Iterator[PolicyEngine]:
    engine: PolicyEngine = EmbeddedRego() if url is None else Opa(url, token=token)
    try:
        yield engine
    finally:
        engine.close()


def _unread(bundle: Bundle) -> list[dict[str, str]]:
    """Return what the engine says of a bundle that is no Rego; nothing if it can be asked."""
    with _engine(None, None) as engine:
        wrong = policy.unreadable(engine, bundle)
    return [{"place": "rules/", "message": wrong, "fix": "mend the Rego"}] if wrong else []


def _input(place: Path) -> bytes:
    try:
        if str(place) == "-":
            return sys.stdin.buffer.read(_MAX_INPUT_BYTES + 1)
        with place.open("rb") as file:
            return file.read(_MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise BadPolicy(f"{place} cannot be read: {error.strerror}") from None


def _tell(found: Evaluation) -> None:
    verdict = found.verdict
    typer.echo(f"{verdict.decision.value}: {len(verdict.failed)} rules are in the way")
    for one in verdict.results:
        if one.outcome is not Outcome.NOT_APPLICABLE:
            typer.echo(f"  {one.outcome.value:<8} {one.id:<9} {one.message}")
        if one.outcome is Outcome.FAILED and one.remedy:
            typer.echo(f"  {'':<8} {'':<9} -> {one.remedy}")
    asked = f"{found.engine} {found.engine_version}".strip()
    typer.echo(f"policy {verdict.policy_digest}")
    typer.echo(f"input  {verdict.input_digest}")
    typer.echo(f"asked  {asked}, {found.duration_us:,} us")


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
