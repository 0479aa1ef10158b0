"""What an operator may decide, read once from `MUNIMENT_*` variables into one frozen object.

Everything has a default that suits one machine; nothing is read from the environment elsewhere.
A wrong value stops the start, and every problem is reported at once. Secrets are not in `repr`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from muniment.core.errors import MunimentError
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

_PREFIX = "MUNIMENT_"
_MIB = 1 << 20
_GIB = 1 << 30
_DAY = dt.timedelta(days=1)
_S3_PARTS = 10_000
_HOSTNAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class BadSettings(MunimentError):
    """The settings cannot be used."""

    code = "bad_settings"


def _option(read: Callable[[str], Any], default: Any, *, secret: bool = False) -> Any:
    """A field read by `read` from the variable of its name."""
    return field(default=default, repr=not secret, metadata={"read": read, "secret": secret})


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
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

    #: Variables of the client, which are not settings of the server.
    OTHERS: ClassVar[frozenset[str]] = frozenset(
        {f"MUNIMENT_{name}" for name in ("URL", "TOKEN", "ID_TOKEN", "CONFIG_HOME", "STATE_HOME")}
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **overrides: Any) -> Self:
        """Read `environ`; `overrides` (typed, None: not given) win.

        Raises:
            BadSettings: with one problem for each variable that is wrong; secrets are not shown.
        """
        values, problems = _read(dataclasses.fields(cls), environ)
        values.setdefault("data_dir", _default_data_dir(environ))
        values |= {name: value for name, value in overrides.items() if value is not None}
        problems += _misspelt(environ, cls)
        if not problems:
            settings = cls(**values)
            problems = settings.problems()
        if problems:
            raise BadSettings(_summary(problems), problems=problems)
        return settings

    def problems(self) -> list[dict[str, str]]:
        """List what is wrong with the values themselves and with each other; empty when all is well."""
        return [
            {"field": _PREFIX + name.upper(), "message": message, "fix": fix}
            for wrong, name, message, fix in (
                *_network(self),
                *_storage(self),
                *_limits(self),
                *_work(self),
            )
            if wrong
        ]


_Check = tuple[bool, str, str, str]


def _network(settings: Settings) -> list[_Check]:
    scheme = urlsplit(settings.database_url or "postgresql://").scheme
    owner = urlsplit(settings.database_owner_url or "postgresql://").scheme
    public = urlsplit(settings.public_url or "http://localhost")
    return [
        (
            scheme not in ("postgresql", "postgres"),
            "database_url",
            "expected a URL that starts with postgresql://",
            "use postgresql://USER:PASSWORD@HOST/DATABASE, or unset it for the embedded PostgreSQL",
        ),
        (
            owner not in ("postgresql", "postgres")
            or (settings.database_owner_url is not None and settings.database_url is None),
            "database_owner_url",
            "expected a URL that starts with postgresql://, beside MUNIMENT_DATABASE_URL",
            "name the database of MUNIMENT_DATABASE_URL with the role that owns its tables",
        ),
        (
            not 1 <= settings.database_connections <= 1000,  # noqa: PLR2004 -- a sane bound
            "database_connections",
            f"expected 1 to 1000, found {settings.database_connections}",
            "10 suits most machines",
        ),
        (
            not 0 <= settings.port <= 65535,  # noqa: PLR2004 -- what TCP has
            "port",
            f"expected 0 to 65535, found {settings.port}",
            "use a port such as 8080, or 0 for any free one",
        ),
        (
            public.scheme not in ("http", "https") or not public.hostname,
            "public_url",
            f"expected an http:// or https:// URL, found {settings.public_url!r}",
            "use the address users open, such as https://models.example.com",
        ),
        (
            not _HOSTNAME.fullmatch(settings.origin),
            "origin",
            f"expected a bare lower-case hostname, found {settings.origin!r}",
            "use a name that stays for as long as the log does, such as models.example.com",
        ),
    ]


def _storage(settings: Settings) -> list[_Check]:
    url, endpoint = (
        urlsplit(settings.blob_url or ""),
        urlsplit(settings.blob_endpoint or "https://x"),
    )
    return [
        (
            bool(settings.blob_url) and (url.scheme != "s3" or not _BUCKET.fullmatch(url.netloc)),
            "blob_url",
            f"expected s3://BUCKET or s3://BUCKET/PREFIX, found {settings.blob_url!r}",
            "unset it to keep blobs in the data directory",
        ),
        (
            endpoint.scheme not in ("http", "https") or not endpoint.hostname,
            "blob_endpoint",
            f"expected an http:// or https:// URL, found {settings.blob_endpoint!r}",
            "unset it for Amazon S3",
        ),
        (
            endpoint.scheme == "http" and not settings.blob_allow_http,
            "blob_endpoint",
            "it is not encrypted",
            "use https://, or set MUNIMENT_BLOB_ALLOW_HTTP=true on a network you trust",
        ),
        (
            (settings.blob_access_key is None) != (settings.blob_secret_key is None),
            "blob_secret_key",
            "an access key and a secret key only work together",
            "set both MUNIMENT_BLOB_ACCESS_KEY and MUNIMENT_BLOB_SECRET_KEY, or neither",
        ),
    ]


def _limits(settings: Settings) -> list[_Check]:
    parts = settings.part_bytes * _S3_PARTS
    return [
        (
            not 5 * _MIB <= settings.part_bytes <= 5 * _GIB,
            "part_bytes",
            f"expected 5MiB to 5GiB, found {settings.part_bytes}",
            "these are S3's limits; 64MiB suits most networks",
        ),
        (
            not 0 < settings.max_file_bytes <= parts,
            "max_file_bytes",
            f"expected 1 to {parts} ({_S3_PARTS} parts of part_bytes), found {settings.max_file_bytes}",
            "raise MUNIMENT_PART_BYTES for larger files",
        ),
        (
            settings.upload_quota_bytes < settings.max_file_bytes,
            "upload_quota_bytes",
            (
                f"expected at least max_file_bytes ({settings.max_file_bytes}), found "
                f"{settings.upload_quota_bytes}"
            ),
            "a principal must be able to send one file of the largest size",
        ),
        (
            settings.scrub_period < dt.timedelta(minutes=1),
            "scrub_period",
            f"expected at least 1m, found {settings.scrub_period.total_seconds():.0f}s",
            "7d reads every byte once a week; a large store on a slow line may need 30d",
        ),
        (
            settings.upload_ttl < dt.timedelta(minutes=1),
            "upload_ttl",
            f"expected at least 1m, found {settings.upload_ttl.total_seconds():.0f}s",
            "a large upload on a slow line takes hours: 24h is the default",
        ),
        (
            not 64 << 10 <= settings.max_body_bytes <= _GIB,
            "max_body_bytes",
            f"expected 64KiB to 1GiB, found {settings.max_body_bytes}",
            "16MiB holds a manifest of about 100 000 files",
        ),
        (
            not 64 << 10 <= settings.max_evidence_bytes <= _GIB,
            "max_evidence_bytes",
            f"expected 64KiB to 1GiB, found {settings.max_evidence_bytes}",
            "64MiB holds an SBOM of about 100 000 components",
        ),
    ]


def _work(settings: Settings) -> list[_Check]:
    elsewhere = urlsplit(settings.mlflow_url or "https://x")
    buckets = [urlsplit(each) for each in settings.fetch_buckets]
    wrong = [each.geturl() for each in buckets if each.scheme != "s3" or not each.netloc]
    return [
        (
            elsewhere.scheme not in ("http", "https") or not elsewhere.hostname,
            "mlflow_url",
            f"expected an http:// or https:// URL, found {settings.mlflow_url!r}",
            "use the address that clients give to set_tracking_uri",
        ),
        (
            bool(elsewhere.username or elsewhere.password),
            "mlflow_url",
            "it has a user name or password in it",
            "use MUNIMENT_MLFLOW_TOKEN, or MUNIMENT_MLFLOW_USER and MUNIMENT_MLFLOW_PASSWORD",
        ),
        (
            (settings.mlflow_user is None) != (settings.mlflow_password is None),
            "mlflow_password",
            "a user name and a password only work together",
            "set both MUNIMENT_MLFLOW_USER and MUNIMENT_MLFLOW_PASSWORD, or neither",
        ),
        (
            bool(wrong),
            "fetch_buckets",
            f"expected s3://BUCKET or s3://BUCKET/PREFIX, found {', '.join(wrong)}",
            "separate several by commas",
        ),
        (
            (settings.fetch_access_key is None) != (settings.fetch_secret_key is None),
            "fetch_secret_key",
            "an access key and a secret key only work together",
            "set both MUNIMENT_FETCH_ACCESS_KEY and MUNIMENT_FETCH_SECRET_KEY, or neither",
        ),
        (
            settings.scan_memory_bytes < 128 * _MIB,
            "scan_memory_bytes",
            f"expected at least 128 MiB, found {settings.scan_memory_bytes} bytes",
            "1GiB suits most models",
        ),
        (
            settings.scan_time < dt.timedelta(seconds=1),
            "scan_time",
            f"expected at least one second, found {settings.scan_time}",
            "2m suits most models",
        ),
        (
            not 2 <= settings.jobs_at_once <= 1000,  # noqa: PLR2004 -- a sane bound
            "jobs_at_once",
            f"expected 2 to 1000, found {settings.jobs_at_once}",
            "10 suits most machines; MUNIMENT_JOBS=false runs none",
        ),
    ]


def _read(
    fields: tuple[dataclasses.Field[Any], ...], environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    values: dict[str, Any] = {}
    problems: list[dict[str, str]] = []
    for one in fields:
        name = _PREFIX + one.name.upper()
        if name not in environ:
            continue
        try:
            values[one.name] = one.metadata["read"](environ[name])
        except ValueError as error:
            problems.append({"field": name, "message": str(error), "fix": "correct or unset it"})
    return values, problems


def _misspelt(environ: Mapping[str, str], settings: type[Settings]) -> list[dict[str, str]]:
    known = {_PREFIX + one.name.upper() for one in dataclasses.fields(settings)}
    problems = []
    for name in sorted(set(environ) - known - settings.OTHERS):
        near = difflib.get_close_matches(name, known, 1, 0.85) if name.startswith(_PREFIX) else []
        if near:
            fix = f"did you mean {near[0]}?"
            problems.append({"field": name, "message": "there is no such setting", "fix": fix})
    return problems


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    """Choose `$XDG_DATA_HOME/muniment`, else `~/.local/share/muniment`."""
    home = environ.get("XDG_DATA_HOME") or f"{environ.get('HOME', '~')}/.local/share"
    return Path(home, "muniment").expanduser()


def _summary(problems: list[dict[str, str]]) -> str:
    """Name what is wrong; how, and what to do, is in the problems, which are shown below it."""
    return f"the settings cannot be used: {', '.join(one['field'] for one in problems)}"
