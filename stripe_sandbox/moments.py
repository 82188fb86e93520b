"""What the sandbox does by itself when a moment comes, in order of time."""

from collections.abc import Callable
from datetime import datetime

from stripe_sandbox import checkout, disputes, refunds, warnings
from stripe_sandbox.records import Due
from stripe_sandbox.world import World

MOMENTS: dict[str, Callable[[World, Due], None]] = {
    "dispute": disputes.open_later,
    "inquiry": disputes.open_later,
    "refund_fails": refunds.fail_later,
    "refund_succeeds": refunds.succeed,
    "session": checkout.expire_when_due,
    "warning": warnings.warn_later,
}


def run(world: World, now: datetime) -> None:
    """Bring the sandbox to `now`. Call under the lock."""
    asking, world.request = world.request, None
    try:
        while (due := world.next_due(now)) is not None:
            MOMENTS[due.kind](world, due)
    finally:
        world.request = asking
