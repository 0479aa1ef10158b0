"""`muniment evidence`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.bars import bars
from muniment.client.cli.screen import Json, Quiet, Screen, amount, fields, table
from muniment.core.errors import BadEvidence, BadPath

if TYPE_CHECKING:
    from rich.console import RenderableType

    from muniment.client.records import AddedEvidence, Evidence

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Add evidence, list it, see what it covers."
)

Ref = Annotated[str, typer.Argument(help="NAME@VERSION, NAME@alias, or a composite (cvi1-…).")]
Id = Annotated[str, typer.Argument(help="The evidence's id, as `evidence list` shows it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read everything; record nothing.")]
_MISSING = 4
_DENIED = 3


@app.command()
def add(
    ctx: typer.Context,
    ref: Ref,
    files: Annotated[list[Path], typer.Argument(help="Files as their tools wrote them.")],
    kind: Annotated[
        str | None,
        typer.Option(help="What they must be, such as `sbom`; `other` keeps any file unread."),
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option("--context", help="CONTEXT for a single file, or NAME=CONTEXT for each."),
    ] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Add files as evidence of a version, all or none; each format is told from the content."""
    screen = Screen(ctx, as_json=as_json, quiet=quiet)
    with screen.client() as client, bars(quiet=screen.quiet) as on_progress:
        done = client.evidence.add(
            ref, files, kind=kind, contexts=_contexts(context or [], files), dry_run=dry_run,
            on_progress=on_progress,
        )  # fmt: skip
    rows = [(each.file_name, each.kind, each.format, _said(each), _state(each)) for each in done]
    data = {"ref": ref, "dry_run": dry_run, "items": [each.as_json() for each in done]}
    screen.result(data, table(("File", "Kind", "Format", "Says", ""), rows), *_notes(done))


def _contexts(given: list[str], files: list[Path]) -> Any:
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    pairs = [each.partition("=") for each in given]
    if any(not equals for _, equals, _ in pairs):
        names = ", ".join(file.name for file in files)
        raise BadPath(f"expected NAME=CONTEXT, where NAME is one of {names}")
    return {name: path for name, _, path in pairs}


def _state(each: AddedEvidence) -> str:
    if each.created:
        return "recorded"
    return "would be recorded" if each.id is None else "was there already"


def _said(each: Evidence) -> str:
    """The few numbers that say what is in it."""
    shown = [f"{value} {name}" for name, value in each.summary.items() if isinstance(value, int)]
    shown += each.summary.get("dimensions", [])
    return ", ".join(shown)


def _notes(done: list[Any]) -> Iterator[str]:
    for each in done:
        if each.flags:
            yield f"{each.file_name}: {', '.join(each.flags)}"


