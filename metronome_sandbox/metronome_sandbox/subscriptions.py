"""Subscriptions: a fee per billing period for a quantity of something, collected in advance.

The fee of a period is charged when the period begins. What is added to the quantity within it is
charged from then on, at once or when the period ends. A smaller quantity counts from the next
period on, and an end gives nothing back that a final invoice has
(https://docs.metronome.com/guides/pricing-packaging/subscription/manage-subscription-lifecycle).
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox import fields, invoices, overrides, periods, subscription_fees
from metronome_sandbox.pricing import ZERO, effective_rate
from metronome_sandbox.records import Contract, Fee, Product, Subscription
from metronome_sandbox.recurring import check_rounding, prorated
from metronome_sandbox.wire import find, invalid, moment, on_the_hour, unsupported
from metronome_sandbox.world import World

BEHAVIOR, IMMEDIATELY = "BILL_ON_NEXT_COLLECTION_DATE", "BILL_IMMEDIATELY"
ON_USAGE_INVOICE = "ON_USAGE_INVOICE"


def build(
    world: World, item: dict[str, Any], contract: Contract, end: datetime | None, now: datetime
) -> Subscription:
    """A checked subscription, not yet stored. `end` is that of its contract. Raises ApiError."""
    _refuse_unsupported(item)
    product = find(world.store.products, item["subscription_rate"]["product_id"], "Product")
    if product.type != "SUBSCRIPTION":
        raise invalid(f"Product {product.id} must be of type SUBSCRIPTION, it is {product.type}")
    frequency = item["subscription_rate"]["billing_frequency"]
    if not _rates(world, contract, product, frequency):
        raise invalid(f"The contract's rate card has no {frequency} rate of product {product.id}")
    if item.get("initial_quantity") is None or item["initial_quantity"] < 0:
        raise invalid("initial_quantity is required and must not be negative")
    fields.check_keys(world, "subscription", item.get("custom_fields"))
    proration, cycle = item["proration"], item.get("billing_cycle_config") or {}
    check_rounding(proration.get("rounding"), "proration.rounding")
    start = on_the_hour(item.get("starting_at") or contract.starting_at, "Subscription starting_at")
    ends = [at for at in (item.get("ending_before"), end) if at is not None]
    stop = on_the_hour(min(ends), "Subscription ending_before") if ends else None
    if start < contract.starting_at:
        raise invalid("A subscription cannot start before its contract")
    if stop is not None and stop <= start:
        raise invalid("Subscription ending_before must be after starting_at")
    anchor = cycle.get("anchor_date") or contract.anchor_at
    if anchor > start:
        raise invalid("billing_cycle_config.anchor_date must not be after the subscription starts")
    return Subscription(
        id=world.new_id(),
        customer_id=contract.customer_id,
        contract_id=contract.id,
        product_id=product.id,
        frequency=frequency,
        created_at=now,
        starting_at=start,
        ending_before=stop,
        anchor_at=periods.floor_hour(anchor),
        is_prorated=bool(proration.get("is_prorated")),
        invoice_behavior=proration.get("invoice_behavior") or BEHAVIOR,
        rounding=proration.get("rounding"),
        placement=cycle.get("invoice_placement") or ON_USAGE_INVOICE,
        quantities=[{"starting_at": start, "quantity": item["initial_quantity"]}],
        name=item.get("name"),
        description=item.get("description"),
        custom_fields=item.get("custom_fields") or {},
    )


def _refuse_unsupported(item: dict[str, Any]) -> None:
    if item["collection_schedule"] != "ADVANCE":
        raise unsupported("subscriptions collected in ARREARS", "collect them in ADVANCE")
    if (item.get("quantity_management_mode") or "QUANTITY_ONLY") != "QUANTITY_ONLY" or item.get(
        "seat_config"
    ):
        raise unsupported("subscriptions that are SEAT_BASED", "give a quantity")


def add(world: World, subscription: Subscription) -> None:
    world.store.subscriptions.put(subscription)
    _wake(world, subscription, subscription.starting_at)


def _wake(world: World, subscription: Subscription, at: datetime) -> None:
    world.schedule(at, "subscription", subscription.id, at.isoformat())


def of_contract(world: World, contract: Contract) -> list[Subscription]:
    return subscription_fees.of_contract(world, contract)


# Its time and quantity


def quantity_at(subscription: Subscription, at: datetime) -> Decimal:
    """Changes of the same moment count in the order in which they were sent."""
    quantity = ZERO
    for change in sorted(subscription.quantities, key=lambda one: one["starting_at"]):
        if change["starting_at"] > at:
            break
        given = change.get("quantity")
        quantity = quantity + change["quantity_delta"] if given is None else given
    return quantity


def period(subscription: Subscription, at: datetime) -> tuple[datetime, datetime]:
    """The billing period that holds a moment, cut to the subscription's own time."""
    start, end = periods.period_of(subscription.anchor_at, subscription.frequency, at)
    start = max(start, subscription.starting_at)
    return start, min(end, subscription.ending_before) if subscription.ending_before else end


