"""Everything Vocalis says to Metronome: the only module on its SDK.

Plain arguments in, small frozen dataclasses out. Whatever goes wrong leaves here as one of two kinds:
`MetronomeUnavailable` (try again) or `MetronomeRejected` (never); nothing else escapes. Credits are amounts of our
pricing unit and whole going out; Decimal coming in, because Metronome may have fractions. Money is in cents.

Nothing here decides or stores anything, and nothing repeats a call by itself: the rows that owe one do that, and
every write is safe to send twice (a uniqueness key, a natural key, or the same final state).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

import httpx
import metronome
from django.conf import settings
from metronome import Metronome, RequestOptions
from metronome._base_client import BaseSyncPage  # no public name; a page must be told from a page of HTML

from billing import plans
from billing.redaction import without_secrets
from jobs.errors import Rejected, Unavailable

READ_TIMEOUT_SECONDS = 10  # also of ingest; the lease of a batch of events (120 s) outlives ten of them
WRITE_TIMEOUT_SECONDS = 30
REFUSED_PAUSE_SECONDS = 60  # a refused key refuses every row: the lane rests and no row counts an attempt
RETRY_AFTER_MAX_SECONDS = 300
NOT_FOUND_PAUSE_SECONDS = 10
CREDITS_PRODUCT_NAME = "Vocalis Credits"
RELEASE_PATH = "/v1/contracts/commits/threshold-billing/release"

T = TypeVar("T")


class MetronomeUnavailable(Unavailable):
    """Try again: no connection, no answer in time, too many calls, their fault, or an answer nobody can read."""


class NotFound(MetronomeUnavailable):
    """Something every contract stands on is missing: everything waits until bootstrap_metronome has made it."""


class MetronomeRejected(Rejected):
    """Understood and refused. `status` is the HTTP status, `text` Metronome's own words."""

    def __init__(self, message: str, *, status: int = 400, text: str = "") -> None:
        super().__init__(message)
        self.status, self.text = status, text


class AlreadyDone(MetronomeRejected):
    """The key of this write was used before, by us. The answer does not say for what: find it by the same text."""


class Segment(NamedTuple):
    """A stretch of time in which a commit's `amount` of credits may be used."""

    id: str
    amount: Decimal
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit or a credit in our pricing unit. `description` carries our key for those we made."""

    id: str
    kind: Literal["commit", "credit"]
    name: str
    description: str
    priority: Decimal
    is_free: bool
    created_at: datetime | None
    invoice_ids: tuple[str, ...]
    archived: bool
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class RechargeConfiguration:
    enabled: bool
    threshold_credits: int
    recharge_to_credits: int


# --- The client -----------------------------------------------------------------------------------------------------

_hurry_seconds: ContextVar[float | None] = ContextVar("hurry_seconds", default=None)
_known: WeakKeyDictionary[Metronome, dict[str, Any]] = WeakKeyDictionary()  # per client: ids that do not change


@functools.cache
def client() -> Metronome:
    """The process's one client. Nothing is made at import; threads may share it."""
    if not settings.METRONOME_API_KEY:
        raise MetronomeUnavailable("METRONOME_API_KEY is not set", pause_seconds=REFUSED_PAUSE_SECONDS)
    return Metronome(
        bearer_token=settings.METRONOME_API_KEY,
        base_url=settings.METRONOME_API_URL,
        timeout=httpx.Timeout(READ_TIMEOUT_SECONDS, connect=5),
        max_retries=0,  # the SDK sleeps as long as Metronome asks for; a row waits without keeping a worker from the others
    )


@contextmanager
def hurry(seconds: float) -> Iterator[None]:
    """Inside, calls of this thread wait `seconds` at most: for the health page."""
    token = _hurry_seconds.set(seconds)
    try:
        yield
    finally:
        _hurry_seconds.reset(token)


def reader() -> Metronome:
    seconds = _hurry_seconds.get()
    return client() if seconds is None else client().with_options(timeout=seconds)


def writer() -> Metronome:
    return remember("writer", lambda: client().with_options(timeout=WRITE_TIMEOUT_SECONDS))


def remember(name: str, find: Callable[[], T]) -> T:
    known = _known.setdefault(client(), {})
    if name not in known:
        known[name] = find()
    return known[name]


@contextmanager
def talk(what: str, *, conflict: type[MetronomeRejected] | None = None) -> Iterator[None]:
    """Turn whatever the SDK or an unreadable answer raises into our two kinds. `conflict` is what a 409 means here."""
    try:
        yield
    except metronome.APIStatusError as error:
        raise _of_status(what, error, conflict) from error
    except (metronome.MetronomeError, httpx.HTTPError) as error:
        raise MetronomeUnavailable(f"{what}: {without_secrets(str(error))}") from error
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        # The SDK hands an answer that breaks its schema on as it is: HTML as a str, a missing field as no attribute.
        raise MetronomeUnavailable(f"{what}: Metronome's answer cannot be read ({error})") from error


