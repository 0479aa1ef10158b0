"""Which addresses the server may call on somebody's behalf: those of the public Internet only.

An IPv6 address that stands for an IPv4 one (mapped, NAT64, 6to4) is judged as that one. What is not
known to be public is refused, so a range assigned tomorrow is refused until it is added here.

Source: IANA special-purpose address registries (RFC 6890, as of 2026); RFC 6052, RFC 3056.
"""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_V4: Final = tuple(
    (ipaddress.IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers; some clouds' metadata"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata"),
        ("169.254.0.0/16", "link-local; clouds' metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "assigned to protocols; a cloud's metadata"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved or broadcast"),
    )
)
_V6_PUBLIC: Final = ipaddress.IPv6Network("2000::/3")
_V6: Final = tuple(
    (ipaddress.IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "assigned to protocols (Teredo, ORCHID, benchmarks)"),
        ("2001:db8::/32", "for documentation"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "for documentation"),
    )
)
_V6_KINDS: Final = tuple(
    (ipaddress.IPv6Network(network), why)
    for network, why in (
        ("::1/128", "loopback"),
        ("::/128", "unspecified"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    )
)
#: Where an IPv4 address is inside an IPv6 one: the network, and how many bits lie below it.
_EMBEDDING: Final = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)
_ISATAP: Final = 0x00005EFE
_V4_BITS: Final = 0xFFFFFFFF


def why_refused(text: str) -> str | None:
    """Say why an address may not be called, or None if it is public. A zone (`%eth0`) is never."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "not an address"
    if isinstance(address, ipaddress.IPv4Address):
        return next((why for network, why in _V4 if address in network), None)
    return _why_v6(address)


def _why_v6(address: ipaddress.IPv6Address) -> str | None:
    if address.scope_id is not None:
        return "link-local"
    for network, below in _EMBEDDING:
        if address in network:
            return why_refused(str(ipaddress.IPv4Address((int(address) >> below) & _V4_BITS)))
    for network, why in (*_V6_KINDS, *_V6):
        if address in network:
            return why
    if address not in _V6_PUBLIC:
        return "not of the public Internet"
    if (int(address) >> 32) & 0xFCFFFFFF == _ISATAP:
        return "a tunnel (ISATAP)"
    return None
