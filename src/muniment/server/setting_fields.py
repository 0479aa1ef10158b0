"""Everything an operator may decide: a field for each, how its text is read, its default."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muniment.server.setting_values import (
    directory,
    duration,
    enforcement,
    login_time,
    names,
    number,
    public_keys,
    size_bytes,
    switch,
    text,
)

_MIB = 1 << 20
_GIB = 1 << 30
_DAY = dt.timedelta(days=1)


def _option(read: Callable[[str], Any], default: Any, *, secret: bool = False) -> Any:
    """A field read by `read` from the variable of its name."""
    return field(default=default, repr=not secret, metadata={"read": read, "secret": secret})


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingFields:
    """Everything an operator may decide. `field` is read from `MUNIMENT_FIELD`."""

    #: Where embedded PostgreSQL, local blobs and key files live.
    data_dir: Path = field(metadata={"read": directory, "secret": False})
    #: `postgresql://…`; None: the embedded PostgreSQL in `data_dir`.
    database_url: str | None = _option(text, None, secret=True)
    #: The same database as the role that owns its tables, for migrations; None: `database_url` does.
    database_owner_url: str | None = _option(text, None, secret=True)
    #: Connections for reads, and as many for writes, each process.
    database_connections: int = _option(number, 10)
    host: str = _option(text, "127.0.0.1")
    #: 0: any free one.
    port: int = _option(number, 8080)
    #: The address users see, when it is not http://host:port (behind a proxy).
    public_url: str | None = _option(text, None)
    #: Name of the log in every checkpoint: a bare hostname, for ever.
    origin: str = _option(text, "muniment.localhost")
    #: For whom ID tokens of pipelines must be made; None: the origin.
    oidc_audience: str | None = _option(text, None)
    #: How long a person's login by an issuer holds, at most 12h.
    login_ttl: dt.timedelta = _option(login_time, dt.timedelta(hours=12))  # noqa: RUF009 -- it cannot change
    #: Whether checkpoints and tiles may be read without a token, as public logs are.
    log_public: bool = _option(switch, False)
    #: A code to accept for the first administrator, instead of one printed at first start.
    bootstrap_token: str | None = _option(text, None, secret=True)
    #: `s3://bucket/prefix`; None: a directory in `data_dir`.
    blob_url: str | None = _option(text, None)
    #: Address of an S3 that is not Amazon's.
    blob_endpoint: str | None = _option(text, None)
    blob_region: str = _option(text, "us-east-1")
    #: None: whatever the environment offers (instance role, profile).
    blob_access_key: str | None = _option(text, None)
    blob_secret_key: str | None = _option(text, None, secret=True)
    blob_allow_http: bool = _option(switch, False)
    #: Within which time every stored byte is read again.
    scrub_period: dt.timedelta = _option(duration, 7 * _DAY)  # noqa: RUF009 -- it cannot change
    #: How a namespace that MLflow's API makes takes what its rules do not allow: `observe` (done and
    #: counted), `warn` (the same, and said) or `enforce` (refused). Namespaces made otherwise enforce.
    mlflow_mode: str = _option(enforcement, "observe")
    #: How long an upload may stay unfinished.
    upload_ttl: dt.timedelta = _option(duration, _DAY)  # noqa: RUF009 -- it cannot change
    #: What a principal may have declared and not yet sent whole, in all its uploads together.
    upload_quota_bytes: int = _option(size_bytes, 1024 * _GIB)
    max_file_bytes: int = _option(size_bytes, 512 * _GIB)
    part_bytes: int = _option(size_bytes, 64 * _MIB)
    #: `HOST` or `HOST:PORT`, separated by commas: what webhooks and fetches may call although its
    #: address is private, and over plain http.
    outbound_private: tuple[str, ...] = _option(names, ())
    #: Hosts from which bytes of models may be fetched; `*.example.com` is all below. None: no fetching.
    fetch_hosts: tuple[str, ...] = _option(names, ())
    #: `s3://bucket/prefix`, separated by commas: from where models may be fetched.
    fetch_buckets: tuple[str, ...] = _option(names, ())
    #: Address of an S3 that is not Amazon's, for `fetch_buckets`.
    fetch_endpoint: str | None = _option(text, None)
    fetch_region: str = _option(text, "us-east-1")
    fetch_access_key: str | None = _option(text, None)
    fetch_secret_key: str | None = _option(text, None, secret=True)
    #: The largest model that is fetched, all files together.
    max_fetch_bytes: int = _option(size_bytes, 512 * _GIB)
    #: The MLflow server that tracks runs, where it is not this one: from there `runs:/…`,
    #: `models:/m-…` and `mlflow-artifacts:/…` are fetched.
    mlflow_url: str | None = _option(text, None)
    mlflow_token: str | None = _option(text, None, secret=True)
    mlflow_user: str | None = _option(text, None)
    mlflow_password: str | None = _option(text, None, secret=True)
    #: Whether `serve` runs jobs itself; false where `muniment worker` processes do.
    jobs: bool = _option(switch, True)
    #: How many jobs a process runs at the same time.
    jobs_at_once: int = _option(number, 10)
    #: The largest JSON body accepted.
    max_body_bytes: int = _option(size_bytes, 16 * _MIB)
    #: The largest file of evidence that is read; each takes several times its size in memory.
    max_evidence_bytes: int = _option(size_bytes, 64 * _MIB)
    #: Public keys (PEM, P-256, one after the other) that vouch for evaluation runs.
    evidence_keys: tuple[bytes, ...] = _option(public_keys, ())
    #: The memory (addresses) that the process in which a file is scanned may take.
    scan_memory_bytes: int = _option(size_bytes, 1024 * _MIB)
    #: How long the scan of one file may take; a second more for each 10 MB of it.
    scan_time: dt.timedelta = _option(duration, dt.timedelta(minutes=2))  # noqa: RUF009 -- it cannot change
    #: A folder or `.tar.gz`: the policy bundle that a new registry begins with; None: the starter
    #: bundle. Once a registry has begun, only an activation that somebody else approved changes it.
    first_policy: Path | None = _option(directory, None)  # noqa: RUF009 -- it cannot change
    #: Address of the Open Policy Agent that evaluates policies; None: the registry does it itself.
    opa_url: str | None = _option(text, None)
    opa_token: str | None = _option(text, None, secret=True)