def _of_status(
    what: str, error: metronome.APIStatusError, conflict: type[MetronomeRejected] | None
) -> MetronomeUnavailable | MetronomeRejected:
    status, body = error.status_code, error.body
    text = without_secrets(str(body.get("message") or body) if isinstance(body, dict) else error.message)
    message = f"{what}: {status} {text[:500]}"
    if status in (401, 403):
        return MetronomeUnavailable(message, pause_seconds=REFUSED_PAUSE_SECONDS)
    if status == 409 and (conflict or "uniqueness key" in text.lower()):
        return (conflict or AlreadyDone)(message, status=status, text=text)
    if status in (408, 409, 429) or status >= 500:
        return MetronomeUnavailable(message, retry_after_seconds=_retry_after(error.response))
    return MetronomeRejected(message, status=status, text=text)


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(max(float(response.headers.get("retry-after", 0)), 0), RETRY_AFTER_MAX_SECONDS)
    except ValueError:  # a date: the back-off does
        return 0


def all_pages(page: Any) -> list[Any]:
    """The items of all pages of a list. An answer without its list is no empty list."""
    if not isinstance(page, BaseSyncPage):
        raise TypeError(f"a list was expected, not {type(page).__name__}")
    items: list[Any] = []
    for each in cast(Any, page).iter_pages():
        if not isinstance(each.data, list):
            raise TypeError("a page without data")
        items += each.data
    return items


def _nothing(response: Any) -> None:
    """Check the answer of a call that answers nothing: a proxy's login page with status 200 must not count as done."""
    answer: httpx.Response = getattr(response, "http_response", response)
    if answer.content.strip() and "json" not in answer.headers.get("content-type", ""):
        raise TypeError(f"no content was expected, not {answer.headers.get('content-type')}")


def an_id(found: Any) -> str:
    if not isinstance(found.id, str) or not found.id:
        raise TypeError("an id was expected")
    return found.id


def to_decimal(number: Any) -> Decimal:
    return Decimal(str(number))


# --- Customers ------------------------------------------------------------------------------------------------------


def find_customer(*, alias: str) -> str | None:
    """Id of the live customer that owns this ingest alias."""
    with talk("find a customer"):
        found = all_pages(reader().v1.customers.list(ingest_alias=alias))
        return an_id(found[0]) if found else None


def create_customer(*, name: str, alias: str) -> str:
    """Make a customer, returning its id. The alias is the natural key: AlreadyDone if a customer owns it."""
    with talk("create a customer", conflict=AlreadyDone):
        return an_id(writer().v1.customers.create(name=name[:160], ingest_aliases=[alias]).data)


def set_aliases(*, customer_id: str, aliases: Sequence[str]) -> None:
    """Replace the customer's set of ingest aliases. MetronomeRejected if one belongs to somebody else."""
    with talk("set ingest aliases", conflict=MetronomeRejected):
        _nothing(
            writer().v1.customers.with_raw_response.set_ingest_aliases(
                customer_id=customer_id, ingest_aliases=list(aliases)
            )
        )


# --- Contracts ------------------------------------------------------------------------------------------------------


def create_contract(*, customer_id: str, key: str, name: str, starts_at: datetime) -> str:
    """Make an open-ended, empty contract on our rate card, returning its id. `starts_at` on the hour."""
    card_id = rate_card_id()
    with talk("create a contract", conflict=AlreadyDone):
        made = writer().v1.contracts.create(
            customer_id=customer_id, rate_card_id=card_id, name=name, starting_at=starts_at, uniqueness_key=key
        )
        return an_id(made.data)


def find_contract(*, customer_id: str, name: str) -> str | None:
    with talk("find a contract"):
        for contract in all_pages(reader().v2.contracts.list(customer_id=customer_id)):
            if contract.name == name:
                return an_id(contract)
    return None


def recharge_configuration(*, customer_id: str, contract_id: str) -> RechargeConfiguration | None:
    """The contract's auto-recharge as Metronome has it; None if it was never configured."""
    with talk("read a contract"):
        contract = reader().v2.contracts.retrieve(customer_id=customer_id, contract_id=contract_id).data
        found = contract.prepaid_balance_threshold_configuration
        if found is None:
            return None
        return RechargeConfiguration(
            enabled=bool(found.is_enabled),
            threshold_credits=int(found.threshold_amount),
            recharge_to_credits=int(found.recharge_to_amount),
        )


