"""Which way calls go: through the proxy of HTTP_PROXY and its kin, but never to this machine."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
from metronome import DefaultHttpxClient


def is_local(url: str) -> bool:
    """Whether `url` is on this machine: localhost, 127.0.0.0/8 or ::1."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def http_client(base_url: str) -> httpx.Client:
    """The SDK's own client, except that the environment's proxies know nothing of this machine.

    Left to itself, httpx asks a proxy for localhost unless NO_PROXY names it, and 127.0.0.0/8 cannot be named there.
    """
    if is_local(base_url):
        return DefaultHttpxClient(
            trust_env=False, verify=httpx.create_ssl_context()
        )  # which trusts SSL_CERT_FILE still
    return DefaultHttpxClient()
