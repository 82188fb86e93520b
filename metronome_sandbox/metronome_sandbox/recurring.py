"""Recurring commits and credits: templates whose children are made one period ahead."""

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

from metronome_sandbox import commits, periods
from metronome_sandbox.catalog import fixed_product, show_unit, unit
from metronome_sandbox.records import USD_ID, Commit, Contract, Recurring
from metronome_sandbox.wire import invalid, missing, on_the_hour, present, stamp, unsupported
from metronome_sandbox.world import World

PLACES = Decimal("1e-10")  # prorated amounts can be endless


def build(
    world: World,
    item: dict[str, Any],
    contract: Contract,
    type_: str,
    end: datetime | None,
) -> Recurring:
    """A checked template. It makes children no longer than to `end`, that of its contract: when
    the contract is made longer, its terms are not. Raises ApiError."""
    fixed_product(world, item["product_id"])
    if str(item["access_amount"].get("access_type") or "SPEND").upper() != "SPEND":
        raise unsupported("access type QUANTITY", "use a custom pricing unit")
    if item.get("subscription_config"):
        raise unsupported("recurring commits of subscriptions", "give their own quantity")
    if (item.get("commit_duration") or {}).get("value", 0) < 1:
        raise invalid("commit_duration.value must be at least 1")
    unit(world, item["access_amount"].get("credit_type_id"), USD_ID)
    for rule in (item.get("proration_rounding") or {}).values():
        check_rounding(rule, "proration_rounding")
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
        ending_before=min((at for at in (item.get("ending_before"), end) if at), default=None),
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
                    "amount": _part(template, "access", share),
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
            "schedule_items": [{"timestamp": start, "amount": _part(template, "invoice", share)}],
        }
    child = commits.build(
        world,
        item,
        customer_id=recurring.customer_id,
        contract=contract,
        type_=recurring.type,
        now=now,
        end=contract.ending_before,
    )
    child.recurring_id = recurring.id
    commits.add(world, child, now)


def cut(
    world: World, recurring: Recurring, contract: Contract, end: datetime, now: datetime
) -> None:
    """Its contract ends: no more children, and one that has not started yet gets what its shorter
    period is worth. Those that have started keep their amount."""
    if recurring.ending_before is None or recurring.ending_before > end:
        recurring.ending_before = end
        world.store.recurring.put(recurring)
    for child in world.store.commits.of_customer(recurring.customer_id):
        start = child.segments[0].starting_at if child.segments else end
        if child.recurring_id == recurring.id and not child.archived_at and now < start < end:
            _reprice(world, recurring, contract, child, start)


def _reprice(
    world: World, recurring: Recurring, contract: Contract, child: Commit, start: datetime
) -> None:
    share = _share(recurring, contract, start, *_period(recurring, contract, start))
    template = recurring.template
    child.segments[0].amount = _part(template, "access", share)
    for item in child.invoice_items:
        item.amount = _part(template, "invoice", share)
        item.unit_price = item.amount / item.quantity
        invoice = world.store.invoices.get(item.invoice_id or "")
        if invoice is not None and invoice.status == "DRAFT":
            changed = {"total": item.amount, "unit_price": item.unit_price}
            invoice.lines = [{**line, **changed} for line in invoice.lines]
            invoice.total = item.amount
            world.store.invoices.put(invoice)
    world.store.commits.put(child)


def _amount(part: dict[str, Any]) -> Decimal:
    quantity = part.get("quantity")
    return Decimal(part["unit_price"]) * (Decimal(1) if quantity is None else quantity)


ROUNDING = {"HALF_UP": ROUND_HALF_UP, "FLOOR": ROUND_FLOOR, "CEILING": ROUND_CEILING}


def _part(template: dict[str, Any], which: str, share: Decimal) -> Decimal:
    """A share of the template's access or invoice amount, rounded as it says for that."""
    amount = _amount(template[f"{which}_amount"])
    if share == 1:
        return amount
    return prorated(amount, share, (template.get("proration_rounding") or {}).get(which))


def check_rounding(rule: dict[str, Any] | None, name: str) -> None:
    """Raises ApiError 400."""
    places = rule["decimal_places"] if rule else Decimal(0)
    if places != places.to_integral_value() or not -5 <= places <= 5:
        raise invalid(f"{name}.decimal_places must be a whole number from -5 to 5")


def prorated(amount: Decimal, share: Decimal, rule: dict[str, Any] | None) -> Decimal:
    """A share of an amount, rounded as a rule {decimal_places, rounding_method} says."""
    if not rule:
        return (amount * share).quantize(PLACES)
    unit_of = Decimal(1).scaleb(-int(rule["decimal_places"]))
    return (amount * share).quantize(unit_of, rounding=ROUNDING[rule["rounding_method"].upper()])


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
        what = f"changing {', '.join(sorted(unknown))} of a recurring commit"
        raise unsupported(what, "end it and add one that begins there")
    return recurring


def end(world: World, recurring: Recurring, ending_before: datetime | None, now: datetime) -> None:
    """Children that have started stay as they are; the others follow the new end."""
    contract = world.store.contracts[recurring.contract_id]
    recurring.ending_before = ending_before
    children = [
        child
        for child in world.store.commits.of_customer(recurring.customer_id)
        if child.recurring_id == recurring.id and not child.archived_at and child.segments
    ]
    for child in children:
        start = child.segments[0].starting_at
        if start > now and _over(recurring, contract, start):
            commits.archive(world, child, now)
        elif start > now:
            _reprice(world, recurring, contract, child, start)
    starts = [child.segments[0].starting_at for child in children if not child.archived_at]
    recurring.next_at = (
        _period(recurring, contract, max(starts))[1] if starts else recurring.starting_at
    )
    if not starts or max(starts) <= now:
        advance(world, recurring, now)
    world.store.recurring.put(recurring)
    world.changed(recurring.customer_id)


def of_contract(world: World, contract: Contract) -> list[Recurring]:
    return [
        row
        for row in world.store.recurring.of_customer(contract.customer_id)
        if row.contract_id == contract.id
    ]


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