def set_recharge(
    *, customer_id: str, contract_id: str, enabled: bool, threshold_credits: int, recharge_to_credits: int
) -> None:
    """Bring the contract's auto-recharge to this state; safe to repeat.

    Metronome wants it added the first time and updated afterwards, so it is read first. Adding, changing and enabling
    make Metronome evaluate the balance at once. Its payment is ours to take (EXTERNAL): see `release`.
    """
    is_there = recharge_configuration(customer_id=customer_id, contract_id=contract_id) is not None
    configuration: dict[str, Any] = {
        "is_enabled": enabled,
        "threshold_amount": threshold_credits,
        "recharge_to_amount": recharge_to_credits,
    }
    if not is_there:
        configuration |= {
            "commit": {
                "product_id": credits_product_id(),
                "name": plans.RECHARGE_COMMIT_NAME,
                "priority": plans.PRIORITY_PACK,
            },
            "payment_gate_config": {"payment_gate_type": "EXTERNAL"},
            "custom_credit_type_id": credit_type_id(),
        }
    verb = "update" if is_there else "add"
    change: dict[str, Any] = {f"{verb}_prepaid_balance_threshold_configuration": configuration}
    with talk("configure auto-recharge"):
        an_id(writer().v2.contracts.edit(customer_id=customer_id, contract_id=contract_id, **change).data)


def release(*, workflow_id: str, outcome: Literal["paid", "failed"]) -> bool:
    """Tell Metronome how the payment of a recharge went; `paid` makes its commit usable. Safe to repeat.

    False if the workflow is over and Metronome does not say how it ended. MetronomeRejected when it is unknown, or ended
    the other way. The SDK has no method for this as of 4.12; when it has, this function becomes a call of it.
    https://docs.metronome.com/api-reference/credits-and-commits/release-external-payment-gate-threshold-commit
    """
    try:
        with talk("release a recharge", conflict=MetronomeRejected):
            answer = {"workflow_id": workflow_id, "outcome": outcome}
            _nothing(writer().post(RELEASE_PATH, cast_to=httpx.Response, body=answer))
    except MetronomeRejected as refusal:
        if state := re.search(r"already in state (\w+)", refusal.text, re.IGNORECASE):
            if (state[1].upper() == "COMMITTED") == (outcome == "paid"):
                return True
        elif "not in COMMITTING state" in refusal.text:
            return False
        elif refusal.status == 409:  # undocumented here: money is at stake, so ask again rather than guess
            raise MetronomeUnavailable(str(refusal)) from refusal
        raise
    return True


# --- Credits --------------------------------------------------------------------------------------------------------


def add_grant(
    *,
    customer_id: str,
    contract_id: str,
    key: str,
    name: str,
    credits: int,
    starts_at: datetime,
    ends_at: datetime,
    priority: int,
    paid_cents: int | None = None,
    invoiced_at: datetime,
) -> Commit | None:
    """Add credits to a contract under `key`: a commit with its invoice if they were paid, else a credit.

    Starts and ends are on the hour. Returns the commit, or None if the answer did not spell it out (it is then in
    `commits`, by `description`). AlreadyDone if the key was used.

    The credits apply to every product, which are ours all: a restriction would change the order in which Metronome
    draws, where the commit with fewer products goes first.
    """
    unit_id = credit_type_id()
    grant: dict[str, Any] = {
        "product_id": credits_product_id(),
        "name": name,
        "description": key,
        "priority": priority,
        "access_schedule": {
            "credit_type_id": unit_id,
            "schedule_items": [{"amount": credits, "starting_at": starts_at, "ending_before": ends_at}],
        },
    }
    change: dict[str, Any] = {"add_credits": [grant]}
    if paid_cents:
        invoice = {"schedule_items": [{"timestamp": invoiced_at, "amount": paid_cents}]}
        change = {"add_commits": [grant | {"type": "PREPAID", "invoice_schedule": invoice}]}
    with talk("grant credits", conflict=AlreadyDone):
        edited = writer().v2.contracts.edit(
            customer_id=customer_id, contract_id=contract_id, uniqueness_key=key, **change
        )
        an_id(edited.data)
        edit = edited.data.edit
        added = (edit.add_commits or edit.add_credits or [None])[0] if edit else None
        return _commit(added, unit_id, edit.timestamp) if edit and added and added.access_schedule else None


def commits(*, customer_id: str, usable_since: datetime | None = None) -> list[Commit]:
    """All prepaid commits and credits in our pricing unit; with `usable_since` what could be used then or later."""
    unit_id = credit_type_id()
    with talk("list balances"):
        page = reader().v1.contracts.list_balances(
            customer_id=customer_id, include_contract_balances=True, starting_at=usable_since or metronome.omit
        )
        read = [_commit(item, unit_id) for item in all_pages(page)]
        return [commit for commit in read if commit]


def net_balance(*, customer_id: str) -> Decimal:
    """What the customer may still use now, usage of the current period deducted. Fractions are possible."""
    unit_id = credit_type_id()
    with talk("read the balance"):
        # The unit must be named: without it Metronome answers in US cents, and a customer with credits has none.
        answer = reader().v1.contracts.get_net_balance(
            customer_id=customer_id,
            credit_type_id=unit_id,
            filters=[{"balance_types": ["PREPAID_COMMIT"]}, {"balance_types": ["CREDIT"]}],
        )
        return to_decimal(answer.data.balance)


