"""What a customer's draft invoices would be with events that were never sent."""

from typing import Any

from metronome_sandbox import invoice_views
from metronome_sandbox.rating import rate_subjects
from metronome_sandbox.records import Event
from metronome_sandbox.usage import MOST_EVENTS
from metronome_sandbox.wire import Request, find, invalid, moment, truth
from metronome_sandbox.world import World


def preview(world: World, request: Request) -> Any:
    """Mode replace rates these events alone, merge adds them to the usage there is.
    Nothing is kept."""
    body = request.body
    customer = find(world.store.customers, request.params["customer_id"], "Customer")
    if not 1 <= len(body["events"]) <= MOST_EVENTS:
        raise invalid(f"events must have 1 to {MOST_EVENTS} items")
    name = world.new_id()
    events = [
        Event(
            id=item.get("transaction_id") or world.new_id(),
            subject=name,
            event_type=item["event_type"],
            timestamp=moment(item.get("timestamp") or request.now),
            received_at=request.now,
            properties=item.get("properties") or {},
        )
        for item in body["events"]
    ]
    merge = str(body.get("mode") or "replace").lower() == "merge"
    with world.metering.supposing(events):
        rating = rate_subjects(
            world, customer.id, [*(world.subjects(customer.id) if merge else []), name]
        )
    drafts = [
        row
        for row in world.store.invoices.of_customer(customer.id)
        if row.type == "USAGE"
        and row.status == "DRAFT"
        and row.start_at
        and row.start_at <= request.now
    ]
    skip_zero = truth(body.get("skip_zero_qty_line_items"))
    return {
        "data": [
            invoice_views.show(world, row, skip_zero=skip_zero, rating=rating) for row in drafts
        ]
    }
