"""What the tests of the reconciliation share:
usage, usage that gets lost, and a worker that goes on for a while."""

from __future__ import annotations

from datetime import timedelta

from billing import ledger, metronome
from billing.models import Wallet
from usage.models import UsageEvent
from usage.speech import capture


def spend(stage, customer, name, characters=100, voice_type="standard"):
    reservation = ledger.reserve(
        wallet_id=Wallet.objects.get(customer=customer).pk,
        key=name,
        amount=characters,
        now=stage.now(),
    )
    capture.capture_and_report(
        customer_id=customer.pk,
        reservation=reservation,
        transaction_id=name,
        event_type="voice_generation",
        properties={"voice_type": voice_type, "text_length": str(characters)},
        now=stage.now(),
    )


def lose(stage, *names):
    """Note events as sent that never arrived."""
    events = UsageEvent.objects.filter(transaction_id__in=names)
    events.update(due_at=None, sent_at=stage.now())
    ledger.acknowledge(
        reservation_ids=events.values_list("reservation_id", flat=True), now=stage.now()
    )


def invent(stage, customer, name, characters=40):
    event = {
        "transaction_id": name,
        "customer_id": customer.stable_alias,
        "event_type": "voice_generation",
        "timestamp": stage.now().isoformat(),
        "properties": {"voice_type": "standard", "text_length": str(characters)},
    }
    metronome.ingest([event])


def work(stage, minutes=2):
    """Let the worker go on for a while."""
    for _ in range(minutes * 20):
        stage.drain()
        stage.sandbox.clock.advance(timedelta(seconds=3))
    stage.sandbox.tick()


def next_hour(stage):
    stage.advance(hours=1)
    work(stage)
