"""Commits and credits: made, edited, archived, shown with balance and ledger."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox import fields, notifications
from metronome_sandbox.catalog import fixed_product, unit
from metronome_sandbox.invoices import purchase
from metronome_sandbox.records import USD_ID, Commit, Contract, InvoiceItem, Segment
from metronome_sandbox.wire import Request, find, invalid, missing, on_the_hour, unsupported
from metronome_sandbox.world import World

DEFAULT_PRIORITY = Decimal(100)
PLAIN_FIELDS = ("name", "description", "rate_type")


def build(
    world: World,
    item: dict[str, Any],
    *,
    customer_id: str,
    contract: Contract | None,
    type_: str,
    now: datetime,
    end: datetime | None = None,
    may_be_gated: bool = False,
) -> Commit:
    """A commit or credit from an API item, checked but not yet stored. Access lasts no longer than
    to `end`, that of its contract. Raises ApiError."""
    fixed_product(world, item.get("product_id"))
    access = item.get("access_schedule")
    if not access:
        raise unsupported("commits without an access_schedule", "give one with schedule_items")
    if str(access.get("access_type") or "SPEND").upper() != "SPEND":
        raise unsupported("commits of access type QUANTITY", "use a custom pricing unit")
    _check_gate(item, type_, may_be_gated)
    fields.check_keys(
        world, "contract_credit" if type_ == "CREDIT" else "commit", item.get("custom_fields")
    )
    invoicing = item.get("invoice_schedule") or {}
    return Commit(
        id=world.new_id(),
        customer_id=customer_id,
        contract_id=contract.id if contract else None,
        type=type_,
        product_id=item["product_id"],
        created_at=now,
        credit_type_id=unit(world, access.get("credit_type_id"), USD_ID),
        segments=[_segment(world, one, end) for one in access["schedule_items"]],
        invoice_items=_invoice_items(world, invoicing),
        invoice_credit_type_id=unit(world, invoicing.get("credit_type_id"), USD_ID),
        invoice_contract_id=_invoice_contract(world, item, customer_id),
        do_not_invoice=bool(invoicing.get("do_not_invoice")),
        name=item.get("name"),
        description=item.get("description"),
        priority=item["priority"] if item.get("priority") is not None else DEFAULT_PRIORITY,
        rate_type=item.get("rate_type") or "LIST_RATE",
        rollover_fraction=_fraction(item.get("rollover_fraction")),
        applicable_contract_ids=item.get("applicable_contract_ids") or [],
        applicable_product_ids=item.get("applicable_product_ids") or [],
        applicable_product_tags=item.get("applicable_product_tags") or [],
        specifiers=item.get("specifiers") or [],
        custom_fields=item.get("custom_fields") or {},
        uniqueness_key=item.get("uniqueness_key"),
    )


def gate_of(config: dict[str, Any] | None) -> str:
    return str((config or {}).get("payment_gate_type") or "NONE").upper()


def _check_gate(item: dict[str, Any], type_: str, may_be_gated: bool) -> None:
    config = item.get("payment_gate_config") or {}
    gate = gate_of(config)
    if gate == "NONE":
        return
    if gate != "STRIPE":
        raise unsupported(
            f"commits behind a payment gate of type {gate}",
            "charge first and add an ungated commit",
        )
    if not may_be_gated:
        raise invalid("A payment-gated commit can only be added to an existing contract")
    if str(config.get("tax_type") or "NONE").upper() != "NONE":
        raise unsupported("tax on payment-gated commits", "add it to what the commit costs")
    invoicing = item.get("invoice_schedule") or {}
    if type_ != "PREPAID" or len(invoicing.get("schedule_items") or []) != 1:
        raise invalid("A payment-gated commit is PREPAID and has one invoice_schedule item")
    if invoicing.get("do_not_invoice"):
        raise invalid("A payment-gated commit must be invoiced")


def _fraction(value: Decimal | None) -> Decimal | None:
    if value is not None and not 0 <= value <= 1:
        raise invalid("rollover_fraction must be between 0 and 1")
    return value


def _segment(world: World, item: dict[str, Any], end: datetime | None) -> Segment:
    starting_at = on_the_hour(item["starting_at"], "Schedule item starting_at")
    ending_before = on_the_hour(item["ending_before"], "Schedule item ending_before")
    if ending_before <= starting_at:
        raise invalid("Schedule item ending_before must be after starting_at")
    if item["amount"] < 0:
        raise invalid("Schedule item amount must not be negative")
    if end is not None and starting_at >= end:
        raise invalid("Schedule item starting_at must be before the end of the contract")
    return Segment(
        id=world.new_id(),
        amount=item["amount"],
        starting_at=starting_at,
        ending_before=min(ending_before, end) if end is not None else ending_before,
    )


def _invoice_items(world: World, schedule: dict[str, Any]) -> list[InvoiceItem]:
    if schedule.get("recurring_schedule"):
        raise unsupported("recurring invoice schedules", "list the schedule_items")
    return [_invoice_item(world, item) for item in schedule.get("schedule_items") or []]


def _invoice_item(world: World, item: dict[str, Any]) -> InvoiceItem:
    amount, price = item.get("amount"), item.get("unit_price")
    quantity: Decimal = Decimal(1) if item.get("quantity") is None else item["quantity"]
    if price is not None:
        amount = price * quantity if amount is None else amount
    elif amount is not None:
        price = amount / quantity if quantity else amount
    else:
        raise invalid("An invoice schedule item needs an amount, or a unit_price and a quantity")
    return InvoiceItem(
        id=world.new_id(),
        timestamp=item["timestamp"],
        unit_price=price,
        quantity=quantity,
        amount=amount,
    )


def _invoice_contract(world: World, item: dict[str, Any], customer_id: str) -> str | None:
    contract_id = item.get("invoice_contract_id")
    if contract_id is None:
        return None
    contract = find(world.store.contracts, contract_id, "Contract")
    if contract.customer_id != customer_id:
        raise missing("Contract")
    return contract.id


def add(world: World, commit: Commit, now: datetime) -> Commit:
    """Store a built commit with everything that follows from it:
    invoices, notifications, evaluation."""
    world.store.commits.put(commit)
    invoice_contract_id = commit.invoice_contract_id or commit.contract_id
    if not commit.do_not_invoice and invoice_contract_id:
        for item in commit.invoice_items:
            if item.invoice_id is None:
                purchase(world, commit, item, now, contract_id=invoice_contract_id)
        world.store.commits.put(commit)
    notifications.announce(world, notifications.commit_happening(world, commit, "create", now), now)
    for segment in commit.segments:
        notifications.plan_segment(world, commit, segment, now)
    _touched(world, commit, now)
    return commit


def cut(world: World, commit: Commit, end: datetime, now: datetime) -> None:
    """Its contract ends: access ends with it, and segments that would begin later are gone. A
    commit with nothing left is archived."""
    taken = {entry.segment_id for entry in commit.deductions}
    late = [one for one in commit.segments if one.ending_before > end]
    if not late:
        return
    commit.segments = [one for one in commit.segments if one.starting_at < end or one.id in taken]
    if not commit.segments:
        archive(world, commit, now)
        return
    for segment in late:
        segment.ending_before = max(end, segment.starting_at)
    world.store.commits.put(commit)
    for segment in commit.segments:
        notifications.plan_segment(world, commit, segment, now, ends_only=True)
    _touched(world, commit, now)


def archive(world: World, commit: Commit, now: datetime, *, with_contract: bool = False) -> None:
    """Its balance is gone, and so are its invoices that are not final."""
    if commit.archived_at is not None:
        return
    commit.archived_at = now
    commit.archived_with_contract = with_contract
    for invoice in world.store.invoices.of_customer(commit.customer_id):
        if invoice.commit_id == commit.id and invoice.status == "DRAFT":
            invoice.status = "VOID"
            world.store.invoices.put(invoice)
    world.store.commits.put(commit)
    notifications.announce(
        world, notifications.commit_happening(world, commit, "archive", now), now
    )
    _touched(world, commit, now)


@dataclass
class Change:
    """An edit of a commit, checked and ready to apply."""

    commit: Commit
    fields: dict[str, Any]
    segments: list[Segment]
    invoice_items: list[InvoiceItem]
    new_items: list[InvoiceItem]
    dropped_invoice_ids: list[str]


def prepare(world: World, commit: Commit, change: dict[str, Any]) -> Change:
    """Check an update_commits or update_credits item; nothing is changed. Raises ApiError."""
    if commit.archived_at:
        raise invalid(f"{'Credit' if commit.is_credit else 'Commit'} {commit.id} is archived")
    fields: dict[str, Any] = {name: change[name] for name in PLAIN_FIELDS if name in change}
    for name in ("applicable_product_ids", "applicable_product_tags", "specifiers"):
        if name in change:
            fields[name] = change[name] or []
    if commit.contract_id is None and "applicable_contract_ids" in change:
        fields["applicable_contract_ids"] = change["applicable_contract_ids"] or []
    if "rollover_fraction" in change:
        fields["rollover_fraction"] = _fraction(change["rollover_fraction"])
    if "priority" in change:
        fields["priority"] = DEFAULT_PRIORITY if change["priority"] is None else change["priority"]
    if change.get("product_id"):
        fields["product_id"] = fixed_product(world, change["product_id"]).id
    segments = _edited_segments(world, commit, change.get("access_schedule") or {})
    schedule = change.get("invoice_schedule") or {}
    kept, added, dropped = _edited_invoice_items(world, commit, schedule)
    return Change(commit, fields, segments, [*kept, *added], added, dropped)


def apply(world: World, change: Change, now: datetime) -> None:
    commit = change.commit
    before = {segment.id for segment in commit.segments}
    for name, value in change.fields.items():
        setattr(commit, name, value)
    commit.segments, commit.invoice_items = change.segments, change.invoice_items
    for invoice_id in change.dropped_invoice_ids:
        invoice = world.store.invoices[invoice_id]
        invoice.status = "VOID"
        world.store.invoices.put(invoice)
    contract_id = commit.invoice_contract_id or commit.contract_id
    for item in change.new_items:
        if contract_id and not commit.do_not_invoice:
            purchase(world, commit, item, now, contract_id=contract_id)
    world.store.commits.put(commit)
    for segment in commit.segments:
        notifications.plan_segment(world, commit, segment, now, ends_only=segment.id in before)
    notifications.announce(world, notifications.commit_happening(world, commit, "edit", now), now)
    _touched(world, commit, now)


def _edited_segments(world: World, commit: Commit, access: dict[str, Any]) -> list[Segment]:
    billed = {entry.segment_id for entry in commit.deductions}
    segments = {segment.id: segment for segment in commit.segments}
    contract = world.store.contracts.get(commit.contract_id or "")
    end = contract.ending_before if contract else None
    for item in access.get("remove_schedule_items") or []:
        if item["id"] not in segments:
            raise missing("Schedule item")
        if item["id"] in billed:
            raise invalid("A schedule item applied to a finalized invoice cannot be removed")
        del segments[item["id"]]
    for item in access.get("update_schedule_items") or []:
        old = segments.get(item["id"])
        if old is None:
            raise missing("Schedule item")
        merged = {name: getattr(old, name) for name in ("amount", "starting_at", "ending_before")}
        merged |= {name: item[name] for name in merged if item.get(name) is not None}
        fresh = _segment(world, merged, end)
        fresh.id = old.id
        segments[old.id] = fresh
    return [
        *segments.values(),
        *(_segment(world, item, end) for item in access.get("add_schedule_items") or []),
    ]


def _edited_invoice_items(
    world: World, commit: Commit, schedule: dict[str, Any]
) -> tuple[list[InvoiceItem], list[InvoiceItem], list[str]]:
    """Items kept, items added (a changed item is dropped and added anew), and invoices to void."""
    added = [_invoice_item(world, item) for item in schedule.get("add_schedule_items") or []]
    items = {item.id: item for item in commit.invoice_items}
    dropped: list[str] = []
    updates = {item["id"]: item for item in schedule.get("update_schedule_items") or []}
    for item_id in [
        *updates,
        *(item["id"] for item in schedule.get("remove_schedule_items") or []),
    ]:
        old = items.pop(item_id, None)
        if old is None:
            raise missing("Invoice schedule item")
        invoice = world.store.invoices.get(old.invoice_id or "")
        if invoice is not None and invoice.status == "FINALIZED":
            raise invalid("A schedule item billed on a finalized invoice cannot be changed")
        if invoice is not None:
            dropped.append(invoice.id)
        update = {
            name: value for name, value in updates.get(item_id, {}).items() if value is not None
        }
        if update:
            price = None if "amount" in update and "unit_price" not in update else old.unit_price
            merged = {"timestamp": old.timestamp, "unit_price": price, "quantity": old.quantity}
            added.append(_invoice_item(world, {**merged, **update}))
    return list(items.values()), added, dropped


def _touched(world: World, commit: Commit, now: datetime) -> None:
    world.changed(commit.customer_id)
    world.schedule_evaluation(commit.customer_id, now)


def find_commit(
    world: World, commit_id: Any, customer_id: str, *, credit: bool | None = None
) -> Commit:
    what = "Credit" if credit else "Commit"
    commit = find(world.store.commits, commit_id, what)
    if commit.customer_id != customer_id or (credit is not None and commit.is_credit != credit):
        raise missing(what)
    return commit


def request_commit(world: World, request: Request, *, credit: bool) -> Commit:
    name = "credit_id" if credit else "commit_id"
    return find_commit(world, request.body[name], request.body["customer_id"], credit=credit)
