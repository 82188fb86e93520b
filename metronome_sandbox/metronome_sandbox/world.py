"""One running sandbox: its settings, store, clock, ids and the caches made from the store."""

import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metronome_sandbox import currencies
from metronome_sandbox.kit.agenda import Agenda
from metronome_sandbox.kit.clock import Clock
from metronome_sandbox.kit.store import Table
from metronome_sandbox.metering import Metering
from metronome_sandbox.records import CreditType, Customer, Delivery, Due, Event, Switch, Taken
from metronome_sandbox.store import Store
from metronome_sandbox.wire import ApiError

if TYPE_CHECKING:
    from metronome_sandbox.rating import Rating


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
    "recharge_on_next_usage": _is_flag,
    "payment_status_after_release": _is_flag,
    "resolved_alerts": _is_flag,
    "invoice_finalized": _is_flag,
    "stripe_gate_outcome": lambda value: value in ("paid", "declined", "pending_action"),
    "stripe_gate_intent": lambda value: isinstance(value, str),
}


@dataclass
class Settings:
    """What may be changed while the sandbox runs, through POST /_sandbox/settings."""

    evaluate_every_seconds: float = 1.0
    latency_seconds: float = 0.0
    strict: bool = False
    page_size: int | None = None  # no list page longer than this, to exercise a client's loops
    recharge_on_next_usage: bool = False  # not on the usage that crossed; measured in 2026
    payment_status_after_release: bool = True  # not documented for the EXTERNAL gate
    resolved_alerts: bool = False  # *_resolved, which Metronome enables on request only
    invoice_finalized: bool = False  # likewise
    # What becomes of charges through the STRIPE gate: paid, declined or pending_action.
    stripe_gate_outcome: str = "paid"
    stripe_gate_intent: str = ""  # the payment intent they name; empty: a made-up one
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
        unit: CreditType,
        seed: int | None,
        state_path: str | Path | None,
        webhooks: Iterable[tuple[str, str]],
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.unit = unit
        self.seed = seed
        self._first_webhooks = list(webhooks)
        # How the STRIPE gate charges the default card of a customer at Stripe: the customer's id
        # there, cents, and the invoice's id, for the outcome and the payment intent. Without it
        # the settings say both.
        self.stripe: Callable[[str, int, str], tuple[str, str]] | None = None
        # Settles what Stripe knows of charges under way. Asked before open ones decide over
        # anything, and after one is cancelled.
        self.hears: Callable[[], None] | None = None
        self.store = Store(state_path)
        self._start()
        kept = self.store.switches.get("webhooks")
        added = [(url, secret) for url, secret in kept.value] if kept else []
        self.webhooks = [*self._first_webhooks, *added]

    def reset(self) -> None:
        self.store.clear()
        self.store.seq = 0
        self._start()
        if self.webhooks != self._first_webhooks:
            self.keep_webhooks()

    def _start(self) -> None:
        self.metering = Metering()
        self.ratings: dict[str, Rating] = {}
        self.customer_by_alias: dict[str, str] = {}
        self.unknown_fields: Counter[str] = Counter()
        self.unread_fields: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._random = random.Random(self.seed) if self.seed is not None else None
        self._agenda = Agenda(self.store.agenda)
        self._evaluating: set[str] = set()  # customers with an evaluation ahead
        store = self.store
        is_new = not len(store.credit_types)
        for currency_id, name in currencies.NAMES.items():
            if currency_id not in store.credit_types:
                store.credit_types.put(CreditType(id=currency_id, name=name, is_currency=True))
        if is_new:
            store.credit_types.put(replace(self.unit))
        if self._random is not None and not is_new:
            # A restart must not repeat ids.
            self._random = random.Random(f"{self.seed}:{store.seq}")
        for customer in store.customers:
            self.set_aliases(customer, customer.ingest_aliases)
        for metric in store.metrics:
            self.metering.add_metric(metric)
        for event in store.events:
            self.metering.add(event, self.visible_at(event))
        self.outbox = {row.id: row for row in store.deliveries if row.next_attempt_at is not None}
        self._evaluating |= {due.ref for due in store.agenda if due.kind == "evaluate"}
        kept = store.switches.get("clock")
        if kept is not None:
            self.clock.restore(kept.value)

    @property
    def deliveries(self) -> Table[Delivery]:
        return self.store.deliveries

    def new_id(self) -> str:
        if self._random is None:
            return str(uuid.uuid4())
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def keep_clock(self) -> None:
        self.store.switches.put(Switch(id="clock", value=self.clock.kept()))

    def keep_webhooks(self) -> None:
        """Destinations beyond those it was started with outlive a restart."""
        added = [list(one) for one in self.webhooks if one not in self._first_webhooks]
        self.store.switches.put(Switch(id="webhooks", value=added))

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
        due_id = f"{kind}:{ref}:{detail}:{at.isoformat()}"
        self._agenda.add(Due(id=due_id, at=at, kind=kind, ref=ref, detail=detail))

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
        due = self._agenda.take(now)
        if due is not None and due.kind == "evaluate":
            self._evaluating.discard(due.ref)
        return due

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