@app.command("list")
def list_(
    ctx: typer.Context,
    ref: Ref,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    earlier: Annotated[
        bool, typer.Option("--earlier", help="That of earlier versions too; it may be stale.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the evidence of a version, oldest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.evidence.list_(ref, kind=kind, earlier=earlier)
    data = [each.as_json() for each in found]
    if not found:
        hint = f"No evidence yet. Add some: `muniment evidence add {ref} FILE…`"
        screen.result(data, hint)
        return
    rows = [
        (each.id, each.kind, each.file_name, _said(each), each.assurance, _holds(each), each.recorded_at)
        for each in found
    ]  # fmt: skip
    columns = ("Id", "Kind", "File", "Says", "Assurance", "", "Recorded")
    screen.result(data, table(columns, rows), *_notes(found))


def _holds(each: Evidence) -> str:
    if not each.stale:
        return "holds"
    changed = ", ".join(change.get("component", "") for change in each.changes)
    return f"stale: other {changed}" if changed else "stale: too old"


@app.command()
def show(ctx: typer.Context, ref: Ref, evidence_id: Id, as_json: Json = False) -> None:
    """Show one piece of evidence: what it says, who says it, what it is bound to."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.evidence.get(ref, evidence_id)
    head = fields(
        [
            ("File", f"{found.file_name}, {amount(found.size_bytes)}"),
            ("Digest", found.digest),
            ("Kind", f"{found.kind} ({found.format})"),
            ("Tool", " ".join(found.tool.values())),
            ("Run ended", found.produced_at),
            ("Assurance", f"{found.assurance} {found.signer or ''}".strip()),
            ("Flags", found.flags),
            ("Bound to", found.bound),
            ("Holds", _holds(found)),
            ("Recorded", found.recorded_at),
        ]
    )
    said = fields((name, f"said by {who}") for name, who in found.said_by.items())
    screen.result(found.as_json(), head, said, *_metrics(found))


def _metrics(found: Evidence) -> Iterator[RenderableType]:
    metrics = found.parsed.get("metrics", [])
    if metrics:
        rows = [
            (
                each["metric"], each.get("task"), each.get("slice"), each.get("dimension"),
                f"{each['value']:.6g}", _interval(each), each.get("n"),
            )
            for each in metrics[:200]
        ]  # fmt: skip
        yield table(("Metric", "Task", "Slice", "Dimension", "Value", "Interval", "n"), rows)
    if len(metrics) > 200:  # noqa: PLR2004 -- a screen's worth
        yield f"… and {len(metrics) - 200} more: see --json"


def _interval(metric: dict[str, Any]) -> str:
    if "ci" in metric:
        return f"{metric['ci'][0]:.4g} to {metric['ci'][1]:.4g}"
    return f"± {metric['stderr']:.4g}" if "stderr" in metric else ""


@app.command()
def download(
    ctx: typer.Context,
    ref: Ref,
    evidence_id: Id,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to; its own name if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Download the file of a piece of evidence, byte for byte, checked against its digest."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.evidence.get(ref, evidence_id)
        at = output or Path(Path(found.file_name).name)
        if output is None and at.exists():
            raise BadPath(f"`{at}` is there already; say where to with --output")
        at.write_bytes(client.evidence.read(ref, evidence_id))
    data = {"ref": ref, "id": evidence_id, "file": str(at), "digest": found.digest}
    screen.result(data, f"Wrote `{at}`: {amount(found.size_bytes)}, {found.digest}")


@app.command()
def reparse(
    ctx: typer.Context,
    ref: Ref,
    evidence_id: Annotated[str | None, typer.Argument(help="One of it; else all.")] = None,
    as_json: Json = False,
) -> None:
    """Have the stored files read again and compared. Exits with 1 if one says something else."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        listed = client.evidence.list_(ref) if evidence_id is None else []
        chosen = [str(each.id) for each in listed] if evidence_id is None else [evidence_id]
        found = [{"id": each, **client.evidence.reparse(ref, each)} for each in chosen]
    rows = [
        (each["id"], "the same" if each["same"] else "; ".join(each["differences"]))
        for each in found
    ]
    screen.result(found, table(("Evidence", "Reads now as"), rows))
    if not all(each["same"] for each in found):
        raise typer.Exit(1)


@app.command()
def coverage(
    ctx: typer.Context,
    ref: Ref,
    max_age_days: Annotated[
        int | None, typer.Option(help="Evaluations older than this do not count.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how far evaluations cover the six dimensions. Exits with 4 if one is missing."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.evidence.coverage(ref, max_age_days=max_age_days)
    rows = [
        (each.dimension, each.state.replace("_", " "), each.reason, each.flags)
        for each in found.items
    ]
    screen.result(found.as_json(), table(("Dimension", "State", "Why", "Flags"), rows))
    if not found.complete:
        raise typer.Exit(_MISSING)


@app.command()
def gates(
    ctx: typer.Context,
    ref: Ref,
    plan: Annotated[
        str | None, typer.Option(help="The plan's evidence id; the asset's newest if not given.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run a gate plan on the evaluations of a version or composite. Exits with 3 if a blocking gate failed."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        done = client.evidence.gates(ref, plan=plan, dry_run=dry_run)
    details = [each.parsed.get("details", {}) for each in done]
    rows = [
        (each.get("order"), each.get("gate"), each.get("result"), "; ".join(_failures(each)))
        for each in details
    ]
    data = {"ref": ref, "dry_run": dry_run, "items": [each.as_json() for each in done]}
    screen.result(data, table(("No.", "Gate", "Result", "Why"), rows))
    if any(each.get("blocking") and each.get("result") != "passed" for each in details):
        raise typer.Exit(_DENIED)


def _failures(record: dict[str, Any]) -> Iterator[str]:
    for check in record.get("failed", []):
        where = f" [{check['slice']}]" if check.get("slice") else ""
        yield f"{check.get('metric')}{where}: {check.get('reason', 'failed')}"


@app.command("not-applicable")
def not_applicable(
    ctx: typer.Context,
    ref: Ref,
    dimensions: Annotated[
        list[str], typer.Argument(help="DIMENSION=REASON, for example `toxicity=…`.")
    ],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Record that dimensions of an evaluation do not apply to a version, and why."""
    screen = Screen(ctx, as_json=as_json)
    pairs = [each.partition("=") for each in dimensions]
    if any(not equals for _, equals, _ in pairs):
        raise BadEvidence(
            "expected DIMENSION=REASON, for example `toxicity=the model writes no text`"
        )
    said = {name: why for name, _, why in pairs}
    document = {"schema": "muniment/evaluation/v1", "not_applicable": said}
    with screen.client() as client, tempfile.TemporaryDirectory() as directory:
        at = Path(directory) / "not-applicable.json"
        at.write_text(json.dumps(document, sort_keys=True), encoding="utf-8")
        done = client.evidence.add(ref, at, dry_run=dry_run)
    screen.result(
        {"ref": ref, "dry_run": dry_run, "items": [each.as_json() for each in done]},
        *(f"{name} does not apply to {ref}: {why}" for name, why in said.items()),
    )
