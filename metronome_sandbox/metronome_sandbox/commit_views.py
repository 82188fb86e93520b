"""How a commit or credit is shown, with its balance and its ledger."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox.catalog import show_unit
from metronome_sandbox.drawdown import cost_basis
from metronome_sandbox.pricing import ZERO
from metronome_sandbox.rating import balance, rate
from metronome_sandbox.records import CREATED_BY, Commit, Segment
from metronome_sandbox.wire import present
from metronome_sandbox.world import World


def show(
    world: World,
    commit: Commit,
    now: datetime,
    *,
    with_balance: bool = False,
    with_ledger: bool = False,
) -> dict[str, Any]:
    product = world.store.products[commit.product_id]
    shown: dict[str, Any] = {
        "id": commit.id,
        "type": commit.type,
        "product": {"id": product.id, "name": product.name},
        "name": commit.name or product.name,
        "description": commit.description,
        "priority": commit.priority,
        "rate_type": commit.rate_type,
        "created_at": commit.created_at,
        "created_by": CREATED_BY,
        "access_schedule": {
            "access_type": "SPEND",
            "credit_type": show_unit(world, commit.credit_type_id),
            "schedule_items": [
                {
                    "id": segment.id,
                    "amount": segment.amount,
                    "starting_at": segment.starting_at,
                    "ending_before": segment.ending_before,
                }
                for segment in commit.segments
            ],
        },
        "custom_fields": commit.custom_fields,
        "uniqueness_key": commit.uniqueness_key,
        "archived_at": commit.archived_at,
    }
    for name in (
        "applicable_contract_ids",
        "applicable_product_ids",
        "applicable_product_tags",
        "specifiers",
    ):
        if getattr(commit, name):
            shown[name] = getattr(commit, name)
    if commit.contract_id:
        shown["contract"] = {"id": commit.contract_id}
    if commit.rolled_over_from:
        shown["rolled_over_from"] = commit.rolled_over_from
    if commit.is_credit:
        shown |= {"recurring_credit_id": commit.recurring_id} if commit.recurring_id else {}
    else:
        shown |= _show_payment(world, commit)
    if with_balance:
        shown["balance"] = balance(world, commit, now)
    if with_ledger:
        shown["ledger"] = ledger(world, commit, now)
    return present(shown)


def _show_payment(world: World, commit: Commit) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "cost_basis": cost_basis(commit),
        "rollover_fraction": commit.rollover_fraction,
        "recurring_commit_id": commit.recurring_id,
    }
    if commit.invoice_items:
        shown["amount"] = sum((item.amount for item in commit.invoice_items), ZERO)
        shown["invoice_schedule"] = {
            "credit_type": show_unit(world, commit.invoice_credit_type_id),
            "do_not_invoice": commit.do_not_invoice,
            "schedule_items": [
                {
                    "id": item.id,
                    "timestamp": item.timestamp,
                    "amount": item.amount,
                    "quantity": item.quantity,
                    "unit_price": item.unit_price,
                    **({"invoice_id": item.invoice_id} if item.invoice_id else {}),
                }
                for item in commit.invoice_items
            ],
        }
    contract_id = commit.invoice_contract_id or (
        commit.contract_id if commit.invoice_items else None
    )
    if contract_id:
        shown["invoice_contract"] = {"id": contract_id}
    return shown


def ledger(world: World, commit: Commit, now: datetime) -> list[dict[str, Any]] | None:
    """Every movement up to now in order of time.

    The entries of segments that have started add up to the balance. What was archived with its
    contract expired then; what was archived by itself has no ledger."""
    prefix = "CREDIT" if commit.is_credit else f"{commit.type}_COMMIT"
    if commit.archived_at is not None:
        if not commit.archived_with_contract:
            return None
        now = min(now, commit.archived_at)
    entries: list[dict[str, Any]] = []

    def note(kind: str, segment: Segment, amount: Decimal, at: datetime, **extra: Any) -> None:
        entries.append(
            {
                "type": f"{prefix}_{kind}",
                "segment_id": segment.id,
                "amount": amount,
                "timestamp": at,
                **extra,
            }
        )

    drafts = _draft_deductions(world, commit)
    for segment in commit.segments:
        if segment.starting_at > now:
            continue
        first = len(entries)
        opening = "INITIAL_BALANCE" if commit.type == "POSTPAID" else "SEGMENT_START"
        note(opening, segment, segment.amount, segment.starting_at)
        for entry in commit.deductions:
            if entry.segment_id == segment.id:
                extra = {"invoice_id": entry.invoice_id, "contract_id": entry.contract_id}
                note("AUTOMATED_INVOICE_DEDUCTION", segment, -entry.amount, entry.at, **extra)
        for invoice_id, contract_id, at, amount in drafts.get(segment.id, []):
            extra = {"invoice_id": invoice_id, "contract_id": contract_id}
            note("AUTOMATED_INVOICE_DEDUCTION", segment, -amount, at, **extra)
        for adjustment in commit.adjustments:
            if adjustment.segment_id == segment.id:
                extra = {"reason": adjustment.reason} if adjustment.type == "MANUAL" else {}
                if adjustment.new_contract_id:
                    extra["new_contract_id"] = adjustment.new_contract_id
                note(adjustment.type, segment, adjustment.amount, adjustment.at, **extra)
        left = sum((entry["amount"] for entry in entries[first:]), ZERO)
        end = segment.ending_before
        if commit.archived_at is not None:
            end = min(end, commit.archived_at)
        if end <= now and left:
            note("EXPIRATION", segment, -left, end)
    return sorted(entries, key=lambda entry: entry["timestamp"])


def _draft_deductions(
    world: World, commit: Commit
) -> dict[str, list[tuple[str, str, datetime, Decimal]]]:
    """By segment: what each draft usage invoice takes so far, dated as the final entry will be."""
    rating = rate(world, commit.customer_id)
    found: dict[str, list[tuple[str, str, datetime, Decimal]]] = {}
    if not any(segment.id in rating.taken for segment in commit.segments):
        return found
    drafts = {
        (row.contract_id, row.start_at): row
        for row in world.store.invoices.of_customer(commit.customer_id)
        if row.type == "USAGE" and row.status == "DRAFT"
    }
    for (contract_id, start), draws in rating.draws.items():
        amounts: dict[str, Decimal] = {}
        for draw in draws:
            if draw.commit is commit and draw.segment is not None:
                amounts[draw.segment.id] = amounts.get(draw.segment.id, ZERO) + draw.amount
        invoice = drafts.get((contract_id, start))
        if invoice is not None and invoice.end_at is not None:
            for segment_id, amount in amounts.items():
                found.setdefault(segment_id, []).append(
                    (invoice.id, contract_id, invoice.end_at, amount)
                )
    return found
