"""How subscriptions are shown, and the history of their quantities."""

from datetime import datetime, timedelta
from typing import Any

from metronome_sandbox.invoices import fiat_of
from metronome_sandbox.pricing import ZERO
from metronome_sandbox.records import Contract, Subscription
from metronome_sandbox.subscriptions import is_over, of_contract, period, price, quantity_at
from metronome_sandbox.wire import ApiError, Request, find, present
from metronome_sandbox.world import World

INSTANT = timedelta(microseconds=1)


def show_all(world: World, contract: Contract, now: datetime) -> list[dict[str, Any]]:
    return [show(world, row, now) for row in of_contract(world, contract)]


def show(world: World, subscription: Subscription, now: datetime) -> dict[str, Any]:
    product = world.store.products[subscription.product_id]
    contract = world.store.contracts[subscription.contract_id]
    proration = {
        "is_prorated": subscription.is_prorated,
        "invoice_behavior": subscription.invoice_behavior,
        "rounding": subscription.rounding,
    }
    return present(
        {
            "id": subscription.id,
            "created_at": subscription.created_at,
            "subscription_rate": {
                "billing_frequency": subscription.frequency,
                "product": {"id": product.id, "name": product.name},
            },
            "name": subscription.name,
            "description": subscription.description,
            "collection_schedule": "ADVANCE",
            "proration": present(proration),
            "quantity_management_mode": "QUANTITY_ONLY",
            "quantity_schedule": _quantities(subscription, now),
            "billing_periods": _periods(subscription, now),
            "billing_cycle_config": {
                "anchor_date": subscription.anchor_at,
                "invoice_placement": subscription.placement,
            },
            "starting_at": subscription.starting_at,
            "ending_before": subscription.ending_before,
            "fiat_credit_type_id": fiat_of(world, contract),
            "custom_fields": subscription.custom_fields,
            "product_custom_fields": product.custom_fields,
        }
    )


def _quantities(subscription: Subscription, now: datetime) -> list[dict[str, Any]]:
    """The quantity there is and those that will be."""
    starts = _changes(subscription)
    current = [at for at in starts if at <= now][-1:]
    kept = [*current, *(at for at in starts if at > now)]
    ends = [*kept[1:], subscription.ending_before]
    return [
        present(
            {
                "quantity": quantity_at(subscription, start),
                "starting_at": start,
                "ending_before": end,
            }
        )
        for start, end in zip(kept, ends, strict=True)
    ]


def _changes(subscription: Subscription) -> list[datetime]:
    """When its quantity changes, in order of time."""
    starts = sorted({one["starting_at"] for one in subscription.quantities})
    return [at for at in starts if not is_over(subscription, at)]


def _periods(subscription: Subscription, now: datetime) -> dict[str, Any]:
    """The billing periods before, at and after a moment, as far as there are such."""
    found: dict[str, tuple[datetime, datetime]] = {}
    if now < subscription.starting_at:
        found["next"] = period(subscription, subscription.starting_at)
    elif subscription.ending_before is not None and is_over(subscription, now):
        found["previous"] = period(subscription, subscription.ending_before - INSTANT)
    else:
        start, end = found["current"] = period(subscription, now)
        if start > subscription.starting_at:
            found["previous"] = period(subscription, start - INSTANT)
        if not is_over(subscription, end):
            found["next"] = period(subscription, end)
    return {
        name: {"starting_at": start, "ending_before": end} for name, (start, end) in found.items()
    }


def quantity_history(world: World, request: Request, contract: Contract) -> Any:
    """An entry wherever quantity or price changed, none of the future. The price is that of one
    for a whole period."""
    subscription = find(world.store.subscriptions, request.body["subscription_id"], "Subscription")
    if subscription.contract_id != contract.id:
        raise ApiError(404, "Subscription not found")
    shown: list[dict[str, Any]] = []
    for at in sorted({*_changes(subscription), *_starts(subscription, request.now)}):
        if at > request.now:
            break
        quantity = quantity_at(subscription, at)
        unit_price = _price(world, contract, subscription, at)
        entry = {"quantity": quantity, "unit_price": unit_price, "total": quantity * unit_price}
        if not shown or shown[-1]["data"] != [entry]:
            shown.append({"starting_at": at, "data": [entry]})
    return {
        "data": {
            "subscription_id": subscription.id,
            "fiat_credit_type_id": fiat_of(world, contract),
            "history": shown,
        }
    }


def _starts(subscription: Subscription, now: datetime) -> list[datetime]:
    starts = []
    at = subscription.starting_at
    while at <= now and not is_over(subscription, at):
        starts.append(at)
        at = period(subscription, at)[1]
    return starts


def _price(world: World, contract: Contract, subscription: Subscription, at: datetime) -> Any:
    """As it was charged, or as the rate card has it; a period has one price."""
    start = period(subscription, at)[0]
    charged = [fee.list_price for fee in subscription.fees if fee.period_start == start]
    found = price(world, contract, subscription, start)
    return charged[0] if charged else found[0] if found else ZERO
