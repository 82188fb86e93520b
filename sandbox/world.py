"""One running sandbox: its settings, store, clock, ids and the caches made from the store."""

import random
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.metering import Metering
from sandbox.records import USD_ID, CreditType, Customer, Delivery, Due, Event, Switch, Taken
from sandbox.store import Store
from sandbox.wire import ApiError
from sandbox_kit.clock import Clock
from sandbox_kit.store import Table

if TYPE_CHECKING:
    from sandbox.rating import Rating


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_ALLOWED: dict[str, Callable[[Any], bool]] = {
    "evaluate_every_seconds": lambda value: _is_number(value) and value >= 0,
    "latency_seconds": lambda value: _is_number(value) and value >= 0,
    "page_size": lambda value: value is None or (_is_number(value) and value >= 1),
    "environment_type": lambda value: isinstance(value, str),
    "strict": _is_flag,
    "payment_status_after_release": _is_flag,
    "resolved_alerts": _is_flag,
    "invoice_finalized": _is_flag,
}


@dataclass
class Settings:
    """What may be changed while the sandbox runs, through POST /_sandbox/settings."""

    evaluate_every_seconds: float = 1.0
    latency_seconds: float = 0.0
    strict: bool = False
    page_size: int | None = None  # no list page longer than this, to exercise a client's loops
    payment_status_after_release: bool = True  # not documented for the EXTERNAL gate
    resolved_alerts: bool = False  # *_resolved, which Metronome enables on request only
    invoice_finalized: bool = False  # likewise
    environment_type: str = "SANDBOX"

    def change(self, changes: dict[str, Any]) -> None:
        """Raises ValueError for an unknown name or a value of the wrong type."""
        for name, value in changes.items():
            if name not in _ALLOWED or not _ALLOWED[name](value):
                raise ValueError(f"no setting {name} can be {value!r}")
        for name, value in changes.items():
            setattr(self, name, value)


class World:
    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        credit_type_id: str,
        seed: int | None,
        state_path: str | Path | None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.credit_type_id = credit_type_id
        self.seed = seed
        self.webhooks: list[tuple[str, str]] = []
        self.store = Store(state_path)
        self._start()

    def reset(self) -> None:
        self.store.clear()
        self.store.seq = 0
        self._start()

    def _start(self) -> None:
        self.metering = Metering()
        self.ratings: dict[str, Rating] = {}
        self.customer_by_alias: dict[str, str] = {}
        self.unknown_fields: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._random = random.Random(self.seed) if self.seed is not None else None
        self._agenda: list[tuple[datetime, int, str]] = []
        self._evaluating: set[str] = set()  # customers with an evaluation ahead
        store = self.store
        if not len(store.credit_types):
            store.credit_types.put(CreditType(id=USD_ID, name="USD (cents)", is_currency=True))
            store.credit_types.put(CreditType(id=self.credit_type_id, name="Vocalis Credits (VC)"))
        if self._random is not None and store.seq > 2:
            # A restart must not repeat ids.
            self._random = random.Random(f"{self.seed}:{store.seq}")
        for customer in store.customers:
            self.set_aliases(customer, customer.ingest_aliases)
        for metric in store.metrics:
            self.metering.add_metric(metric)
        for event in store.events:
            self.metering.add(event, self.visible_at(event))
        self.outbox = {row.id: row for row in store.deliveries if row.next_attempt_at is not None}
        for due in store.agenda:
            heappush(self._agenda, (due.at, due.seq, due.id))
            if due.kind == "evaluate":
                self._evaluating.add(due.ref)
        kept = store.switches.get("clock")
        if kept is not None:
            self.clock.restore(kept.value["now"], timedelta(seconds=float(kept.value["offset"])))

    @property
    def deliveries(self) -> Table[Delivery]:
        return self.store.deliveries

    def new_id(self) -> str:
        if self._random is None:
            return str(uuid.uuid4())
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def keep_clock(self) -> None:
        offset = str(self.clock.offset.total_seconds())
        self.store.switches.put(
            Switch(id="clock", value={"now": self.clock.now(), "offset": offset})
        )

    # Customers and their usage

    def set_aliases(self, customer: Customer, aliases: list[str]) -> None:
        """An alias belongs to the customer that took it last."""
        for alias in customer.ingest_aliases:
            if self.customer_by_alias.get(alias) == customer.id:
                del self.customer_by_alias[alias]
        customer.ingest_aliases = list(dict.fromkeys(aliases))
        self.customer_by_alias.update(dict.fromkeys(customer.ingest_aliases, customer.id))

    def customer_of(self, subject: str) -> str | None:
        return subject if subject in self.store.customers else self.customer_by_alias.get(subject)

    def subjects(self, customer_id: str) -> list[str]:
        return [customer_id, *self.store.customers[customer_id].ingest_aliases]

    def visible_at(self, event: Event) -> datetime:
        return event.received_at + timedelta(seconds=float(self.settings.latency_seconds))

    def changed(self, customer_id: str) -> None:
        """The customer's usage, contracts or balances changed: rate again when next asked."""
        self.ratings.pop(customer_id, None)

    def show_usage(self, now: datetime) -> None:
        for subject in self.metering.show(now):
            customer_id = self.customer_of(subject)
            if customer_id is not None:
                self.changed(customer_id)

    # Things to do later

    def schedule(self, at: datetime, kind: str, ref: str, detail: str = "") -> None:
        due = Due(
            id=f"{kind}:{ref}:{detail}:{at.isoformat()}", at=at, kind=kind, ref=ref, detail=detail
        )
        if due.id not in self.store.agenda:
            self.store.agenda.put(due)
            heappush(self._agenda, (at, due.seq, due.id))

    def schedule_evaluation(self, customer_id: str, now: datetime) -> None:
        """One evaluation serves everything that happened before it:
        a second request for the same time is dropped."""
        settings = self.settings
        if customer_id in self._evaluating and not settings.latency_seconds:
            return
        self._evaluating.add(customer_id)
        wait = timedelta(
            seconds=float(settings.evaluate_every_seconds) + float(settings.latency_seconds)
        )
        self.schedule(now + wait, "evaluate", customer_id)

    def next_due(self, now: datetime) -> Due | None:
        """Takes the earliest thing due by now, or None."""
        while self._agenda and self._agenda[0][0] <= now:
            due = self.store.agenda.get(heappop(self._agenda)[2])
            if due is not None:
                self.store.agenda.remove(due.id)
                if due.kind == "evaluate":
                    self._evaluating.discard(due.ref)
                return due
        return None

    # Uniqueness keys

    def refuse_taken(self, scope: str, key: str | None) -> None:
        """Raise ApiError 409 if the uniqueness key is taken.

        The key never expires and says nothing about the record that has it, save for alerts."""
        if key is None:
            return
        if not 1 <= len(key) <= 128:
            raise ApiError(400, "uniqueness_key must have 1 to 128 characters")
        taken = self.store.taken.get(f"{scope}:{key}")
        if taken is not None:
            extra = (
                {"conflicting_id": taken.owner_id, "conflicting_value": key}
                if scope == "alert"
                else {}
            )
            raise ApiError(409, "This uniqueness key has already been used.", **extra)

    def take(self, scope: str, key: str | None, owner_id: str) -> None:
        if key is not None:
            self.store.taken.put(Taken(id=f"{scope}:{key}", owner_id=owner_id))
