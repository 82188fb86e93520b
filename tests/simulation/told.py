"""What holds of the events that customers' programs were told, when the world has calmed down."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.models import ApiKey
from billing.models import LedgerEntry, Payment, Recharge
from billing.payments.requests import charge_name
from notifications.models import OutboundWebhook, WebhookEndpoint
from notifications.outbox import GIVE_UP_DAYS
from usage.models import Generation, Voice

if TYPE_CHECKING:
    from .hooks import Hooks, Receiver

State = OutboundWebhook.State
CLOCK_STEP = timedelta(seconds=1)  # the least that the clock of the simulation goes on


def at_rest(world: Hooks) -> None:
    """Every event came, was given up after its days, or its endpoint was off; each has its cause,
    and each cause its event."""
    rows = list(OutboundWebhook.objects.select_related("endpoint").order_by("created_at", "id"))
    for row in rows:
        _arrived(row, world.receivers[row.endpoint.url])
    _have_their_causes(rows)
    _came_under_one_id(rows, world)
    missing = [each for each in _wanted(world) if each not in {_event(row) for row in rows}]
    assert not missing, f"nobody was told: {missing}"


def _arrived(row: OutboundWebhook, receiver: Receiver) -> None:
    match row.state:
        case State.DELIVERED:
            assert row.message_id in receiver.accepted, f"{row} never came"
        case State.FAILED:
            waited = row.tried_at - row.created_at if row.tried_at else None
            assert waited and waited.days >= GIVE_UP_DAYS, f"{row} was given up after {waited}"
            assert row.tried_at >= row.give_up_at
        case State.CANCELLED:
            assert receiver.was_off, f"{row} was cancelled, and its endpoint never off"
        case _:
            raise AssertionError(f"{row} still waits: due {row.due_at}, ends {row.give_up_at}")


def _event(row: OutboundWebhook) -> tuple[UUID, str, str]:
    return row.endpoint_id, row.kind, row.key


def _came_under_one_id(rows: list[OutboundWebhook], world: Hooks) -> None:
    """A receiver got each event under the id of its row, and no other."""
    ids = {row.message_id for row in rows}
    urls = WebhookEndpoint.objects.kept().values_list("url", flat=True)
    for url in urls:
        others = world.receivers[url].got.keys() - ids
        assert not others, f"{url} got {others}, of which nothing is known"


# --- Causes ---------------------------------------------------------------------------------------


def _have_their_causes(rows: list[OutboundWebhook]) -> None:
    """Nothing was told that did not come to be."""
    ended = defaultdict(set)
    for row in rows:
        data = json.loads(row.body)["data"]
        assert CAUSES[row.kind](row, data), f"{row} has no cause: {row.key} {data}"
        if row.kind.startswith("generation."):
            ended[row.endpoint_id, row.key].add(row.kind)
    both = [key for key, kinds in ended.items() if len(kinds) > 1]
    assert not both, f"completed and failed: {both}"


def _completed(row: OutboundWebhook, data: dict[str, Any]) -> bool:
    found = Generation.objects.get(pk=data["generation"])
    return (
        found.customer_id == row.endpoint.customer_id
        and found.state == Generation.State.DONE
        and row.key == _attempt(found)
        and (found.credits, found.characters_charged) == (data["credits"], data["characters"])
    )


def _failed(row: OutboundWebhook, data: dict[str, Any]) -> bool:
    """This attempt; another one may be under way, or have succeeded."""
    found = Generation.objects.get(pk=data["generation"])
    is_latest = row.key == _attempt(found)
    return (
        found.customer_id == row.endpoint.customer_id
        and (found.state == Generation.State.FAILED or not is_latest)
        and data["credits"] == 0
    )


def _ready(row: OutboundWebhook, data: dict[str, Any]) -> bool:
    return Voice.objects.filter(
        pk=data["voice"],
        customer=row.endpoint.customer_id,
        state__in=[Voice.State.READY, Voice.State.REVOKED],
        credits=data["credits"],
    ).exists()


def _recharged(row: OutboundWebhook, data: dict[str, Any]) -> bool:
    return Recharge.objects.filter(
        pk=data["recharge"],
        customer=row.endpoint.customer_id,
        state=Recharge.State.GRANTED,
        payment__amount_cents=data["amount_cents"],
    ).exists()


def _payment_failed(row: OutboundWebhook, data: dict[str, Any]) -> bool:
    """It is as it failed then, or a later attempt has been made since."""
    payment = Payment.objects.filter(pk=data["payment"], customer=row.endpoint.customer_id).get()
    if row.key == charge_name(payment):
        # Or the bank had the money that was taken all the same, so that it could not be paid back.
        return payment.state == Payment.State.FAILED or payment.disputes.exists()
    return int(row.key.removeprefix(f"{payment.pk}-")) < payment.attempt_number


def _low(row: OutboundWebhook, data: dict[str, Any]) -> bool:
    return bool(data["balance"] <= data["threshold"]) and _rose(row)


def _depleted(row: OutboundWebhook, data: dict[str, Any]) -> bool:
    if "needed" in data:
        return bool(data["needed"] > data["available"]) and _rose(row)
    return bool(data["balance"] == 0) and _rose(row)


def _rose(row: OutboundWebhook) -> bool:
    """Whether the entry that names the event is one by which credits came; or none ever did."""
    name = row.key.removeprefix("entry-")
    return name == "None" or (
        LedgerEntry.objects.filter(
            pk=int(name), wallet__customer=row.endpoint.customer_id, amount__gt=0
        ).exists()
    )


def _budget_reached(row: OutboundWebhook, data: dict[str, Any]) -> bool:
    is_theirs = ApiKey.objects.filter(pk=data["key"], customer=row.endpoint.customer_id).exists()
    return is_theirs and data["spent"] + data["held"] + data["needed"] > data["limit"]


CAUSES = {
    "balance.low": _low,
    "balance.depleted": _depleted,
    "balance.recharged": _recharged,
    "key.budget_reached": _budget_reached,
    "generation.completed": _completed,
    "generation.failed": _failed,
    "voice.ready": _ready,
    "payment.failed": _payment_failed,
}


def _attempt(generation: Generation) -> str:
    return f"{generation.id}-{generation.taken_at:%Y%m%d%H%M%S%f}"


# --- And each cause its event ---------------------------------------------------------------------


def _wanted(world: Hooks) -> Iterator[tuple[UUID, str, str]]:
    """What those endpoints were to be told that were always on and always wanted everything: what
    came to be when they were there for certain."""
    for endpoint in WebhookEndpoint.objects.kept().filter(is_enabled=True):
        receiver = world.receivers[endpoint.url]
        if receiver.since and receiver.wants_all and not receiver.was_off:
            for kind, key in _causes(endpoint, receiver.since):
                yield endpoint.id, kind, key


def _causes(endpoint: WebhookEndpoint, since: Any) -> Iterator[tuple[str, str]]:
    mine = {"customer": endpoint.customer_id}
    # An attempt that takes over is dated later than the one before, if need be ahead of the clock.
    taken = {"taken_at__gte": since + CLOCK_STEP}
    ends = {
        Generation.State.DONE: "generation.completed",
        Generation.State.FAILED: "generation.failed",
    }
    for one in Generation.objects.filter(**mine, **taken, state__in=ends):
        yield ends[Generation.State(one.state)], _attempt(one)
    ready = Voice.objects.filter(**mine, created_at__gt=since, state=Voice.State.READY)
    for voice in ready:
        yield "voice.ready", str(voice.pk)
    granted = Recharge.objects.filter(**mine, settled_at__gt=since, state=Recharge.State.GRANTED)
    for recharge in granted:
        yield "balance.recharged", str(recharge.pk)
    failed = Payment.objects.filter(**mine, created_at__gt=since, state=Payment.State.FAILED)
    for payment in failed:
        yield "payment.failed", charge_name(payment)
