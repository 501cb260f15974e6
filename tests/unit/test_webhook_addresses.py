"""Which addresses a webhook may connect to."""

import inspect
import re

import pytest

from core.webhooks import addresses
from core.webhooks.addresses import reachable

PUBLIC = [
    "93.184.216.34",
    "8.8.8.8",
    "192.0.1.0",
    "168.63.129.17",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:2800:220:1:248:1893:25c8:1946",
    "2001:200::1",
    "3fff:1000::1",
]
NEAR = ["127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fd12::1"]
NEVER = [
    "169.254.169.254",
    "0.0.0.0",  # noqa: S104 -- an address to refuse
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:10.0.0.1",
    "::ffff:7f00:1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "2001:2::1",
    "2001:db8::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "100::1",
    "5f00::1",
    "::7f00:1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reachable(address: str):
    assert reachable(address, local=False)


@pytest.mark.parametrize("address", NEAR)
def test_an_address_near_us_is_reachable_only_where_it_was_listed(address: str):
    assert not reachable(address, local=False)
    assert reachable(address, local=True)


@pytest.mark.parametrize("address", NEVER)
def test_an_address_that_hides_or_serves_the_cloud_is_never_reachable(address: str):
    assert not reachable(address, local=False)
    assert not reachable(address, local=True)


def test_no_opinion_of_pythons_own_is_asked_for_since_it_differs_between_its_versions():
    assert (
        re.findall(r"\.(is_\w+|ipv4_mapped|sixtofour|teredo)", inspect.getsource(addresses)) == []
    )
