"""Recurring commits and credits: templates whose children are made one period ahead."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox import commits, periods
from sandbox.catalog import fixed_product, show_unit, unit
from sandbox.records import USD_ID, Contract, Recurring
from sandbox.wire import invalid, missing, on_the_hour, present, stamp, unsupported
from sandbox.world import World

PLACES = Decimal("1e-10")  # prorated amounts can be endless


def build(world: World, item: dict[str, Any], contract: Contract, type_: str) -> Recurring:
    fixed_product(world, item["product_id"])
    if item.get("subscription_config"):
        raise unsupported("recurring commits of subscriptions")
    if (item.get("commit_duration") or {}).get("value", 0) < 1:
        raise invalid("commit_duration.value must be at least 1")
    unit(world, item["access_amount"].get("credit_type_id"), USD_ID)
    starting_at = on_the_hour(item["starting_at"], "Recurring commit starting_at")
    if starting_at < contract.starting_at:
        raise invalid("A recurring commit cannot start before its contract")
    return Recurring(
        id=world.new_id(),
        contract_id=contract.id,
        customer_id=contract.customer_id,
        type=type_,
        template=item,
        starting_at=starting_at,
        ending_before=item.get("ending_before"),
        next_at=starting_at,
    )


def add(world: World, recurring: Recurring, now: datetime) -> None:
    world.store.recurring.put(recurring)
    advance(world, recurring, now)


def advance(world: World, recurring: Recurring, now: datetime) -> None:
    """Make every child that has started and the one after, then wake up when that one starts."""
    contract = world.store.contracts[recurring.contract_id]
    while recurring.next_at is not None:
        start = recurring.next_at
        if contract.archived_at or _over(recurring, contract, start):
            recurring.next_at = None
            break
        recurring.next_at = _period(recurring, contract, start)[1]
        _make_child(world, recurring, contract, start, now)
        if start > now:
            world.schedule(start, "recur", recurring.id, stamp(start))
            break
    world.store.recurring.put(recurring)


def _over(recurring: Recurring, contract: Contract, start: datetime) -> bool:
    ends = [end for end in (recurring.ending_before, contract.ending_before) if end is not None]
    return bool(ends) and start >= min(ends)


def _period(
    recurring: Recurring, contract: Contract, moment: datetime
) -> tuple[datetime, datetime]:
    """With an own frequency, periods count from the template's start.

    Without, they follow the contract's invoices."""
    frequency = recurring.template.get("recurrence_frequency")
    if frequency:
        return periods.period_of(recurring.starting_at, frequency, moment)
    return periods.period_of(contract.anchor_at, contract.frequency, moment)


def _make_child(
    world: World, recurring: Recurring, contract: Contract, start: datetime, now: datetime
) -> None:
    template = recurring.template
    whole_start, whole_end = _period(recurring, contract, start)
    share = _share(recurring, contract, start, whole_start, whole_end)
    access = template["access_amount"]
    end = whole_end
    for _ in range(int(template["commit_duration"]["value"]) - 1):
        end = _period(recurring, contract, end)[1]
    item = {
        **{
            name: value
            for name, value in template.items()
            if name not in ("starting_at", "ending_before")
        },
        "access_schedule": {
            "credit_type_id": access.get("credit_type_id"),
            "schedule_items": [
                {
                    "amount": _part(_amount(access), share),
                    "starting_at": start,
                    "ending_before": end,
                },
            ],
        },
    }
    charge = template.get("invoice_amount")
    if charge:
        item["invoice_schedule"] = {
            "credit_type_id": charge.get("credit_type_id"),
            "schedule_items": [{"timestamp": start, "amount": _part(_amount(charge), share)}],
        }
    child = commits.build(
        world,
        item,
        customer_id=recurring.customer_id,
        contract=contract,
        type_=recurring.type,
        now=now,
    )
    child.recurring_id = recurring.id
    commits.add(world, child, now)


def _amount(part: dict[str, Any]) -> Decimal:
    quantity = part.get("quantity")
    return Decimal(part["unit_price"]) * (Decimal(1) if quantity is None else quantity)


def _part(amount: Decimal, share: Decimal) -> Decimal:
    return amount if share == 1 else (amount * share).quantize(PLACES)


def _share(
    recurring: Recurring,
    contract: Contract,
    start: datetime,
    whole_start: datetime,
    whole_end: datetime,
) -> Decimal:
    """The part of a period a child lasts, as the template's proration says."""
    proration = recurring.template.get("proration") or "FIRST_AND_LAST"
    first, last = start, whole_end
    if proration not in ("FIRST", "FIRST_AND_LAST"):
        first = whole_start
    ends = [end for end in (recurring.ending_before, contract.ending_before) if end is not None]
    if ends and proration in ("LAST", "FIRST_AND_LAST"):
        last = min(last, *ends)
    if (first, last) == (whole_start, whole_end):
        return Decimal(1)
    return Decimal((last - first).total_seconds()) / Decimal(
        (whole_end - whole_start).total_seconds()
    )


def editable(world: World, contract: Contract, item: dict[str, Any]) -> Recurring:
    """The template an update_recurring_* item names; only its end can change. Raises ApiError."""
    recurring = world.store.recurring.get(
        item.get("recurring_commit_id") or item.get("recurring_credit_id") or ""
    )
    if recurring is None or recurring.contract_id != contract.id:
        raise missing("Recurring commit")
    unknown = set(item) - {"recurring_commit_id", "recurring_credit_id", "ending_before"}
    if unknown:
        raise unsupported(f"changing {', '.join(sorted(unknown))} of a recurring commit")
    return recurring


def end(world: World, recurring: Recurring, ending_before: datetime | None) -> None:
    recurring.ending_before = ending_before
    world.store.recurring.put(recurring)


def show(world: World, recurring: Recurring) -> dict[str, Any]:
    template = recurring.template
    product = world.store.products[template["product_id"]]

    def money(part: dict[str, Any]) -> dict[str, Any]:
        quantity = Decimal(1) if part.get("quantity") is None else part["quantity"]
        credit_type_id = show_unit(world, part.get("credit_type_id") or USD_ID)["id"]
        return {
            "credit_type_id": credit_type_id,
            "unit_price": part["unit_price"],
            "quantity": quantity,
        }

    shown: dict[str, Any] = {
        "id": recurring.id,
        "access_amount": money(template["access_amount"]),
        "anchor_date": recurring.starting_at,
        "commit_duration": {"value": template["commit_duration"]["value"], "unit": "PERIODS"},
        "priority": template["priority"],
        "product": {"id": product.id, "name": product.name},
        "rate_type": template.get("rate_type") or "LIST_RATE",
        "starting_at": recurring.starting_at,
        "ending_before": recurring.ending_before,
        "name": template.get("name"),
        "description": template.get("description"),
        "proration": template.get("proration") or "FIRST_AND_LAST",
        "recurrence_frequency": template.get("recurrence_frequency"),
        "rollover_fraction": template.get("rollover_fraction"),
        "contract": {"id": recurring.contract_id},
    }
    if template.get("invoice_amount"):
        shown["invoice_amount"] = money(template["invoice_amount"])
    return present(shown)
