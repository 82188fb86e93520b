"""One running sandbox: its settings, store, clock, ids, agenda and events."""

import copy
import random
import secrets
import string
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from metronome_sandbox.kit.agenda import Agenda
from metronome_sandbox.kit.clock import Clock
from metronome_sandbox.kit.records import Delivery
from metronome_sandbox.kit.store import Table
from stripe_sandbox.records import Due, Resource, Switch
from stripe_sandbox.store import Store
from stripe_sandbox.wire import API_VERSION, Request, dump, unix

ALPHABET = string.ascii_letters + string.digits
REQUESTS_SHOWN = 200


@dataclass
class Settings:
    """What may be changed while the sandbox runs, through POST /_sandbox/settings."""

    search_lag_seconds: float = 60.0  # until an object is found by search
    refund_seconds: float = 60.0  # until a pending refund succeeds, or a failing one fails
    dispute_seconds: float = 0.0  # until a card that disputes does so
    warning_seconds: float = 0.0  # until a card with an early fraud warning gets it

    def change(self, changes: dict[str, Any]) -> None:
        """Raises ValueError for an unknown name or a value of the wrong type."""
        for name, value in changes.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in vars(self) or not is_number or value < 0:
                raise ValueError(f"no setting {name} can be {value!r}")
        for name, value in changes.items():
            setattr(self, name, float(value))


@dataclass
class Seen:
    """A request, for the page that shows them."""

    at: datetime
    id: str
    method: str
    path: str
    status: int
    detail: str


class World:
    def __init__(
        self, *, settings: Settings, clock: Clock, seed: int | None, state_path: str | Path | None
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.seed = seed
        self.webhooks: list[tuple[str, str]] = []
        self.origin = ""  # where pages of this sandbox are; of the last request if empty
        self.store = Store(state_path)
        self._start()

    @property
    def deliveries(self) -> Table[Delivery]:
        return self.store.deliveries

    def reset(self) -> None:
        self.store.clear()
        self.store.seq = 0
        self._start()

    def _start(self) -> None:
        self.request: Request | None = None  # the one that is being answered
        self.calls: Counter[str] = Counter()
        self.seen: deque[Seen] = deque(maxlen=REQUESTS_SHOWN)
        # A restart must not repeat ids.
        self._random = random.Random(f"{self.seed}:{self.store.seq}")
        self._agenda = Agenda(self.store.agenda)
        waiting = [row for row in self.store.deliveries if row.next_attempt_at is not None]
        self.outbox = {row.id: row for row in waiting}
        kept = self.store.switches.get("clock")
        if kept is not None:
            self.clock.restore(kept.value)

    def keep_clock(self) -> None:
        self.store.switches.put(Switch(id="clock", value=self.clock.kept()))

    def new_id(self, prefix: str, length: int = 24) -> str:
        return f"{prefix}_{self.letters(length)}"

    def letters(self, length: int) -> str:
        if self.seed is None:
            return "".join(secrets.choice(ALPHABET) for _ in range(length))
        return "".join(self._random.choices(ALPHABET, k=length))

    def page_url(self, path: str) -> str:
        """The address of a page of this sandbox, for the customer's browser."""
        request = self.request
        return f"{self.origin or (request.origin if request else '')}{path}"

    # Things to do later

    def schedule(self, at: datetime, kind: str, ref: str, detail: str = "") -> None:
        due_id = f"{kind}:{ref}:{self.store.seq}"
        self._agenda.add(Due(id=due_id, at=at, kind=kind, ref=ref, detail=detail))

    def next_due(self, now: datetime) -> Due | None:
        """Takes the earliest thing due by now, or None."""
        return self._agenda.take(now)

    # Events

    def emit(self, kind: str, row: Resource, previous: dict[str, Any] | None = None) -> None:
        """Record an event about an object as it is now, and send it to every destination."""
        now = self.clock.now()
        request = self.request
        data: dict[str, Any] = {"object": copy.deepcopy(row.body)}
        if previous is not None:
            data["previous_attributes"] = copy.deepcopy(previous)
        event = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": unix(now),
            "data": data,
            "livemode": bool(row.body.get("livemode", row.hidden.get("livemode", False))),
            "pending_webhooks": len(self.webhooks),
            "request": {
                "id": (request.id or None) if request else None,
                "idempotency_key": request.idempotency_key if request else None,
            },
            "type": kind,
        }
        self.store.events.put(Resource(id=str(event["id"]), body=event))
        body = dump(event)
        for url, _ in self.webhooks:
            delivery = Delivery(
                id=self.new_id("wd"),
                url=url,
                body=body,
                about=str(event["id"]),
                created_at=now,
                next_attempt_at=now,
            )
            self.outbox[delivery.id] = self.store.deliveries.put(delivery)

    def change(
        self, table: Table[Resource], row: Resource, kind: str | None = None, /, **changes: Any
    ) -> None:
        """Change fields of an object and record the event, if anything changed."""
        previous = {name: row.body[name] for name in changes if row.body[name] != changes[name]}
        row.body.update(changes)
        table.put(row)
        if kind is not None and previous:
            self.emit(kind, row, previous)
