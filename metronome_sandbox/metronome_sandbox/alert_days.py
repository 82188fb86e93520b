"""Alerts by the days that are left of a segment."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

from metronome_sandbox import alert_scopes
from metronome_sandbox.records import Alert
from metronome_sandbox.world import World

DAY = timedelta(days=1)


def measure_of(kind: str) -> Callable[[World, Alert, str, datetime], alert_scopes.Measure]:
    """Of the segments in force, the one that ends first. Nothing else happens when its last days
    begin, so an evaluation is planned for then."""

    def measure(world: World, alert: Alert, customer_id: str, at: datetime) -> alert_scopes.Measure:
        wait = DAY * float(alert.threshold)
        ends = []
        for commit in alert_scopes.counted(world, alert, customer_id, at, (kind,)):
            for segment in commit.segments:
                if segment.ending_before - wait > at:
                    world.schedule(segment.ending_before - wait, "evaluate", customer_id)
                if segment.starting_at <= at < segment.ending_before:
                    ends.append((segment.ending_before, commit.id))
        if not ends:
            return None
        end, commit_id = min(ends)
        days = Decimal(int((end - at).total_seconds())) / int(DAY.total_seconds())
        name = "credit_id" if kind == "CREDIT" else "commit_id"
        return days, end - at <= wait, {name: commit_id, "remaining_days": days}

    return measure
