"""Credits at Metronome: grants in, commits and balances out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import metronome

from .client import AlreadyDone, all_pages, an_id, reader, talk, to_decimal, writer
from .setup import credit_type_id, credits_product_id


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
    consumptions, where the commit with fewer products goes first.
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
