"""The pages for people: Checkout, the bank's confirmation, the portal, receipts, the viewer."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from metronome_sandbox.kit.http import Answer, fits, read_body
from stripe_sandbox.pages import bank, checkout, portal, receipt, viewer
from stripe_sandbox.pages.layout import Page, message
from stripe_sandbox.wire import ApiError, Request

if TYPE_CHECKING:
    from stripe_sandbox.app import Sandbox

PAGES: dict[str, Callable[[Page], Answer]] = {
    "/": viewer.answer,
    "/c/pay/{id}": checkout.answer,
    "/bank/{id}/{secret}": bank.answer,
    "/p/session/{secret}": portal.answer,
    "/receipts/{id}": receipt.answer,
}


def origin(environ: dict[str, Any]) -> str:
    scheme = environ.get("wsgi.url_scheme", "http")
    return f"{scheme}://{environ.get('HTTP_HOST', 'localhost')}"


def answer(sandbox: "Sandbox", environ: dict[str, Any]) -> Answer:
    path = environ.get("PATH_INFO", "/")
    if path == "/favicon.ico":
        return Answer(b"", "image/x-icon", 204)
    parts = (path.rstrip("/") or "/").split("/")
    for pattern, handler in PAGES.items():
        names: dict[str, str] = {}
        if fits((pattern.rstrip("/") or "/").split("/"), parts, names):
            return _answer(sandbox, environ, handler, names)
    return message("Not found", "There is no such page in this sandbox.", status=404)


def _answer(
    sandbox: "Sandbox",
    environ: dict[str, Any],
    handler: Callable[[Page], Answer],
    names: dict[str, str],
) -> Answer:
    method = environ["REQUEST_METHOD"]
    own, sent_from = origin(environ), environ.get("HTTP_ORIGIN")
    if method == "POST" and sent_from not in (None, own, sandbox.world.origin):
        return message("Refused", "This form was sent from another site.", status=403)
    try:
        body = read_body(environ, lambda status, text: ApiError(status, text))
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=100))
    except (ApiError, ValueError):
        return message("Refused", "This form could not be read.", status=400)
    with sandbox.lock:
        request = Request(method, environ.get("PATH_INFO", "/"), sandbox.clock.now(), origin=own)
        sandbox.catch_up()
        sandbox.world.request = request
        try:
            return handler(Page(sandbox, request, names, fields if method == "POST" else None))
        finally:
            sandbox.world.request = None
            sandbox.catch_up()