def _commit(item: Any, unit_id: str, made_at: datetime | None = None) -> Commit | None:
    """One item of a list or of an edit's answer, where only the edit has a time; None if not prepaid, or in another unit."""
    access = item.access_schedule
    if item.type == "POSTPAID" or (access and access.credit_type and access.credit_type.id != unit_id):
        return None
    schedule = getattr(item, "invoice_schedule", None)
    invoices = schedule.schedule_items or [] if schedule else []
    created_at = made_at or getattr(item, "created_at", None)
    segments = [
        Segment(an_id(segment), to_decimal(segment.amount), _time(segment.starting_at), _time(segment.ending_before))
        for segment in (access.schedule_items if access else ())
    ]
    return Commit(
        id=an_id(item),
        kind="credit" if item.type == "CREDIT" else "commit",
        name=item.name or item.product.name,
        description=item.description or "",
        priority=Decimal(100) if item.priority is None else to_decimal(item.priority),
        is_free=not any(invoice.amount for invoice in invoices),
        created_at=created_at if isinstance(created_at, datetime) else None,
        invoice_ids=tuple(invoice.invoice_id for invoice in invoices if invoice.invoice_id),
        archived=getattr(item, "archived_at", None) is not None,
        segments=tuple(segments),
    )


def _time(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError("a time was expected")
    return value


# --- Usage ----------------------------------------------------------------------------------------------------------


def ingest(events: Sequence[dict[str, Any]]) -> None:
    """Send up to 100 usage events, all or none. Metronome ignores a transaction_id it has seen within 34 days.

    Sends what `client.v1.usage.ingest` sends, without its walk through every key of every event: for a full batch that
    took twice as long as the call itself.
    """
    options: RequestOptions = {"timeout": READ_TIMEOUT_SECONDS, "headers": {"Accept": "*/*"}}
    with talk("ingest"):
        _nothing(client().post("/v1/ingest", cast_to=httpx.Response, body=list(events), options=options))


# --- What everything stands on --------------------------------------------------------------------------------------


def credit_type_id() -> str:
    """Id of the pricing unit: VOCALIS_CREDIT_TYPE_ID, else found by name."""
    return settings.VOCALIS_CREDIT_TYPE_ID or remember(
        "pricing unit", lambda: named("pricing unit", plans.PRICING_UNIT_NAME, reader().v1.pricing_units.list)
    )


def rate_card_id() -> str:
    cards = functools.partial(reader().v1.contracts.rate_cards.list, body={})
    return remember("rate card", lambda: named("rate card", settings.METRONOME_RATE_CARD_NAME, cards))


def credits_product_id() -> str:
    """Id of the FIXED product all credits are sold as, made if it is missing."""

    def find() -> str:
        try:
            return named("product", CREDITS_PRODUCT_NAME, reader().v1.contracts.products.list)
        except NotFound:
            return create_product(name=CREDITS_PRODUCT_NAME, type="FIXED")

    return remember("credits product", find)


def create_product(
    *, name: str, type: Literal["FIXED", "USAGE"], metric_id: str = "", pricing_group_key: Sequence[str] = ()
) -> str:
    change: dict[str, Any] = {"billable_metric_id": metric_id} if metric_id else {}
    if pricing_group_key:
        change["pricing_group_key"] = list(pricing_group_key)
    with talk("create a product"):
        made = writer().v1.contracts.products.create(
            name=name, type=type, **change, extra_headers=once_a_minute("product", name)
        )
        return an_id(made.data)


def named(what: str, name: str, pages: Callable[[], Any]) -> str:
    with talk(f"find the {what}"):
        for item in oldest_first(all_pages(pages())):
            if getattr(item, "current", item).name == name and not getattr(item, "archived_at", None):
                return an_id(item)
    raise NotFound(f"no {what} named “{name}”: run bootstrap_metronome", pause_seconds=NOT_FOUND_PAUSE_SECONDS)


def oldest_first(items: list[Any]) -> list[Any]:
    """Two things of one name (made by hand, or by two set-ups at once) must resolve alike everywhere."""
    return sorted(items, key=lambda item: str(getattr(getattr(item, "initial", item), "created_at", "")))


def once_a_minute(*parts: str) -> dict[str, str]:
    """Header that makes two set-ups at once make one thing, for creates without a uniqueness key.

    Metronome keeps the answer for a day, errors too: with the minute in the key an error is not kept for long.
    """
    return {"Idempotency-Key": "-".join(("vocalis", *parts, f"{datetime.now(UTC):%Y%m%d%H%M}"))}
