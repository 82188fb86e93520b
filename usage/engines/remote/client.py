"""One speech server over HTTP: `POST audio/speech`, `GET audio/voices`, `GET models`. Copies of
voices are made with it in `clones`.

The server is reached directly, never through a proxy of the environment.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from . import sound
from .configuration import SpeechServer
from .failures import Broken, Misconfigured, Refused, ServerFailed, TimedOut, Unreachable, failure

CONNECT_SECONDS = 3
LOOK_SECONDS = 3  # for the short answers: models, voices
LIST_BYTES_MAX = 1 << 20
SECONDS_MAX, CHARACTER_SECONDS_MAX = 5.0, 0.5  # of audio
ERROR_BYTES_MAX = 64 << 10
# Servers close a connection that idles, commonly after 5 seconds. Reusing it just then would fail.
IDLE_SECONDS = 4


@dataclass(frozen=True, slots=True)
class Request:
    """A piece to be spoken.

    `key` is the same for a second try: a server that knows Idempotency-Key, as another Vocalis
    does, charges once.
    """

    text: str
    voice: str
    speed: float
    seconds: float  # for the whole answer
    key: str
    is_copy: bool = False  # of somebody's voice, which the contract names by an object

    @property
    def bytes_max(self) -> int:
        """Of the answer: far more than the slowest voice takes."""
        seconds = (SECONDS_MAX + CHARACTER_SECONDS_MAX * len(self.text)) / self.speed
        return round(2 * sound.SAMPLE_RATE * seconds)


class Client:
    """Thread-safe. Every method but `close` raises ServerFailed or, of a text, Refused."""

    def __init__(self, server: SpeechServer) -> None:
        self.server = server
        self._lock = threading.Lock()
        self._answering: set[socket.socket] = set()
        connections = server.at_once + 2  # the two short questions, too
        self._http = httpx.Client(
            base_url=f"{server.url}/",
            headers={"User-Agent": "Vocalis", "Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {server.key}"} if server.key else {}),
            limits=httpx.Limits(max_connections=connections, keepalive_expiry=IDLE_SECONDS),
            trust_env=False,
            # The context still trusts SSL_CERT_FILE, which trust_env=False alone would ignore.
            # Without https there is nothing to verify, and a context takes 50 ms to make.
            verify=httpx.create_ssl_context() if server.url.startswith("https") else False,
        )

    def speak(self, request: Request) -> bytes:
        """The samples."""
        body: dict[str, Any] = {
            "model": self.server.model,
            "input": request.text,
            "voice": {"id": request.voice} if request.is_copy else request.voice,
            "response_format": self.server.response_format,
        } | ({"speed": request.speed} if request.speed != 1 else {})
        key = {"Idempotency-Key": request.key}
        with self.asked(
            "POST", "audio/speech", request.seconds, json=body, headers=key
        ) as response:
            if response.status_code != 200:
                raise self.failure_of(response, request.text)
            sound.check_type(response.headers.get("content-type", ""))
            _check_frame(response)
            return sound.samples(whole(response, request.bytes_max))

    def look(self) -> None:
        """Raises Unreachable if the server is still away, or says so itself. Costs nothing."""
        try:
            with self.asked("GET", "models", LOOK_SECONDS) as response:
                if response.status_code >= 500:
                    raise Unreachable(str(self.failure_of(response)))
        except (TimedOut, Broken) as error:
            raise Unreachable(str(error)) from error

    def list_voices(self) -> bytes | None:
        """The JSON of the server's voices; None if it does not list them, as OpenAI's does not."""
        with self.asked("GET", "audio/voices", LOOK_SECONDS) as response:
            if response.status_code in (404, 405):
                return None
            if response.status_code != 200:
                error = self.failure_of(response)
                raise error if isinstance(error, ServerFailed) else Broken(str(error))
            return whole(response, LIST_BYTES_MAX)

    def close(self) -> None:
        """Requests in progress fail."""
        with self._lock:
            for each in self._answering:
                _shut(each)
        self._http.close()

    def failure_of(self, response: httpx.Response, text: str = "") -> ServerFailed | Refused:
        """What an error answer means. Some quote the key or the text, which no log may have."""
        body = _start(response, ERROR_BYTES_MAX)
        for private in filter(None, (self.server.key, text)):
            body = body.replace(private.encode(), b"***")
        return failure(response.status_code, response.headers, body)

    @contextmanager
    def asked(
        self, method: str, path: str, seconds: float, **options: Any
    ) -> Iterator[httpx.Response]:
        """The response, whose body is not read yet. After `seconds` it ends with TimedOut.

        `options` are those of httpx.
        """
        deadline = time.monotonic() + seconds
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        try:
            with (
                self._http.stream(method, path, timeout=timeout, **options) as response,
                self._until(response, deadline),
            ):
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(f"there is no connection to it: {error or 'timed out'}") from error
        except (httpx.HTTPError, httpx.StreamError, RuntimeError) as error:
            if isinstance(error, httpx.TimeoutException) or time.monotonic() >= deadline:
                raise TimedOut(f"it did not answer within {seconds:.3g} seconds") from error
            raise Broken(f"its answer broke off: {error}") from error

    @contextmanager
    def _until(self, response: httpx.Response, deadline: float) -> Iterator[None]:
        """Ends the connection at the deadline.

        The time-outs of httpx are for each read: a server that sends a byte now and then never
        meets them.
        """
        connection = response.extensions["network_stream"].get_extra_info("socket")
        timer = threading.Timer(max(0, deadline - time.monotonic()), _shut, [connection])
        timer.daemon = True
        with self._lock:
            self._answering.add(connection)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._answering.discard(connection)


def _shut(connection: socket.socket) -> None:
    """Wake up whoever reads from it. Not SSLSocket.shutdown, which takes the TLS state away from
    under the reader.
    """
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _check_frame(response: httpx.Response) -> None:
    """An answer whose end is not marked may be half of one."""
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Broken(f"its answer is compressed ({encoding[:20]}), which nobody asked for")
    if not {"content-length", "transfer-encoding"} & response.headers.keys():
        raise Misconfigured("it does not say where its answer ends: no length, not chunked")


def whole(response: httpx.Response, bytes_max: int) -> bytes:
    """The body of an answer. Raises Broken if it is longer."""
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > bytes_max:
            raise Broken(f"its answer is longer than the {bytes_max:,} bytes it can have")
    return bytes(body)


def _start(response: httpx.Response, bytes_max: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) >= bytes_max:
            break
    return bytes(body[:bytes_max])
