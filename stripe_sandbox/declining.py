"""Declines ordered by hand: what the bank will say to the next charges, whatever the card."""

from typing import Any

from stripe_sandbox.cards import Decline, decline_of
from stripe_sandbox.records import Resource, Switch
from stripe_sandbox.world import World

NAMES = ("decline_code", "advice_code", "customer", "payment_method", "times")


def orders(world: World) -> list[dict[str, Any]]:
    switch = world.store.switches.get("declines")
    return list(switch.value) if switch else []


def add(world: World, order: dict[str, Any]) -> None:
    """Raises ValueError with a sentence for the caller."""
    unknown = set(order) - set(NAMES)
    if unknown:
        raise ValueError(f"unknown option {', '.join(sorted(unknown))}")
    code = order.get("decline_code")
    if not isinstance(code, str) or not code:
        raise ValueError("decline_code is required, such as do_not_honor")
    times = order.get("times", 1)
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ValueError("times must be a whole number of at least 1, or null for ever")
    _keep(world, [*orders(world), {"times": 1, **order}])


def clear(world: World) -> None:
    _keep(world, [])


def take(world: World, method: Resource, customer_id: str | None) -> Decline | None:
    """The decline ordered for a charge of this card, counted as having happened."""
    waiting = orders(world)
    for order in waiting:
        if order.get("customer") not in (None, customer_id):
            continue
        if order.get("payment_method") not in (None, method.id):
            continue
        if order["times"] is not None:
            order["times"] -= 1
        _keep(world, [one for one in waiting if one["times"] != 0])
        return decline_of(order["decline_code"], order.get("advice_code"))
    return None


def _keep(world: World, waiting: list[dict[str, Any]]) -> None:
    world.store.switches.put(Switch(id="declines", value=waiting))