def is_over(subscription: Subscription, at: datetime) -> bool:
    return subscription.ending_before is not None and at >= subscription.ending_before


# Charging


def bill(world: World, subscription_id: str, detail: str) -> None:
    """A billing period begins, or the quantity changes, at the moment the detail names."""
    at = moment(detail)
    subscription = world.store.subscriptions[subscription_id]
    contract = world.store.contracts[subscription.contract_id]
    if contract.archived_at or is_over(subscription, at):
        return
    start, end = period(subscription, at)
    charged = sum((fee.quantity for fee in subscription.fees if fee.period_start == start), ZERO)
    added = quantity_at(subscription, at) - charged
    found = price(world, contract, subscription, start)
    if added > 0 and found is not None:
        collected = at if at == start or subscription.invoice_behavior == IMMEDIATELY else end
        _charge(world, subscription, contract, added, at, end, collected, *found)
    if at == start and not is_over(subscription, end):
        _wake(world, subscription, end)


def _charge(
    world: World,
    subscription: Subscription,
    contract: Contract,
    quantity: Decimal,
    start: datetime,
    end: datetime,
    collected: datetime,
    list_price: Decimal,
    credit_type_id: str,
) -> None:
    fee = Fee(
        id=world.new_id(),
        name=subscription.name or world.store.products[subscription.product_id].name,
        period_start=period(subscription, start)[0],
        starting_at=start,
        ending_before=end,
        billed_at=collected,
        quantity=quantity,
        list_price=list_price,
        unit_price=list_price,
        credit_type_id=credit_type_id,
    )
    _prorate(subscription, fee)
    subscription.fees.append(fee)
    _place(world, subscription, contract, fee)
    _changed(world, subscription, start)


def _prorate(subscription: Subscription, fee: Fee) -> None:
    """The price of one for the part of the period that the fee is for."""
    whole = periods.period_of(subscription.anchor_at, subscription.frequency, fee.starting_at)
    fee.is_prorated = subscription.is_prorated and (fee.starting_at, fee.ending_before) != whole
    if fee.is_prorated:
        lasts = Decimal((fee.ending_before - fee.starting_at).total_seconds())
        share = lasts / Decimal((whole[1] - whole[0]).total_seconds())
        fee.unit_price = prorated(fee.list_price, share, subscription.rounding)


def _place(world: World, subscription: Subscription, contract: Contract, fee: Fee) -> None:
    """On the usage invoice that ends when the fee is collected; where there is none, on a
    scheduled invoice of that date, which fees share."""
    fee.invoice_id = None
    on_usage = subscription.placement == ON_USAGE_INVOICE
    if not on_usage or not subscription_fees.usage_invoice_ends(contract, fee.billed_at):
        fee.invoice_id = invoices.of_fees(world, contract, fee.billed_at).id


def _changed(world: World, subscription: Subscription, at: datetime) -> None:
    world.store.subscriptions.put(subscription)
    world.changed(subscription.customer_id)
    world.schedule_evaluation(subscription.customer_id, at)


def price(
    world: World, contract: Contract, subscription: Subscription, at: datetime
) -> tuple[Decimal, str] | None:
    """The price of one at the start of a period and its unit; None: nothing is charged."""
    product = world.store.products[subscription.product_id]
    frequency = subscription.frequency
    rate = effective_rate(_rates(world, contract, product, frequency), {}, at, frequency)
    if rate is None:
        return None
    override = overrides.effective(contract, product, (), (), at, frequency)
    entitled = rate.entitled if override.entitled is None else override.entitled
    return override.applied(rate.price, rate.credit_type_id, ZERO) if entitled else None


