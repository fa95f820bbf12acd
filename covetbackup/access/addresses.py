"""The address that a request came from, as far as it can be trusted, and safe redirects."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme


def client_address(request: HttpRequest) -> str:
    """Return the nearest address that is not one of `settings.TRUSTED_PROXIES`, "" if none.

    Only what a trusted proxy wrote counts: the last entry of `X-Forwarded-For` that is not itself a
    trusted proxy. Anything further left was written by the client.
    """
    address = request.META.get("REMOTE_ADDR", "")
    for hop in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if not hop.strip() or not _is_trusted(address):
            break
        address = hop.strip()
    return _canonical(address)


def network_of(address: str) -> str:
    """Return the network that one visitor can choose addresses from.

    That is an IPv4 address, or an IPv6 /64.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)


def safe_next(request: HttpRequest, default: str) -> str:
    """Return the `next` parameter if it leads to this site, else the page called `default`."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    hosts = {request.get_host()}
    if url_has_allowed_host_and_scheme(wanted, hosts, require_https=request.is_secure()):
        return wanted
    return resolve_url(default)


def _is_trusted(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in ip_network(proxy, strict=False) for proxy in settings.TRUSTED_PROXIES)


def _canonical(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)
