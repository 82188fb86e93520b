"""Where webhooks may go: public addresses of the internet, and no others.

An address that a customer gives is one that our worker calls. Without these checks it could name a
machine of our own network, or the metadata service of a cloud. A name may lead elsewhere each time
it is asked for, so it is resolved for each delivery, and the connection goes to the very address
that was checked.
"""

from __future__ import annotations

import queue
import socket
import threading
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

URL_CHARACTERS_MAX = 500
# What the internet uses of IPv6. Everything outside is local, reserved, or leads to IPv4.
IPV6_INTERNET = ip_network("2000::/3")
# Within it, but tunnels that lead to IPv4 addresses (Teredo, 6to4), or examples.
IPV6_EXCEPT = tuple(
    IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


class AddressRefused(Exception):
    """Nothing is sent to this address. The text says why, in words for the customer."""


class NameUnknown(Exception):
    """The name leads to no address now."""


def checked_url(url: str) -> str:
    """The address in the form in which it is called. Asks nobody.

    Raises AddressRefused.
    """
    url = url.strip()
    if not url or len(url) > URL_CHARACTERS_MAX:
        raise AddressRefused(f"Write an address of 1 to {URL_CHARACTERS_MAX} characters.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if ":" in host else host.encode("idna").decode("ascii")
    except ValueError as error:  # half an IPv6 address, a port or a name that cannot be one
        raise AddressRefused(_EXAMPLE) from error
    _check_parts(parts, host)
    if port == 0 or not url.isprintable() or " " in url:
        raise AddressRefused(_EXAMPLE)
    if literal := _literal(host):
        _check_address(literal)
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port else ""
    ascii_only = parts._replace(netloc=place, fragment="")
    if not ascii_only.geturl().isascii():
        raise AddressRefused("Write the path in ASCII: letters with accents as %C3%A9.")
    return ascii_only.geturl()


def resolved(host: str, port: int, *, seconds: float) -> list[str]:
    """The IP addresses behind `host` now, all of them public, in the order of the resolver.

    Raises AddressRefused if only one of them is not, NameUnknown if there is none or nobody said so
    within `seconds`.
    """
    found = [ip_address(address) for address in _ask_resolver(host, port, seconds)]
    for address in found:
        _check_address(address)
    return list(dict.fromkeys(map(str, found)))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is an address of the internet: not local, private, reserved or for many."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in IPV6_INTERNET or any(address in net for net in IPV6_EXCEPT):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


_EXAMPLE = "Write an address like https://example.com/webhooks."


def _check_parts(parts: SplitResult, host: str) -> None:
    schemes = ("https", "http") if settings.WEBHOOKS_OUT_ALLOW_PRIVATE else ("https",)
    if parts.scheme not in schemes:
        raise AddressRefused("The address must begin with https://.")
    if not host:
        raise AddressRefused(_EXAMPLE)
    if parts.username is not None or parts.password is not None:
        raise AddressRefused(
            "Leave name and password out of the address: deliveries are signed instead."
        )


def _check_address(address: IPv4Address | IPv6Address) -> None:
    if not (settings.WEBHOOKS_OUT_ALLOW_PRIVATE or is_public(address)):
        raise AddressRefused(f"It leads to {address}, which is no public address of the internet.")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _ask_resolver(host: str, port: int, seconds: float) -> list[str]:
    """In a thread: the system's resolver has no time-out, and a name's own server may be slow."""
    answers: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(address[0]) for *_, address in found])
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="webhooks-resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise NameUnknown(f"Nobody said within {seconds:.0f} seconds where {host} is.") from None
    if isinstance(answer, Exception) or not answer:
        raise NameUnknown(f"There is no address for the name {host}.")
    return answer
