"""What is wrong with settings themselves, and with each other."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from muniment.server.setting_fields import SettingFields

_MIB = 1 << 20
_GIB = 1 << 30
_S3_PARTS = 10_000
_HOSTNAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


_Check = tuple[bool, str, str, str]


def wrong(settings: SettingFields) -> Iterator[tuple[str, str, str]]:
    """Yield the field, what is wrong with it, and what to do."""
    for part in (_network, _storage, _limits, _work, _policy):
        for is_wrong, name, message, fix in part(settings):
            if is_wrong:
                yield name, message, fix


def _network(settings: SettingFields) -> list[_Check]:
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


def _storage(settings: SettingFields) -> list[_Check]:
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


def _limits(settings: SettingFields) -> list[_Check]:
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


def _work(settings: SettingFields) -> list[_Check]:
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


def _policy(settings: SettingFields) -> list[_Check]:
    agent = urlsplit(settings.opa_url or "https://x")
    return [
        (
            agent.scheme not in ("http", "https") or not agent.hostname,
            "opa_url",
            f"expected an http:// or https:// URL, found {settings.opa_url!r}",
            "use the address of the agent, such as http://localhost:8181, or unset it",
        ),
        (
            bool(agent.username or agent.password),
            "opa_url",
            "it has a user name or password in it",
            "use MUNIMENT_OPA_TOKEN",
        ),
    ]
