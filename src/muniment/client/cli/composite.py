"""`muniment composite`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.client.cli.people import add_names
from muniment.client.cli.screen import Json, Screen, fields, table
from muniment.core.composite import SCHEMA
from muniment.core.errors import BadComposite, BadPath, NotFound

if TYPE_CHECKING:
    from muniment.client.approval_records import CompositeApprovals
    from muniment.client.client import Client
    from muniment.client.composites import Composite

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Register what runs together under one identifier; show it, prove what is in it.",
)

Cvi = Annotated[str, typer.Argument(metavar="CVI", help="cvi1-…")]
_COMPONENT = re.compile(r"([a-z-]+):([^=]+)=([A-Za-z0-9_.-]+:[^@]+)(?:@(.+))?")


@app.command()
def create(
    ctx: typer.Context,
    system: Annotated[
        str | None, typer.Argument(help="What it is called; not with `--manifest`.")
    ] = None,
    pin: Annotated[
        list[str] | None, typer.Option("--pin", help="A version of this registry: NAME@1.2.0.")
    ] = None,
    component: Annotated[
        list[str] | None,
        typer.Option("--component", help="KIND:NAME=ALGORITHM:DIGEST, or …@WHERE-IT-IS."),
    ] = None,
    none: Annotated[
        list[str] | None,
        typer.Option("--none", help="KIND=REASON: there is none of that kind, and why."),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="A whole manifest, as JSON.")
    ] = None,
    namespace: Annotated[str, typer.Option("--namespace", help="Whose it is.")] = "default",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compute the identifier; record nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Register code, data, model, adapter, prompt, config and env that run together."""
    screen = Screen(ctx, as_json=as_json)
    if manifest is not None:
        if system or pin or component or none:
            raise typer.BadParameter("say either `--manifest` or what is in it")
        system, records = _manifest(manifest)
    else:
        records = [*({"pin": one} for one in pin or []), *_components(component or [], none or [])]
    if not system:
        raise typer.BadParameter(
            "say what the system is called: `muniment composite create NAME …`"
        )
    with screen.client() as client:
        made = client.composites.create(system, records, namespace=namespace, dry_run=dry_run)
    state = {True: "registered", False: "was there already", None: "computed, not recorded"}
    screen.result(made.as_json(), made.cvi)
    screen.note(f"{state[made.created]}: {made.component_count} components")


def _manifest(file: Path) -> tuple[str, list[dict[str, Any]]]:
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise BadPath(f"cannot read `{file}`: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadComposite(f"`{file}`: expected JSON, found a mistake: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("components"), list):
        raise BadComposite(f"`{file}`: expected a manifest, an object with `system`, `components`")
    more = sorted(found.keys() - {"schema", "system", "components"})
    if more or found.get("schema", SCHEMA) != SCHEMA:
        raise BadComposite(
            f"`{file}`: expected schema {SCHEMA}, system and components alone, found {more or found['schema']}"
        )
    return str(found.get("system", "")), found["components"]


def _components(given: list[str], none: list[str]) -> list[dict[str, Any]]:
    from muniment.client.composites import absent, record_of  # noqa: PLC0415 -- slow; not for `--help`

    records = []
    for text in given:
        found = _COMPONENT.fullmatch(text)
        if found is None:
            raise typer.BadParameter(f"expected KIND:NAME=ALGORITHM:DIGEST, found {text[:100]!r}")
        records.append(record_of(*found.groups()))
    pairs = [each.partition("=") for each in none]
    if any(not reason for _, _, reason in pairs):
        raise typer.BadParameter("expected KIND=REASON after --none")
    return [*records, *absent({kind: reason for kind, _, reason in pairs})]


@app.command()
def show(ctx: typer.Context, cvi: Cvi, as_json: Json = False) -> None:
    """Show a composite; its identifier is computed again from what is shown."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found = client.composites.get(cvi)
        approvals = _approvals(client, cvi)
        add_names(client, [found.registered_by] if found.registered_by else [])
    by = found.registered_by or {}
    head = fields(
        [
            ("Composite", found.cvi),
            ("System", found.system),
            ("Namespace", found.namespace),
            ("Registered", found.registered_at),
            ("By", by.get("name") or by.get("id")),
            ("Entry", found.entry_id),
            ("Members", [] if approvals is None else approvals.members),
            *_told(approvals),
        ]
    )
    rows = [_row(one) for one in found.components]
    data = found.as_json() | {"approvals": None if approvals is None else approvals.as_json()}
    screen.result(data, head, table(("Kind", "Name", "Digest", "Here"), rows))


def _approvals(client: Client, cvi: str) -> CompositeApprovals | None:
    """Where it is approved; None where not all of its members may be seen."""
    try:
        return client.approvals.of_composite(cvi)
    except (NotFound, BadComposite):
        return None


def _told(approvals: CompositeApprovals | None) -> list[tuple[str, str]]:
    if approvals is None:
        return [("Approved for", "not told: you may not see all that it pins")]
    if not approvals.members:
        return [("Approved for", "nothing: it pins no version of this registry")]
    here = [
        f"{one.environment} until {one.until:%Y-%m-%d %H:%M}Z"
        for one in approvals.items
        if one.approved and one.until is not None
    ]
    lines = [("Approved for", ", ".join(here) or "nothing")]
    # What was decided and does not hold is worth a word; what nobody asked for is not.
    lines += [
        (f"Not for {one.environment}", "; ".join(each["message"] for each in one.reasons))
        for one in approvals.items
        if not one.approved and one.decision_id is not None
    ]
    lines += [
        (f"Asked for {one.environment}", f"request {one.request_id}")
        for one in approvals.items
        if one.request_id is not None
    ]
    return lines


def _row(one: dict[str, Any]) -> tuple[str, str, str, str]:
    record = one["record"]
    digest = ", ".join(f"{name}:{value}" for name, value in (record.get("digest") or {}).items())
    said = digest or record.get("reason") or record.get("version") or ""
    return record["kind"], record["name"], said, ", ".join(one.get("versions", []))


@app.command("list")
def list_(
    ctx: typer.Context,
    system: Annotated[str | None, typer.Option("--system", help="Only of this system.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", help="Only of this one.")] = None,
    contains: Annotated[
        str | None, typer.Option("--contains", help="A version (NAME@1.2.0) or a digest.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List composites, the newest first."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        found: list[Composite] = list(
            client.composites.list_(system=system, namespace=namespace, contains=contains)
        )
    rows = [
        (one.cvi, one.system, one.namespace, one.component_count, one.registered_at)
        for one in found
    ]
    columns = ("Composite", "System", "Namespace", "Components", "Registered")
    hint = "No composites. Register one: `muniment composite create NAME --pin NAME@1.2.0 …`"
    screen.result([one.as_json() for one in found], table(columns, rows) if rows else hint)


@app.command()
def prove(
    ctx: typer.Context,
    cvi: Cvi,
    kind: Annotated[str, typer.Argument(help="The component's kind.")],
    name: Annotated[str, typer.Argument(help="The component's name.")],
    as_json: Json = False,
) -> None:
    """Print a proof that a component is in a composite, which shows none of the others."""
    screen = Screen(ctx, as_json=as_json)
    with screen.client() as client:
        proof = client.composites.prove(cvi, kind, name)
    screen.result(proof, json.dumps(proof, indent=2, ensure_ascii=True))
