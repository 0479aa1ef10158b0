"""The root of the command line and the table of the client's commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer
from typer._completion_classes import completion_init

from muniment import __version__
from muniment.client.cli.lazy import Later, LazyGroup
from muniment.client.cli.screen import Session

#: The variable through which a shell asks for completions.
COMPLETE = "_MUNIMENT_COMPLETE"

_HERE = "muniment.client.cli"
_REGISTER, _USE, _PROVE, _ADMIN = "Register and find", "Use", "Prove", "Access"
_GOVERN = "Govern"
_LIFECYCLE = f"{_HERE}.lifecycle"
_APPROVE = f"{_HERE}.approve"

_POLICY = f"{_HERE}.policy"
_TRY, _ACTIVATE, _SAID = "Bundles", "What is in force", "What was said"

#: `muniment policy`, as far as it asks the registry.
POLICY: dict[str, Later] = {
    "push": Later(_POLICY, "Send a bundle to the registry.", _TRY, "push"),
    "bundles": Later(_POLICY, "List the bundles the registry holds.", _TRY, "bundles"),
    "download": Later(_POLICY, "Write a bundle of the registry to a file.", _TRY, "download"),
    "simulate": Later(_POLICY, "Say what a bundle would change.", _ACTIVATE, "simulate"),
    "activate": Later(_POLICY, "Propose that a bundle be in force.", _ACTIVATE, "activate"),
    "proposals": Later(_POLICY, "List what was proposed and activated.", _ACTIVATE, "proposals"),
    "proposal": Later(_POLICY, "Show one proposal.", _ACTIVATE, "proposal"),
    "approve-activation": Later(
        _POLICY, "Approve what somebody else proposed.", _ACTIVATE, "approve-activation"
    ),
    "withdraw-activation": Later(
        _POLICY, "Withdraw what is not in force yet.", _ACTIVATE, "withdraw-activation"
    ),
    "verdicts": Later(_POLICY, "List what policies said of acts.", _SAID, "verdicts"),
    "verdict": Later(_POLICY, "Show what each rule said of an act.", _SAID, "verdict"),
    "replay": Later(_POLICY, "Ask a verdict's question again.", _SAID, "replay"),
}

#: The client's commands in the order help shows them.
COMMANDS: dict[str, Later] = {
    "register": Later(f"{_HERE}.register", "Register files as a new version.", _REGISTER),
    "asset": Later(f"{_HERE}.asset", "Create, show, list and edit assets.", _REGISTER),
    "show": Later(f"{_HERE}.show", "Show a version or an asset.", _REGISTER),
    "search": Later(f"{_HERE}.search", "Search versions.", _REGISTER),
    "compare": Later(f"{_HERE}.compare", "Compare two versions.", _REGISTER),
    "evidence": Later(f"{_HERE}.evidence", "Add evidence, list it, see what it covers.", _REGISTER),
    "composite": Later(f"{_HERE}.composite", "Register what runs together.", _REGISTER),
    "fetch": Later(f"{_HERE}.fetch", "Show versions fetched from elsewhere.", _REGISTER),
    "tag": Later(f"{_HERE}.tag", "Set or remove tags of a version or asset.", _REGISTER),
    "download": Later(f"{_HERE}.download", "Download a version, checking every byte.", _USE),
    "alias": Later(f"{_HERE}.alias", "Set, show and follow aliases.", _USE),
    "request": Later(f"{_HERE}.request", "Ask for a version to be approved.", _GOVERN),
    "approve": Later(_APPROVE, "Approve a request, in one role.", _GOVERN, "approve"),
    "reject": Later(_APPROVE, "Reject a request.", _GOVERN, "reject"),
    "defer": Later(_APPROVE, "Put a request off.", _GOVERN, "defer"),
    "comment": Later(_APPROVE, "Remark on a request.", _GOVERN, "comment"),
    "resolve": Later(_APPROVE, "Say how a remark was resolved.", _GOVERN, "resolve"),
    "approvals": Later(f"{_HERE}.approvals", "Approvals that end soon; conditions.", _GOVERN),
    "decision": Later(f"{_HERE}.decision", "Show, export and check decisions.", _GOVERN),
    "exception": Later(f"{_HERE}.exception", "Waive a rule until a day.", _GOVERN),
    "promote": Later(_LIFECYCLE, "Deploy a version, if the rules allow.", _GOVERN, "promote"),
    "why-not": Later(f"{_HERE}.advice", "Say what stands in the way.", _GOVERN, "why-not"),
    "explain": Later(f"{_HERE}.advice", "What every rule says of a version.", _GOVERN, "explain"),
    "rollback": Later(_LIFECYCLE, "Go back to the version before.", _GOVERN, "rollback"),
    "withdraw": Later(_LIFECYCLE, "Take a version out of an environment.", _GOVERN, "withdraw"),
    "deployments": Later(_LIFECYCLE, "List what is and was deployed.", _GOVERN, "deployments"),
    "deprecate": Later(_LIFECYCLE, "Announce the end of a version's use.", _GOVERN, "deprecate"),
    "reinstate": Later(_LIFECYCLE, "Take a deprecation back.", _GOVERN, "reinstate"),
    "retire": Later(_LIFECYCLE, "End a version's use for good.", _GOVERN, "retire"),
    "quarantine": Later(_LIFECYCLE, "Stop handing a version out.", _GOVERN, "quarantine"),
    "release": Later(_LIFECYCLE, "End a version's quarantine.", _GOVERN, "release"),
    "consumer": Later(f"{_HERE}.consumer", "Say who uses an asset, and for what.", _GOVERN),
    "policy": Later("", "What policies are in force, and what they say.", _GOVERN, group=POLICY),
    "namespace": Later(f"{_HERE}.namespace", "How namespaces enforce their rules.", _GOVERN),
    "scan": Later(f"{_HERE}.scan", "Say what loading files would run.", _PROVE),
    "verify": Later(f"{_HERE}.verify", "Check a version, or a receipt without network.", _PROVE),
    "sign": Later(f"{_HERE}.sign", "Sign a version's files (OpenSSF Model Signing).", _PROVE),
    "sbom": Later(f"{_HERE}.sbom", "Print the ML-BOM of a version.", _PROVE),
    "vulns": Later(f"{_HERE}.vulns", "Known vulnerabilities of a version, or of all.", _PROVE),
    "impact": Later(f"{_HERE}.impact", "What contains a vulnerability, package or file.", _PROVE),
    "lineage": Later(f"{_HERE}.lineage", "What it was made from; what was made from it.", _PROVE),
    "lineage-events": Later(f"{_HERE}.events", "Tell of runs elsewhere (OpenLineage).", _PROVE),
    "vex": Later(f"{_HERE}.vex", "Say which vulnerabilities do not matter, and why.", _PROVE),
    "vulndb": Later(f"{_HERE}.vulndb", "Import vulnerability databases.", _PROVE),
    "history": Later(f"{_HERE}.history", "Show every act on a version or asset.", _PROVE),
    "log": Later(f"{_HERE}.log", "Read, prove and follow the log.", _PROVE),
    "scrub": Later(f"{_HERE}.scrub", "Show whether stored bytes are as they were.", _PROVE),
    "login": Later(f"{_HERE}.login", "Keep a token for a registry.", _ADMIN, "login"),
    "whoami": Later(f"{_HERE}.login", "Show whose token is used.", _ADMIN, "whoami"),
    "key": Later(f"{_HERE}.key", "Make and revoke the keys you sign with.", _ADMIN),
    "token": Later(f"{_HERE}.token", "Create, list and revoke tokens.", _ADMIN),
    "trust": Later(
        f"{_HERE}.trust", "Say which pipelines are trusted, and how people log in.", _ADMIN
    ),
    "principal": Later(f"{_HERE}.principal", "Manage people, services and workloads.", _ADMIN),
    "role": Later(f"{_HERE}.role", "Grant and revoke roles.", _ADMIN),
    "signer": Later(f"{_HERE}.signer", "Say whose signatures are believed.", _ADMIN),
    "webhook": Later(f"{_HERE}.webhook", "Have others told of what is done.", _ADMIN),
    "jobs": Later(f"{_HERE}.jobs", "Look at the job queue; run jobs again.", _ADMIN),
    "completion": Later(f"{_HERE}.completion", "Print a shell completion script.", _ADMIN),
}


def build(more: Mapping[str, Later] | None = None) -> typer.Typer:
    """Return the command line with the client's commands and `more`."""

    class Commands(LazyGroup):
        table: ClassVar[Mapping[str, Later]] = {**COMMANDS, **(more or {})}

    app = typer.Typer(
        name="muniment",
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    app.callback(help="Muniment: the model registry you can show your auditor.")(_root)
    return app


def run(app: typer.Typer, session: Session) -> None:
    """Run a command line with what this process was started with, then exit.

    Answers shells that ask for completions.
    """
    if COMPLETE in os.environ:
        completion_init()
    typer.main.get_command(app).main(prog_name="muniment", complete_var=COMPLETE, obj=session)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"muniment {__version__}")
        raise typer.Exit


def _root(
    ctx: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(envvar="MUNIMENT_URL", help="The registry; else the one logged in to."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[  # noqa: ARG001 -- its callback answers
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    session = Session.of(ctx)
    session.url = url
    session.debug = debug
