"""The SDK's front door."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from muniment.client import ambient, credentials
from muniment.client.aliases import Aliases
from muniment.client.approvals import Approvals, Decisions
from muniment.client.artifacts import Artifacts
from muniment.client.assets import Assets
from muniment.client.check import check_version
from muniment.client.composites import Composites
from muniment.client.consumers import Consumers
from muniment.client.evidence import EvidenceCalls
from muniment.client.exceptions import Exceptions
from muniment.client.fetches import Fetches
from muniment.client.impact import Impact, impact_of
from muniment.client.jobs import Jobs
from muniment.client.keys import Keys
from muniment.client.lifecycle import Lifecycle
from muniment.client.lineage import LineageCalls
from muniment.client.log import Log
from muniment.client.logins import LoginIssuers, WhoAmI
from muniment.client.namespaces import Namespaces
from muniment.client.policies import Policies
from muniment.client.principals import Principals
from muniment.client.progress import OnProgress
from muniment.client.publishers import Publishers
from muniment.client.records import Registered, Version
from muniment.client.report import Report
from muniment.client.scans import Scans
from muniment.client.signers import SignerCalls
from muniment.client.signing import Signing
from muniment.client.storage import Storage
from muniment.client.tokens import Tokens
from muniment.client.transport import Transport
from muniment.client.versions import Versions
from muniment.client.vulnerabilities import Vulnerabilities
from muniment.client.webhooks import Webhooks
from muniment.core.signers import Signer


class Client:
    """One registry. Safe to use from several threads; close it, or use it in a `with` block.

    Errors of the server are raised as the classes of `muniment.errors`, by their code.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Take what is not given from `MUNIMENT_URL`, `MUNIMENT_TOKEN` and the credentials file.

        In a CI job without any of these, its ID token is exchanged (`ambient`).

        `timeout` is seconds without an answer; `retries` is how often a call is repeated when the
        registry is busy or the connection broke; `transport` replaces the network.

        Raises:
            NotAuthenticated: no registry is named anywhere.
        """
        found = credentials.find(url, token)
        self.url = found.url
        job = found.token is None and ambient.present()
        self.transport = Transport(
            found.url,
            found.token,
            timeout=timeout,
            retries=retries,
            via=transport,
            auth=ambient.AmbientAuth(found.url, transport) if job else None,
        )
        self.assets = Assets(self.transport)
        self.versions = Versions(self.transport)
        self.aliases = Aliases(self.transport)
        self.approvals = Approvals(self.transport, self.versions)
        self.artifacts = Artifacts(self.transport)
        self.composites = Composites(self.transport)
        self.consumers = Consumers(self.transport)
        self.decisions = Decisions(self.transport)
        self.evidence = EvidenceCalls(self.transport)
        self.exceptions = Exceptions(self.transport, self.versions)
        self.lifecycle = Lifecycle(self.transport, self.versions)
        self.lineage = LineageCalls(self.transport)
        self.namespaces = Namespaces(self.transport)
        self.log = Log(self.transport)
        self.tokens = Tokens(self.transport)
        self.fetches = Fetches(self.transport)
        self.jobs = Jobs(self.transport)
        self.keys = Keys(self.transport)
        self.scans = Scans(self.transport, self.versions)
        self.policies = Policies(self.transport, self.versions)
        self.principals = Principals(self.transport)
        self.signers = SignerCalls(self.transport)
        self.signing = Signing(self.transport)
        self.publishers = Publishers(self.transport)
        self.login_issuers = LoginIssuers(self.transport)
        self.storage = Storage(self.transport)
        self.vulnerabilities = Vulnerabilities(self.transport, self.versions)
        self.webhooks = Webhooks(self.transport)

    def whoami(self) -> WhoAmI:
        """Who the token belongs to, and until when it holds."""
        return self.principals.whoami()

    def register(
        self, ref: str, *, version: str, artifact: Any = None, **options: Any
    ) -> Registered:
        """Register files as a new version; options as `Artifacts.register`."""
        return self.artifacts.register(ref, version=version, artifact=artifact, **options)

    def get(self, ref: str) -> Version:
        """One version, by `NAME@1.2.0`, `NAME@alias` or `NAME@7`."""
        return self.versions.get(ref)

    def download(
        self,
        ref: str,
        into: str | os.PathLike[str],
        *,
        verify: bool = False,
        on_progress: OnProgress | None = None,
    ) -> list[Path]:
        """Have every file of `ref` below `into`, checked; return their paths.

        With `verify`, first check the version's receipt against the trusted log key as well.

        Raises:
            DigestMismatch: bytes or manifest are not those registered.
            IntegrityError: the receipt does not hold.
        """
        if verify:
            check_version(self, ref, files=False).raise_if_failed()
        return self.artifacts.download(ref, into, on_progress=on_progress)

    def verify(
        self,
        ref: str,
        *,
        directory: str | os.PathLike[str] | None = None,
        signers: Sequence[Signer] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Report:
        """Check bytes, receipt, signatures and provenance of `ref`; say of each how it stands.

        Files are those in `directory` if given, else they are read from the registry and hashed
        without being stored. Signatures and provenance are judged here, by `signers` if given, else
        by those the registry lists. `Report.standings` has each in one word.
        """
        at = Path(directory) if directory is not None else None
        return check_version(self, ref, directory=at, signers=signers, on_progress=on_progress)

    def impact(self, what: str, *, limit: int | None = None) -> Impact:
        """Which versions contain something or were made of it: all, or the newest `limit`.

        `what` is a vulnerability (`CVE-2026-1`), a package URL, a SHA-256 (of a file, version, dataset,
        base model or evidence), or the name of a dataset or base model.
        """
        return impact_of(self.transport, what, limit=limit)

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
