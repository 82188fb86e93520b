"""One delivery over HTTP: to the address that was checked, within fifteen seconds in all.

No redirect is followed, and of the answer only its beginning is read. A proxy of the environment is
used as by the other calls outside: not for this machine. It is asked for the checked address, never
for the name.
"""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from .addresses import AddressRefused, NameUnknown, resolved

TOTAL_SECONDS = 15.0
CONNECT_SECONDS = 5.0  # of one address; a name may have several
RESOLVE_SECONDS = 5.0
ANSWER_BYTES_MAX = 4_096
PROXY_ANSWER_BYTES_MAX = 8_192


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt: a status with the beginning of the answer, or a failure."""

    status: int | None = None
    body: bytes = b""
    retry_after: str = ""
    failure: str = ""  # in words for the customer
    seconds: float = 0.0


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, seconds: float = TOTAL_SECONDS
) -> Answer:
    """Send it. Raises nothing that an address, a network or a receiver can cause."""
    began_at = time.monotonic()
    line = _Line(began_at + seconds)
    try:
        with line:
            answer = _ask(url, body, headers, line)
    except (AddressRefused, NameUnknown) as error:
        answer = Answer(failure=str(error))
    except (httpcore.ConnectError, httpcore.ConnectTimeout, ssl.SSLError) as error:
        answer = Answer(failure=line.failure(f"There is no connection to it: {_words(error)}"))
    except (
        httpcore.NetworkError,
        httpcore.TimeoutException,
        httpcore.ProtocolError,
        OSError,
    ) as error:
        answer = Answer(failure=line.failure(f"Its answer broke off: {_words(error)}"))
    took = time.monotonic() - began_at
    return Answer(answer.status, answer.body, answer.retry_after, answer.failure, took)


def _ask(url: str, body: bytes, headers: Mapping[str, str], line: _Line) -> Answer:
    parts = urlsplit(url)
    sent = {"Host": parts.netloc, "Connection": "close", "Accept-Encoding": "identity", **headers}
    waits = {name: line.left() for name in ("connect", "read", "write", "pool")}
    with (
        httpcore.ConnectionPool(
            ssl_context=tls() if parts.scheme == "https" else None, network_backend=line
        ) as pool,
        pool.stream(
            "POST", url, headers=list(sent.items()), content=body, extensions={"timeout": waits}
        ) as response,
    ):
        answered = {name.lower(): value for name, value in response.headers}
        retry_after = answered.get(b"retry-after", b"").decode("latin-1")[:100]
        return Answer(response.status, _beginning(response, line), retry_after)


def _beginning(response: httpcore.Response, line: _Line) -> bytes:
    """The status is what counts: an answer that breaks off, or never ends, is an answer."""
    found = b""
    with suppress(httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        for chunk in response.iter_stream():
            found += chunk
            if len(found) >= ANSWER_BYTES_MAX or not line.left():
                break
    return found[:ANSWER_BYTES_MAX]


@cache
def tls() -> ssl.SSLContext:
    """As of the other calls outside: SSL_CERT_FILE is trusted. To make it takes 50 ms."""
    return httpx.create_ssl_context()


class _Line(httpcore.NetworkBackend):
    """Connects to checked addresses only, and cuts the connection off at the deadline.

    The time-outs of reads do not do that: a server that sends a byte now and then meets none.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._plain = httpcore.SyncBackend()
        self._held: socket.socket | None = None
        self._timer: threading.Timer | None = None

    def left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def failure(self, words: str) -> str:
        return words[:200] if self.left() else "It did not answer in time."

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        found = resolved(host, port, seconds=min(RESOLVE_SECONDS, self.left()))
        proxy = _proxy_for(host, port)
        for address in found[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return self._connect(address, port, proxy)
        return self._connect(found[-1], port, proxy)

    def _connect(
        self, address: str, port: int, proxy: SplitResult | None
    ) -> httpcore.NetworkStream:
        wait = min(CONNECT_SECONDS, self.left())
        if proxy is None:
            stream = self._plain.connect_tcp(address, port, timeout=wait)
            self._hold(stream)
            return stream
        stream = self._plain.connect_tcp(
            proxy.hostname or "", proxy.port or (443 if proxy.scheme == "https" else 80), wait
        )
        try:
            self._hold(stream)
            if proxy.scheme == "https":
                stream = stream.start_tls(tls(), proxy.hostname, timeout=self.left())
            _ask_proxy(stream, proxy, address, port, self.left())
        except BaseException:
            stream.close()
            raise
        return stream

    def _hold(self, stream: httpcore.NetworkStream) -> None:
        """Arm the deadline. On a copy of the socket, because TLS takes the first one away."""
        self._release()
        self._held = stream.get_extra_info("socket").dup()
        self._timer = threading.Timer(self.left(), _shut, [self._held])
        self._timer.daemon = True
        self._timer.start()

    def _release(self) -> None:
        if self._timer and self._held:
            self._timer.cancel()
            self._held.close()
            self._timer = self._held = None

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *error: object) -> None:
        self._release()


def _shut(connection: socket.socket) -> None:
    """Wake up whoever reads from it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


# --- Proxies --------------------------------------------------------------------------------------


def _proxy_for(host: str, port: int) -> SplitResult | None:
    """The proxy of the environment for https, unless it is not for this host, or this machine."""
    proxies = getproxies()
    url = proxies.get("https") or proxies.get("all")
    if not url or _is_this_machine(host) or proxy_bypass(f"{host}:{port}"):
        return None
    return urlsplit(url if "://" in url else f"http://{url}")


def _is_this_machine(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _ask_proxy(
    stream: httpcore.NetworkStream, proxy: SplitResult, address: str, port: int, wait: float
) -> None:
    """Have it connect to the address. Raises ConnectError if it does not."""
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    login = ""
    if proxy.username is not None:
        user, password = unquote(proxy.username), unquote(proxy.password or "")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        login = f"Proxy-Authorization: Basic {token}\r\n"
    asked = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{login}\r\n"
    stream.write(asked.encode(), timeout=wait)
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < PROXY_ANSWER_BYTES_MAX:
        chunk = stream.read(1_024, timeout=wait)
        if not chunk:
            break
        answer += chunk
    status = answer.split(b"\r\n", 1)[0].decode("latin-1")
    if status.split(" ")[1:2] != ["200"]:
        raise httpcore.ConnectError(f"the proxy answers: {status[:80]}")
