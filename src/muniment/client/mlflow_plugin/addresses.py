"""Addresses of a registry and of versions in it, as MLflow's client writes them.

    muniment://HOST[:PORT][/PREFIX]            a registry, over TLS
    muniment+http://HOST[:PORT][/PREFIX]       the same without TLS
    muniment://HOST[/PREFIX]/NAME@AT[/PATH]    a version (AT: number, SemVer or alias), a file of it

A name is percent-encoded. Nothing but an address: no user, password, query or fragment.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from muniment.core.errors import BadReference

SCHEMES = {"muniment": "https", "muniment+http": "http"}


class VersionAddress(NamedTuple):
    """Where something of a version is: the registry's URL, `NAME@AT`, and a path, empty for all."""

    url: str
    ref: str
    path: str


def registry_url(address: str) -> str:
    """Return the http(s) URL of a registry's address, without a slash at the end.

    Raises:
        BadReference: it is no such address.
    """
    scheme, host, path, query, fragment = urlsplit(address)
    if scheme not in SCHEMES or not host or "@" in host or query or fragment:
        shown = urlunsplit((scheme, host.rpartition("@")[2], path, "", ""))
        raise BadReference(
            "expected muniment://HOST[:PORT] (muniment+http:// without TLS) and nothing else, found"
            f" `{shown}`; a token goes into `muniment login` or MUNIMENT_TOKEN"
        )
    return f"{SCHEMES[scheme]}://{host}{path.rstrip('/')}"


def version_address(registry: str, name: str, number: str) -> str:
    """Return the address of a version in the registry of that address."""
    return f"{registry.rstrip('/')}/{quote(name, safe='')}@{number}"


def parse_version_address(address: str, below: str = "") -> VersionAddress:
    """Read the address of a version; `below` is a path from there on.

    The reference may as well be the first part of `below`: MLflow takes an address apart at its
    last slash.

    Raises:
        BadReference: it is no such address.
    """
    whole = f"{address.rstrip('/')}/{below}".rstrip("/")
    registry, parts = _split(whole)
    at = next((index for index, part in enumerate(parts) if "@" in part), None)
    if at is None or not {"", ".", ".."}.isdisjoint(parts):
        raise BadReference(f"expected muniment://HOST/NAME@VERSION, found `{whole[:300]}`")
    url = registry_url("/".join([registry, *parts[:at]]))
    return VersionAddress(url, unquote(parts[at]), "/".join(parts[at + 1 :]))


def _split(address: str) -> tuple[str, list[str]]:
    scheme, separator, rest = address.partition("://")
    host, *parts = rest.split("/")
    return f"{scheme}{separator}{host}", parts


def without_secrets(uri: str) -> str:
    """Return a URI without user, password and query, as it may be recorded for others to read."""
    scheme, host, path, _, _ = urlsplit(uri)
    return uri if not host else urlunsplit((scheme, host.rpartition("@")[2], path, "", ""))
