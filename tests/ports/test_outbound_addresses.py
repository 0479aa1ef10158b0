"""Which addresses are never called, in every way of writing them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.server.ports.addresses import why_refused

PRIVATE_V4 = [
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.100.100.200", "127.0.0.1",
    "127.255.255.255", "168.63.129.16", "169.254.169.254", "169.254.0.1", "172.16.0.0", "172.31.255.255",
    "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
PUBLIC_V4 = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
]  # fmt: skip
PRIVATE_V6 = [
    "::", "::1", "::7f00:1", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254",
    "ff02::1", "2001::1", "2001:db8::1", "2001:20::1", "3fff::1", "100::1", "64:ff9b:1::1", "5f00::1", "4000::1",
    "::ffff:0:10.0.0.1", "2620:4f:8000::1", "2a00:1450::200:5efe:a00:1", "2a00:1450::5efe:808:808",
]  # fmt: skip
PUBLIC_V6 = ["2606:4700::1111", "2a00:1450:4001::64", "2001:4860:4860::8888", "2400:cb00::1"]


def embedded(v4: str) -> list[str]:
    """Every IPv6 address that stands for `v4`."""
    number = int(ipaddress.IPv4Address(v4))
    return [
        f"::ffff:{v4}",
        str(ipaddress.IPv6Address((0xFFFF << 32) | number)),
        str(ipaddress.IPv6Address((0x64FF9B << 96) | number)),
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1)),
    ]


@pytest.mark.parametrize("address", PRIVATE_V4)
def test_special_ipv4_is_refused_however_it_is_wrapped(address: str) -> None:
    assert why_refused(address)
    assert all(why_refused(wrapped) for wrapped in embedded(address)), embedded(address)


@pytest.mark.parametrize("address", PUBLIC_V4)
def test_public_ipv4_is_not_refused(address: str) -> None:
    assert why_refused(address) is None
    assert [why_refused(wrapped) for wrapped in embedded(address)] == [None] * 4


@pytest.mark.parametrize("address", PRIVATE_V6)
def test_special_ipv6_is_refused(address: str) -> None:
    assert why_refused(address)


@pytest.mark.parametrize("address", PUBLIC_V6)
def test_public_ipv6_is_not_refused(address: str) -> None:
    assert why_refused(address) is None


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f000001", "2130706433", "127.0.0.1:80", "[::1]"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    assert why_refused(text) == "not an address"


@given(st.ip_addresses(v=4))
def test_no_more_is_public_than_python_says_and_wrapping_changes_nothing(
    address: ipaddress.IPv4Address,
) -> None:
    why = why_refused(str(address))
    if not address.is_global or address.is_multicast:
        assert why
    assert {why_refused(wrapped) for wrapped in embedded(str(address))} == {why}


@given(st.ip_addresses(v=6))
def test_no_more_ipv6_is_public_than_python_says(address: ipaddress.IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        stands_for = address.sixtofour  # judged by what is inside
        assert why_refused(str(address)) or stands_for


@given(st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
def test_only_global_unicast_and_wrapped_public_ipv4_is_public(
    address: ipaddress.IPv6Address,
) -> None:
    if why_refused(str(address)) is None:
        wrapped = address.ipv4_mapped or address in ipaddress.IPv6Network("64:ff9b::/96")
        assert wrapped or address in ipaddress.IPv6Network("2000::/3")
