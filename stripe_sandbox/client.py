"""The official client's way to a sandbox in the same process, without a port."""

import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import stripe
from requests.structures import CaseInsensitiveDict

from metronome_sandbox.kit.http import LOST, Application, in_process, is_lost

TIMEOUT_SECONDS = 80.0  # the client's own default


class InProcess(stripe.HTTPClient):
    """Give it to `stripe.StripeClient(…, http_client=…)`.

    A call that a fault swallows raises `stripe.APIConnectionError`, as it would over a network."""

    name = "sandbox"

    def __init__(self, sandbox: Application, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        super().__init__()
        self._app = in_process(sandbox)
        self._timeout_seconds = timeout_seconds

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        environ = _environ(method, url, headers or {}, post_data)
        answer: dict[str, Any] = {}

        def start_response(status: str, sent: list[tuple[str, str]], *_: Any) -> None:
            answer["status"] = int(status.split()[0])
            answer["headers"] = CaseInsensitiveDict(sent)

        content = b"".join(self._app(environ, start_response)).decode()
        if is_lost(answer["headers"].get(LOST, ""), self._timeout_seconds):
            raise _no_answer()
        return content, answer["status"], answer["headers"]

    def close(self) -> None:
        """There is nothing to close."""


def _no_answer() -> Exception:
    error: Any = stripe.APIConnectionError
    silence: Exception = error("The sandbox was told to give no answer", should_retry=True)
    return silence


def _environ(method: str, url: str, headers: Mapping[str, str], post_data: Any) -> dict[str, Any]:
    parts = urlsplit(url)
    body = post_data.encode() if isinstance(post_data, str) else post_data or b""
    environ = {
        "REQUEST_METHOD": method.upper(),
        "PATH_INFO": unquote(parts.path),
        "QUERY_STRING": parts.query,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": parts.netloc,
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(body),
    }
    for name, value in headers.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = str(value)
    return environ
