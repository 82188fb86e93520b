"""The sandbox as a WSGI application: routing, the bearer, idempotency, faults, errors."""

import hashlib
import hmac
import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from metronome_sandbox import delivery, moments, not_read, page
from metronome_sandbox.answers import error_answer, fault_answer, json_answer
from metronome_sandbox.checks import check
from metronome_sandbox.control import CONTROLS
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
from metronome_sandbox.records import DEFAULT_CREDIT_TYPE_ID, CreditType, Reply
from metronome_sandbox.routes import ROUTES, Route
from metronome_sandbox.shapes import names
from metronome_sandbox.version import VERSION
from metronome_sandbox.wire import ApiError, Request, load
from metronome_sandbox.world import Settings, World

if TYPE_CHECKING:
    from metronome_sandbox.kit.transport import Transport

logger = logging.getLogger(__name__)

IDEMPOTENCY_KEEP = timedelta(hours=24)


class Sandbox:
    """See the README. Every part is usable from several threads."""

    def __init__(
        self,
        *,
        api_key: str = "sandbox",
        credit_type_id: str = DEFAULT_CREDIT_TYPE_ID,
        unit: str = "Credits",
        page_text: str = "",
        now: datetime | None = None,
        webhooks: Iterable[tuple[str, str]] = (),
        sender: Sender | None = None,
        evaluate_every_seconds: float = 1.0,
        latency_seconds: float = 0.0,
        state_path: str | Path | None = None,
        strict: bool = False,
        seed: int | None = None,
    ) -> None:
        self.api_key = api_key
        self.clock = Clock(now)
        self.faults = Faults()
        settings = Settings(
            evaluate_every_seconds=evaluate_every_seconds,
            latency_seconds=latency_seconds,
            strict=strict,
        )
        self.world = World(
            settings=settings,
            clock=self.clock,
            unit=CreditType(id=credit_type_id, name=unit),
            seed=seed,
            state_path=state_path,
            webhooks=webhooks,
        )
        self.page_text = page_text
        self._lock = threading.RLock()
        self._postman = Postman(
            self.world,
            self.faults,
            self._lock,
            signer=delivery.headers,
            retries=delivery.RETRIES,
            sender=sender,
        )
        self._exact = {
            (route.method, route.path): route for route in ROUTES if "{" not in route.path
        }
        # Where two patterns fit a path, the one with the earlier fixed part does.
        self._patterns = sorted(
            ((route.method, route.path.split("/"), route) for route in ROUTES if "{" in route.path),
            key=lambda known: [part.startswith("{") for part in known[1]],
        )
        self._controls = [
            (method, path.split("/"), handler) for (method, path), handler in CONTROLS.items()
        ]

    # Time and webhooks

    def tick(self) -> None:
        """Do everything due by the clock:
        evaluations, starts and ends, invoices, offsets, deliveries."""
        with self._lock:
            moments.run(self.world, self.clock.now())
            self.world.store.flush()
        self._postman.deliver()

    @property
    def settings(self) -> Settings:
        """What may be changed while it runs."""
        return self.world.settings

    @property
    def webhooks(self) -> list[tuple[str, str]]:
        """Addresses and secrets of the destinations, to add to and remove from."""
        return self.world.webhooks

    @property
    def deliveries(self) -> list[dict[str, Any]]:
        with self._lock:
            return [show(row) for row in self.world.store.deliveries]

    def reset(self, now: datetime | None = None) -> None:
        """Start over where the clock began, or at a moment, at which it then stands.

        Settings and destinations are kept."""
        with self._lock:
            self.clock.reset(now)
            self.faults.clear()
            self.world.reset()
            if now is not None:
                self.world.keep_clock()
            self.world.store.flush()

    def close(self) -> None:
        with self._lock:
            self.world.store.close()

    # WSGI

    @property
    def wsgi(self) -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
        return self.__call__

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        answer, fault = self._answer(environ)
        answer.headers.append(("Metronome-Sandbox-Version", VERSION))
        if fault is not None:
            return lose(answer, fault, environ, start_response, is_virtual=self.clock.virtual)
        return respond(answer, start_response)

    def transport(self) -> "Transport":
        """For `httpx.Client` and `httpx.AsyncClient` in this process: a call a fault swallows
        raises httpx.ReadTimeout, as it would over HTTP."""
        from metronome_sandbox.kit.transport import Transport  # httpx need not be there

        return Transport(self)

    def _answer(self, environ: dict[str, Any]) -> tuple[Answer, Fault | None]:
        """The answer, and the fault that keeps the client from seeing it as it is."""
        path = environ.get("PATH_INFO", "/")
        if path in ("/", "/favicon.ico") or path.startswith("/dashboard/"):
            with self._lock:
                moments.run(self.world, self.clock.now())
                return page.answer(self.world, path, self.page_text), None
        try:
            self._authorize(environ)
            body = read_body(environ, ApiError)
        except ApiError as error:
            return error_answer(error, path), None
        fault = None if path.startswith("/_sandbox/") else self.faults.take(path, API_KINDS)
        if fault is not None and fault.kind == "status":
            return fault_answer(fault), None
        if fault is not None and fault.kind == "timeout_before":
            return Answer(b"", "text/plain"), fault
        answer = self._handle(environ, path, body)
        if fault is not None and fault.kind == "error_after":
            return fault_answer(fault), None
        return answer, fault

    def _authorize(self, environ: dict[str, Any]) -> None:
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(
            token.strip().encode(), self.api_key.encode()
        ):
            raise ApiError(401, "Unauthorized")

    def _handle(self, environ: dict[str, Any], path: str, body: bytes) -> Answer:
        with self._lock:
            now = self.clock.now()
            try:
                moments.run(self.world, now)
                answer = self._idempotent(environ, path, body, now)
                moments.run(self.world, now)
            except ApiError as error:
                answer = error_answer(error, path)
            # The edge of the server: one broken call must not take the process down.
            except Exception:
                logger.exception("the call %s failed", path)
                answer = error_answer(
                    ApiError(500, "Internal error in the sandbox; see its log"), path
                )
            self.world.store.flush()
            return answer

    def _idempotent(self, environ: dict[str, Any], path: str, body: bytes, now: datetime) -> Answer:
        """The same key and body get the first answer again, errors too; another body is refused."""
        key = environ.get("HTTP_IDEMPOTENCY_KEY")
        if not key or environ["REQUEST_METHOD"] != "POST" or path.startswith("/_sandbox/"):
            return self._route(environ, path, body, now)
        replies = self.world.store.replies
        fingerprint = hashlib.sha256(
            environ.get("QUERY_STRING", "").encode() + b"\n" + body
        ).hexdigest()
        kept = replies.get(f"{path} {key}")
        if kept is not None and now - kept.created_at < IDEMPOTENCY_KEEP:
            if kept.fingerprint != fingerprint:
                raise ApiError(
                    409, "This Idempotency-Key has already been used with other parameters."
                )
            return Answer(kept.body.encode(), "application/json", kept.status)
        try:
            answer = self._route(environ, path, body, now)
        except ApiError as error:
            answer = error_answer(error, path)
        reply = Reply(
            id=f"{path} {key}",
            fingerprint=fingerprint,
            status=answer.status,
            body=answer.body.decode(),
            created_at=now,
        )
        replies.put(reply)
        return answer

    def _route(self, environ: dict[str, Any], path: str, body: bytes, now: datetime) -> Answer:
        method = environ["REQUEST_METHOD"]
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        origin = (
            f"{environ.get('wsgi.url_scheme', 'http')}://{environ.get('HTTP_HOST', 'localhost')}"
        )
        request = Request(method, path, now, query=query, origin=origin)
        control = self._find_control(method, path, request)
        if control is not None:
            request.body = (load(body) if body.strip() else {}) or {}
            if not isinstance(request.body, dict):
                raise ApiError(400, "The body must be a JSON object")
            return json_answer(control(self, request))
        route = self._find(method, path, request)
        if route.handler is None:
            raise ApiError(
                501,
                f"The sandbox does not support {method} {route.path}: {route.instead}.",
                "NotImplemented",
            )
        self.world.calls[f"{method} {route.path}"] += 1
        request.body = self._checked(route, body, request)
        result = route.handler(self.world, request)
        return result if isinstance(result, Answer) else json_answer(result)

    def _find(self, method: str, path: str, request: Request) -> Route:
        path = path.rstrip("/")
        route = self._exact.get((method, path))
        if route is not None:
            return route
        parts = path.split("/")
        for known_method, pattern, candidate in self._patterns:
            if known_method == method and fits(pattern, parts, request.params):
                return candidate
        known = {route.method for route in ROUTES if fits(route.path.split("/"), parts, {})}
        if known:
            allowed = ", ".join(sorted(known))
            raise ApiError(405, f"{method} is not possible on {path}; {allowed} is", allow=allowed)
        raise ApiError(404, f"There is no {path}")

    def _find_control(
        self, method: str, path: str, request: Request
    ) -> Callable[["Sandbox", Request], Any] | None:
        parts = path.rstrip("/").split("/")
        for known_method, pattern, handler in self._controls:
            if known_method == method and fits(pattern, parts, request.params):
                return handler
        return None

    def _checked(self, route: Route, body: bytes, request: Request) -> Any:
        value = load(body) if body.strip() and route.method != "GET" else {}
        if route.params is None:
            return value if value is not None else {}
        unknown = [name for name in request.query if name not in names(route.params)]
        checked: dict[str, Any] = {}
        if route.method != "GET" and not route.path.endswith("/rate-cards/list"):
            # The published type of a call names what is in its path and query among the fields
            # of its body.
            checked, others = check(
                {**value, **request.params} if isinstance(value, dict) else value, route.params
            )
            unknown += others
        self._note(
            route, unknown, not_read.found({**request.query, **checked}, route.path, route.params)
        )
        return checked if route.method != "GET" else None

    def _note(self, route: Route, unknown: list[str], unread: list[str]) -> None:
        """Count what is passed over; when strict, refuse it."""
        world = self.world
        if world.settings.strict and unknown:
            raise ApiError(400, f"Unknown fields: {', '.join(sorted(unknown))}")
        if world.settings.strict and unread:
            what = f"{', '.join(unread)} of {route.method} {route.path}"
            raise ApiError(
                501,
                f"The sandbox does not implement {what}; without --strict it passes over them.",
                "NotImplemented",
            )
        world.unknown_fields.update(f"{route.path} {name}" for name in unknown)
        world.unread_fields.update(f"{route.path} {name}" for name in unread)
