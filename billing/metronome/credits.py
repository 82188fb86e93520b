"""Credits at Metronome: adding them, and reading commits and balances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import metronome

from .client import AlreadyDone, all_pages, reader, require_id, to_decimal, translate_errors, writer
from .setup import credit_type_id, credits_product_id


class Segment(NamedTuple):
    """One access schedule item of a commit: `amount` credits usable between two times.

    Metronome's items always have an end (`ending_before`).
    """

    id: str
    amount: Decimal
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Commit:
    """A prepaid commit or a credit in our pricing unit.

    `description` is our uniqueness key if we created it. A lower `priority` is drawn first.
    `is_free`: no invoice with an amount belongs to it.
    """

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
    """Add credits to a contract under `key`: a commit with an invoice if paid, otherwise a credit.

    `starts_at` and `ends_at` must be on the hour. Returns the commit, or None if the answer does
    not contain it; `commits` then lists it by `description`. Raises AlreadyDone if the key was
    used.

    The credits apply to all products. A restriction would change the order in which Metronome draws
    from commits, as it prefers the one with fewer products.
    """
    unit_id = credit_type_id()
    grant: dict[str, Any] = {
        "product_id": credits_product_id(),
        "name": name,
        "description": key,
        "priority": priority,
        "access_schedule": {
            "credit_type_id": unit_id,
            "schedule_items": [
                {"amount": credits, "starting_at": starts_at, "ending_before": ends_at}
            ],
        },
    }
    change: dict[str, Any] = {"add_credits": [grant]}
    if paid_cents:
        invoice = {"schedule_items": [{"timestamp": invoiced_at, "amount": paid_cents}]}
        change = {"add_commits": [grant | {"type": "PREPAID", "invoice_schedule": invoice}]}
    with translate_errors("grant credits", conflict=AlreadyDone):
        edited = writer().v2.contracts.edit(
            customer_id=customer_id, contract_id=contract_id, uniqueness_key=key, **change
        )
        require_id(edited.data)
        edit = edited.data.edit
        added = (edit.add_commits or edit.add_credits or [None])[0] if edit else None
        if not (edit and added and added.access_schedule):
            return None
        return _commit(added, unit_id, edit.timestamp)


def set_amount(
    *,
    customer_id: str,
    contract_id: str,
    key: str,
    kind: Literal["commit", "credit"],
    commit_id: str,
    segment_id: str,
    credits: int,
) -> None:
    """Set the credits of one segment of a commit or credit. Raises AlreadyDone if `key` was used.

    The key keeps a repeated call from undoing what was set later under another one.
    """
    schedule = {"update_schedule_items": [{"id": segment_id, "amount": credits}]}
    change: dict[str, Any] = {
        f"update_{kind}s": [{f"{kind}_id": commit_id, "access_schedule": schedule}]
    }
    with translate_errors("change credits", conflict=AlreadyDone):
        edited = writer().v2.contracts.edit(
            customer_id=customer_id, contract_id=contract_id, uniqueness_key=key, **change
        )
        require_id(edited.data)


def commits(*, customer_id: str, usable_since: datetime | None = None) -> list[Commit]:
    """The customer's prepaid commits and credits in our pricing unit.

    With `usable_since` only those that were usable at that time or later.
    """
    unit_id = credit_type_id()
    with translate_errors("list balances"):
        page = reader().v1.contracts.list_balances(
            customer_id=customer_id,
            include_contract_balances=True,
            starting_at=usable_since or metronome.omit,
        )
        read = [_commit(item, unit_id) for item in all_pages(page)]
        return [commit for commit in read if commit]


def balances(*, customer_id: str) -> dict[str, Decimal]:
    """Credits left by id of commit or credit: what the segments in force now hold, less usage on
    finalised and draft invoices. May have fractions."""
    unit_id = credit_type_id()
    with translate_errors("list balances"):
        page = reader().v1.contracts.list_balances(
            customer_id=customer_id, include_contract_balances=True, include_balance=True
        )
        return {
            commit.id: to_decimal(item.balance or 0)
            for item in all_pages(page)
            if (commit := _commit(item, unit_id))
        }


def net_balance(*, customer_id: str) -> Decimal:
    """Credits the customer can use now, less usage of the current period. May have fractions."""
    unit_id = credit_type_id()
    with translate_errors("read the balance"):
        # Without credit_type_id Metronome answers in US cents, of which our customers have none.
        answer = reader().v1.contracts.get_net_balance(
            customer_id=customer_id,
            credit_type_id=unit_id,
            filters=[{"balance_types": ["PREPAID_COMMIT"]}, {"balance_types": ["CREDIT"]}],
        )
        return to_decimal(answer.data.balance)


def _commit(item: Any, unit_id: str, made_at: datetime | None = None) -> Commit | None:
    """A Commit from an item of a list or of an edit's answer; None if postpaid or in another unit.

    `made_at` is the time of the edit, as the items of its answer have none.
    """
    access = item.access_schedule
    is_other_unit = access and access.credit_type and access.credit_type.id != unit_id
    if item.type == "POSTPAID" or is_other_unit:
        return None
    schedule = getattr(item, "invoice_schedule", None)
    invoices = schedule.schedule_items or [] if schedule else []
    created_at = made_at or getattr(item, "created_at", None)
    segments = [
        Segment(
            require_id(segment),
            to_decimal(segment.amount),
            _require_time(segment.starting_at),
            _require_time(segment.ending_before),
        )
        for segment in (access.schedule_items if access else ())
    ]
    return Commit(
        id=require_id(item),
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


def _require_time(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError("expected a time")
    return value
