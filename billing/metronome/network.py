"""Proxies: calls use those of the environment (HTTP_PROXY etc.), except calls to this machine."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
from metronome import DefaultHttpxClient


def is_local(url: str) -> bool:
    """Whether the host of `url` is this machine: localhost, 127.0.0.0/8 or ::1."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def http_client(base_url: str) -> httpx.Client:
    """The SDK's HTTP client, without proxies if `base_url` is on this machine.

    httpx uses a proxy for localhost unless NO_PROXY names it, and NO_PROXY cannot name 127.0.0.0/8.
    """
    if is_local(base_url):
        # The context still trusts SSL_CERT_FILE, which trust_env=False alone would ignore.
        return DefaultHttpxClient(trust_env=False, verify=httpx.create_ssl_context())
    return DefaultHttpxClient()
