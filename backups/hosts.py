"""The hosts that may be contacted: databases live in private networks, so most may.

Refused always are addresses that answer with this machine's own credentials (metadata services),
that exist on one link only, that mean "any", and the dashboard itself. A name is resolved once, and
the caller connects to the address that was checked: a second look-up could differ.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings

from covetbackup.core.errors import BadSetting, CovetError, DatabaseUnavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]

_DENIED_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})
_DENIED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata services of most clouds
        "100.100.100.200/32",  # Alibaba's
        "192.0.0.192/32",  # Oracle's
        "168.63.129.16/32",  # Azure's
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fd00:ec2::254/128",  # Amazon's
        "fd20:ce::254/128",  # Google's
        "ff00::/8",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NUMBERLIKE = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+)){0,3}\.?")


def resolved(host: str, port: int) -> list[str]:
    """Return all addresses of `host`. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def checked_address(
    host: str,
    port: int,
    *,
    unknown: type[CovetError] = DatabaseUnavailable,
    resolve: Resolve = resolved,
) -> str:
    """Return the address of `host` to connect to.

    Raises `BadSetting` if any address of it is refused, with the same text whatever the reason, and
    `unknown` if it has none.
    """
    if host.rstrip(".").lower() in _DENIED_NAMES or _is_odd_number(host):
        raise _refused()
    try:
        addresses = [ipaddress.ip_address(found.partition("%")[0]) for found in resolve(host, port)]
    except (OSError, UnicodeError) as error:
        raise unknown(f"host {host[:253]!r} cannot be resolved", "is the name right?") from error
    if not addresses or any(_is_denied(address, port) for address in addresses):
        raise _refused()
    return str(addresses[0])


def check_endpoint(url: str, bucket: str, *, error: type[CovetError]) -> None:
    """Check the host of an S3 endpoint, and the one that has the bucket's name before it.

    Raises as `checked_address`. Here the driver resolves the name again when it connects.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    checked_address(host, port, unknown=error)
    if not _is_literal(host):
        try:
            checked_address(f"{bucket}.{host}", port, unknown=_NoSuchName)
        except _NoSuchName:
            return  # only stores addressed by host name have one


class _NoSuchName(CovetError):
    pass


def _refused() -> BadSetting:
    return BadSetting(
        "this host is not allowed",
        "link-local and metadata addresses, odd spellings of numbers and the dashboard's own "
        "address are never contacted",
    )


def _is_odd_number(host: str) -> bool:
    """Whether resolvers would read a number in `host` that is not the usual spelling."""
    return bool(_NUMBERLIKE.fullmatch(host)) and not _is_literal(host)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_denied(address: Address, port: int) -> bool:
    plain = _without_wrapping(address)
    if any(plain.version == network.version and plain in network for network in _DENIED):
        return True
    return plain.is_loopback and port == _own_port()


def _without_wrapping(address: Address) -> Address:
    """The IPv4 address inside mapped, 6to4 and NAT64 addresses."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _own_port() -> int:
    parts = urlsplit(settings.SITE_URL)
    return parts.port or (443 if parts.scheme == "https" else 80)
