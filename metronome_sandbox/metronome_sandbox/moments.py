"""What the sandbox does by itself when a moment comes, in order of time."""

from collections.abc import Callable
from datetime import datetime

from metronome_sandbox import (
    alerts,
    catalog,
    invoices,
    notifications,
    recurring,
    renewals,
    spend_thresholds,
    subscriptions,
    thresholds,
)
from metronome_sandbox.records import Due
from metronome_sandbox.wire import moment, stamp
from metronome_sandbox.world import World


def run(world: World, now: datetime) -> None:
    """Bring the sandbox to `now`. Call under the lock."""
    world.show_usage(now)
    while (due := world.next_due(now)) is not None:
        MOMENTS[due.kind](world, due)


def _evaluate(world: World, due: Due) -> None:
    for contract in list(world.store.contracts.of_customer(due.ref)):
        thresholds.evaluate(world, contract, due.at)
        spend_thresholds.evaluate(world, contract, due.at)
    alerts.evaluate(world, due.ref, due.at)


def _contract_start(world: World, due: Due) -> None:
    contract = world.store.contracts[due.ref]
    if contract.archived_at is None and stamp(contract.starting_at) == due.detail:
        happening = notifications.contract_happening(world, contract, "start", contract.starting_at)
        notifications.announce(world, happening, due.at)
        world.schedule_evaluation(contract.customer_id, due.at)


def _contract_end(world: World, due: Due) -> None:
    contract = world.store.contracts[due.ref]
    if (
        contract.archived_at is None
        and contract.ending_before
        and stamp(contract.ending_before) == due.detail
    ):
        happening = notifications.contract_happening(world, contract, "end", contract.ending_before)
        notifications.announce(world, happening, due.at)


def _segment(world: World, due: Due) -> None:
    """A segment starts or ends, unless it was moved or archived meanwhile."""
    commit_id, at = due.detail.split(" ")
    commit = world.store.commits[commit_id]
    verb = due.kind.removeprefix("segment.")
    for segment in commit.segments:
        configured = segment.starting_at if verb == "start" else segment.ending_before
        if segment.id == due.ref and stamp(configured) == at and commit.archived_at is None:
            happening = notifications.commit_happening(
                world, commit, f"segment.{verb}", configured, segment
            )
            notifications.announce(world, happening, due.at)
            world.schedule_evaluation(commit.customer_id, due.at)


def _period(world: World, due: Due) -> None:
    contract = world.store.contracts[due.ref]
    start = moment(due.detail)
    if not invoices.has_period(world, contract, start):
        invoices.open_period(world, contract, start, due.at)


MOMENTS: dict[str, Callable[[World, Due], None]] = {
    "evaluate": _evaluate,
    "contract.start": _contract_start,
    "contract.end": _contract_end,
    "segment.start": _segment,
    "segment.end": _segment,
    "offset": lambda world, due: notifications.fire_offset(world, due.ref, due.detail, due.at),
    "finalize": lambda world, due: invoices.finalize(world, due.ref, due.at),
    "period": _period,
    "recur": lambda world, due: recurring.advance(world, world.store.recurring[due.ref], due.at),
    "subscription": lambda world, due: subscriptions.bill(world, due.ref, due.detail),
    "rollover": lambda world, due: renewals.roll_over(world, due.ref, due.detail, due.at),
    "product": lambda world, due: catalog.apply_updates(world, due.ref, due.at),
}
