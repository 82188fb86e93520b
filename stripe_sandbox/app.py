"""The sandbox as a WSGI application: routing, keys, idempotency, faults, errors."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import stripe

from metronome_sandbox.kit.clock import Clock
from metronome_sandbox.kit.delivery import Postman, Sender, show
from metronome_sandbox.kit.faults import API_KINDS, Fault, Faults
from metronome_sandbox.kit.http import (
    Answer,
    StartResponse,
    fits,
    lose,
    read_body,
    respond,
)
from metronome_sandbox.kit.transport import Transport
from stripe_sandbox import delivery, expand, moments, pages, replies
from stripe_sandbox.answers import error_answer, fault_answer, json_answer, mark
from stripe_sandbox.checks import check, not_honoured
from stripe_sandbox.client import TIMEOUT_SECONDS, InProcess
from stripe_sandbox.control import CONTROLS
from stripe_sandbox.forms import decode
from stripe_sandbox.keys import Key, Keyring, check_right
from stripe_sandbox.routes import ROUTES
from stripe_sandbox.routing import Route
from stripe_sandbox.wire import API, API_VERSION, ApiError, Request
from stripe_sandbox.world import Seen, Settings, World

logger = logging.getLogger(__name__)

DEFAULT_KEY = "sk_test_sandbox"


class Sandbox:
    """See the README. Every part is usable from several threads."""

    def __init__(
        self,
        *,
        api_keys: Mapping[str, dict[str, str] | None] | None = None,
        now: datetime | None = None,
        webhooks: Iterable[tuple[str, str]] = (),
        sender: Sender | None = None,
        origin: str = "",
        state_path: str | Path | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`origin` is the address of its pages, for customers' browsers; by default that of the
        request that made them. `clock` is one to share with another sandbox, instead of `now`."""
        self.keys = Keyring()
        for secret, rights in (api_keys or {DEFAULT_KEY: None}).items():
            self.keys.add(secret, rights)
        self.clock = clock or Clock(now)
        self.faults = Faults()
        self.world = World(settings=Settings(), clock=self.clock, seed=seed, state_path=state_path)
        self.world.webhooks = list(webhooks)
        self.world.origin = origin.rstrip("/")
        self.lock = threading.RLock()
        self._running = replies.Running()
        self._postman = Postman(
            self.world,
            self.faults,
            self.lock,
            signer=delivery.headers,
            retries=delivery.RETRIES,
            sender=sender,
        )
        self._exact = {(one.method, one.path): one for one in ROUTES if "{" not in one.path}
        self._patterns = [
            (one.method, one.path.split("/"), one) for one in ROUTES if "{" in one.path
        ]

    # Time and webhooks

    def catch_up(self) -> None:
        """Do everything due by the clock, save deliveries. Call under the lock."""
        moments.run(self.world, self.clock.now())
        self.world.store.flush()

    def tick(self) -> None:
        """Do everything due by the clock: what follows charges, expiries, deliveries."""
        with self.lock:
            self.catch_up()
        self._postman.deliver()

    @property
    def deliveries(self) -> list[dict[str, Any]]:
        with self.lock:
            return [show(row) for row in self.world.store.deliveries]

    def reset(self) -> None:
        """Forget everything but the settings, the keys, the destinations and the clock."""
        with self.lock:
            self.faults.clear()
            self.world.reset()
            self.world.store.flush()

    def close(self) -> None:
        with self.lock:
            self.world.store.close()

    # WSGI

    @property
    def wsgi(self) -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
        return self.__call__

    def http_client(self, timeout_seconds: float = TIMEOUT_SECONDS) -> stripe.HTTPClient:
        """For `stripe.StripeClient(…, http_client=…)` in this process."""
        return InProcess(self, timeout_seconds)

    def transport(self) -> Transport:
        """For a client of httpx in this process, such as a browser of the pages."""
        return Transport(self)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if not path.startswith(("/v1/", "/v2/", "/_sandbox/")):
            return respond(pages.answer(self, environ), start_response)
        answer, fault = self._answer(environ, path)
        if fault is not None:
            virtual = self.clock.virtual
            return lose(answer, fault, environ, start_response, is_virtual=virtual)
        return respond(answer, start_response)

    def _answer(self, environ: dict[str, Any], path: str) -> tuple[Answer, Fault | None]:
        """The answer, and the fault that keeps the client from seeing it as it is."""
        request = self._request(environ, path)
        fault: Fault | None = None
        try:
            key = self.keys.find(environ.get("HTTP_AUTHORIZATION", ""))
            request.livemode = key.livemode
            body = read_body(environ, lambda status, text: ApiError(status, text))
            if path.startswith("/_sandbox/"):
                return self._control(request, body), None
            fault = self.faults.take(path, API_KINDS)
            with self._running.hold(request):
                answer, fault = self._faulty(request, key, environ, body, fault)
        except ApiError as error:
            answer = error_answer(error)
        self._note(request, answer, fault)
        return mark(answer, request), fault

    def _request(self, environ: dict[str, Any], path: str) -> Request:
        with self.lock:
            request_id = self.world.new_id("req", 14)
        return Request(
            environ["REQUEST_METHOD"],
            path.rstrip("/"),
            self.clock.now(),
            id=request_id,
            idempotency_key=environ.get("HTTP_IDEMPOTENCY_KEY") or None,
            origin=pages.origin(environ),
        )

    def _faulty(
        self,
        request: Request,
        key: Key,
        environ: dict[str, Any],
        body: bytes,
        fault: Fault | None,
    ) -> tuple[Answer, Fault | None]:
        """The answer of a call that may be struck: before its effect, after it, or on the way."""
        kind = fault.kind if fault else ""
        if fault is not None and kind == "timeout_before":
            return Answer(b"", "text/plain"), fault
        forced = fault_answer(fault) if fault and kind in ("status", "error_after") else None
        answer = self._handle(request, key, environ, body, forced, is_done=kind == "error_after")
        if forced is not None:
            return forced, None
        if fault is not None and kind == "delay":
            if "sandbox.in_process" in environ or self.clock.virtual:
                return answer, fault
            time.sleep(fault.seconds)  # the key stays in use meanwhile
            return answer, None
        return answer, fault

    def _handle(
        self,
        request: Request,
        key: Key,
        environ: dict[str, Any],
        body: bytes,
        forced: Answer | None,
        *,
        is_done: bool,
    ) -> Answer:
        """Do the call. A forced answer takes the place of its own: `is_done` says whether the call
        has its effect all the same. A 500 is what Stripe remembers under the key from then on."""
        with self.lock:
            self.world.request = request
            try:
                moments.run(self.world, request.now)
                if forced is not None and not is_done and forced.status != 500:
                    return forced
                answer = self._idempotent(request, key, environ, body, forced, is_done=is_done)
                moments.run(self.world, self.clock.now())
            except ApiError as error:
                answer = error_answer(error)
            finally:
                self.world.request = None
                self.world.store.flush()
            return answer

    def _idempotent(
        self,
        request: Request,
        key: Key,
        environ: dict[str, Any],
        body: bytes,
        forced: Answer | None,
        *,
        is_done: bool,
    ) -> Answer:
        is_post = request.method == "POST"
        if not is_post:
            request.idempotency_key = None
        form = decode(environ.get("QUERY_STRING", "")) | decode(body.decode("utf-8", "replace"))
        print_ = replies.fingerprint(request, form)
        first = replies.kept(self.world, request, print_)
        if first is not None:
            return first
        if forced is None or is_done:
            answer, is_kept = self._perform(request, key, environ, form)
        else:
            answer, is_kept = forced, False
        if forced is not None and forced.status == 500:
            answer, is_kept = forced, True
        if is_kept:
            replies.keep(self.world, request, print_, answer)
        return answer

    def _perform(
        self, request: Request, key: Key, environ: dict[str, Any], form: dict[str, Any]
    ) -> tuple[Answer, bool]:
        """The answer, and whether a replay gets it again."""
        try:
            route = self._find(request)
            self._check(request, route, key, environ, form)
            result = route.handler(self.world, request)
            return json_answer(expand.show(self.world, result, request)), True
        except ApiError as error:
            return error_answer(error), error.is_kept
        # The edge of the server: one broken call must not take the process down. It may have had
        # its effect, so its key remembers the 500, as at Stripe.
        except Exception:
            logger.exception("the call %s failed", request.path)
            message = "Internal error in the sandbox; see its log"
            return error_answer(ApiError(500, message, kind=API)), True

    def _find(self, request: Request) -> Route:
        route = self._exact.get((request.method, request.path))
        if route is not None:
            return route
        parts = request.path.split("/")
        for method, pattern, candidate in self._patterns:
            if method == request.method and fits(pattern, parts, request.names):
                return candidate
        raise ApiError(
            404,
            f"Unrecognized request URL ({request.method}: {request.path}). Please see "
            "https://stripe.com/docs. The sandbox emulates the calls that its README lists.",
            is_kept=False,
        )

    def _check(
        self,
        request: Request,
        route: Route,
        key: Key,
        environ: dict[str, Any],
        form: dict[str, Any],
    ) -> None:
        """Raises ApiError before anything has happened."""
        version = environ.get("HTTP_STRIPE_VERSION", API_VERSION)
        if version != API_VERSION:
            raise ApiError(
                400,
                f"Invalid Stripe API version: {version}. The sandbox emulates {API_VERSION}.",
                is_kept=False,
            )
        if "HTTP_STRIPE_ACCOUNT" in environ:
            raise ApiError(501, "The sandbox does not emulate Connect.", "not_emulated")
        check_right(key, route.right, route.level)
        self.world.calls[f"{route.method} {route.path}"] += 1
        given = check(form, route.params)
        ignored = not_honoured(given, route.honours)
        if ignored:
            raise ApiError(
                501,
                f"The sandbox does not emulate the parameter {', '.join(ignored)} of this call, "
                "and does not pretend to.",
                "not_emulated",
                kind=API,
                param=ignored[0],
                is_kept=False,
            )
        request.expand = given.pop("expand", [])
        expand.verify(route.kind, request.expand, is_list=route.is_list)
        request.given = given

    def _control(self, request: Request, body: bytes) -> Answer:
        with self.lock:
            moments.run(self.world, request.now)
            parts = request.path.split("/")
            try:
                given = json.loads(body) if body.strip() else {}
                if not isinstance(given, dict):
                    raise ValueError("The body must be a JSON object")
                for (method, pattern), handler in CONTROLS.items():
                    if method == request.method and fits(pattern.split("/"), parts, request.names):
                        request.given = given
                        return json_answer(handler(self, request))
            except ValueError as error:
                raise ApiError(400, str(error)) from None
            finally:
                self.catch_up()
        raise ApiError(404, f"There is no {request.method} {request.path}")

    def _note(self, request: Request, answer: Answer, fault: Fault | None) -> None:
        """For the page that shows what was asked."""
        detail = f"fault: {fault.kind}" if fault else ""
        if answer.status >= 400 and answer.content_type == "application/json":
            body = json.loads(answer.body)
            error = body.get("error") if isinstance(body, dict) else None
            if isinstance(error, dict):
                detail = str(error.get("decline_code") or error.get("code") or error.get("message"))
        if any(name == "Idempotent-Replayed" for name, _ in answer.headers):
            detail = f"replayed {detail}".strip()
        self.world.seen.append(
            Seen(request.now, request.id, request.method, request.path, answer.status, detail)
        )