def _rates(world: World, contract: Contract, product: Product, frequency: str) -> list[Any]:
    return [
        row
        for row in world.store.rates
        if row.rate_card_id == contract.rate_card_id
        and row.product_id == product.id
        and row.billing_frequency == frequency
    ]


# Changing


def editable(
    world: World, contract: Contract, item: dict[str, Any], end: datetime | None, now: datetime
) -> Subscription:
    """The subscription an item of update_subscriptions names, if all it asks for can be done.
    Raises ApiError."""
    subscription = find(world.store.subscriptions, item["subscription_id"], "Subscription")
    if subscription.contract_id != contract.id:
        raise invalid(f"The contract has no subscription {subscription.id}")
    for name in ("quantity_management_mode_update", "seat_updates"):
        if item.get(name):
            raise unsupported(f"{name} of subscriptions", "give quantity_updates")
    check_rounding(item.get("proration_rounding"), "proration_rounding")
    stop = item.get("ending_before", subscription.ending_before)
    if stop != subscription.ending_before:
        if stop is None or is_over(subscription, stop):
            raise unsupported("ending a subscription later", "add one that begins there")
        if on_the_hour(stop, "Subscription ending_before") <= subscription.starting_at:
            raise invalid("Subscription ending_before must be after starting_at")
    ends = [at for at in (stop, end) if at is not None]
    _check_quantities(subscription, item.get("quantity_updates") or [], ends, now)
    return subscription


def _check_quantities(
    subscription: Subscription, updates: list[dict[str, Any]], ends: list[datetime], now: datetime
) -> None:
    for update in updates:
        given, delta, at = (
            update.get("quantity"),
            update.get("quantity_delta"),
            update["starting_at"],
        )
        if (given is None) == (delta is None) or delta == 0:
            raise invalid("Give quantity, or a quantity_delta that is not 0")
        if at < subscription.starting_at or any(at >= end for end in ends):
            raise invalid("A quantity can only change while the subscription lasts")
        known = [one["starting_at"] for one in subscription.quantities]
        settled = max([one for one in known if one <= now], default=at)
        if now >= subscription.starting_at:
            settled = max(settled, period(subscription, now)[0])
        if at < settled:
            raise unsupported(
                "changing a quantity before the running billing period, or before the last change",
                "change it from then on",
            )
    then = _with(subscription, updates)
    if any(quantity_at(then, one["starting_at"]) < 0 for one in then.quantities):
        raise invalid("The quantity of a subscription must not become negative")


def _with(subscription: Subscription, updates: list[dict[str, Any]]) -> Subscription:
    return Subscription(
        **{**vars(subscription), "quantities": [*subscription.quantities, *updates]}
    )


def update(world: World, subscription: Subscription, item: dict[str, Any], now: datetime) -> None:
    subscription.name = item.get("name", subscription.name)
    if "proration_rounding" in item:
        subscription.rounding = item["proration_rounding"]
    updates = item.get("quantity_updates") or []
    subscription.quantities = _with(subscription, updates).quantities
    for change in updates:
        _wake(world, subscription, change["starting_at"])
    if item.get("ending_before") is not None:
        end(world, subscription, item["ending_before"])
    _changed(world, subscription, now)


def end(world: World, subscription: Subscription, at: datetime) -> None:
    """It ends, or its contract does. Fees of drafts are for the shorter time."""
    if is_over(subscription, at):
        return
    subscription.ending_before = at
    contract = world.store.contracts[subscription.contract_id]
    for fee in list(subscription.fees):
        if fee.ending_before <= at or subscription_fees.key(world, contract, fee) is None:
            continue
        invoice_id = fee.invoice_id
        if fee.starting_at >= at:
            subscription.fees.remove(fee)
        else:
            fee.ending_before, fee.billed_at = at, min(fee.billed_at, at)
            _prorate(subscription, fee)
            _place(world, subscription, contract, fee)
        if invoice_id != fee.invoice_id or fee not in subscription.fees:
            _drop_empty(world, contract, invoice_id)
    world.store.subscriptions.put(subscription)
    world.changed(subscription.customer_id)


def _drop_empty(world: World, contract: Contract, invoice_id: str | None) -> None:
    """A draft without fees is no more."""
    rows = of_contract(world, contract)
    if invoice_id and not any(fee.invoice_id == invoice_id for row in rows for fee in row.fees):
        world.store.invoices.remove(invoice_id)
