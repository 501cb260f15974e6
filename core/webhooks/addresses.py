"""Which addresses a webhook may connect to, by lists of our own.

Python's `is_global` and `is_private` follow IANA's registries as they were at the interpreter's release,
and look through `::ffff:` in some versions only; here every version decides the same. The ranges are
those of IANA's special-purpose registries (RFC 6890), and what clouds keep to themselves.
"""

import ipaddress
from ipaddress import ip_network

NEVER = [
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata
        "169.254.0.0/16",  # link-local: most clouds' metadata
        "168.63.129.16/32",  # looks public, is Azure's own
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # documentation
        "192.88.99.0/24",  # relays from IPv6
        "198.18.0.0/15",  # benchmarks
        "224.0.0.0/4", "240.0.0.0/4",  # multicast, reserved, broadcast
        "fd00:ec2::/32", "fd20:ce::/32",  # metadata of AWS and Google
        "2001::/23",  # protocol assignments, Teredo
        "2001:db8::/32", "3fff::/20",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
    )
]  # fmt: skip
NEAR = [
    ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
]  # fmt: skip
GLOBAL_UNICAST = ip_network("2000::/3")  # of IPv6; `::ffff:` and NAT64 lie outside of it


def reachable(address: str, *, local: bool) -> bool:
    """Tell whether a connection may go to this resolved address; a `local` target may be near us."""
    ip = ipaddress.ip_address(address)
    if any(ip in network for network in NEVER):
        return False
    if any(ip in network for network in NEAR):
        return local
    return ip.version == 4 or ip in GLOBAL_UNICAST  # noqa: PLR2004 -- IPv4
