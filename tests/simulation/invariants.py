"""What holds after every step, and what holds when the world has calmed down."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db.models import F, Q, Sum

from accounts.models import Customer
from billing.models import ChargeAtTestGateway as Charge
from billing.models import Contract, CreditGrant, Drift, LedgerEntry, Payment, Reservation, Wallet
from jobs.worker import dead_rows
from usage.models import Generation, UsageEvent, Voice

if TYPE_CHECKING:
    from .world import World


def always() -> None:
    """Credits neither appear nor vanish: true between any two steps, whoever died."""
    for wallet in Wallet.objects.all():
        entries = wallet.entries.aggregate(sum=Sum("amount"))["sum"] or 0
        held = wallet.reservations.open().aggregate(sum=Sum("amount"))["sum"] or 0
        assert wallet.balance == entries, f"{wallet}: balance {wallet.balance}, entries {entries}"
        assert wallet.reserved == held, f"{wallet}: reserved {wallet.reserved}, holds {held}"
        assert 0 <= wallet.reserved <= wallet.balance
    captured = Reservation.objects.filter(state=Reservation.State.CAPTURED)
    assert not captured.exclude(entry__amount=-F("captured")).exists(), "every capture is one entry of its amount"
    assert not captured.exclude(usage_event__credits=F("captured")).exists(), "every capture is reported once"
    assert not UsageEvent.objects.exclude(reservation__state="captured").exists(), "nothing is reported for nothing"
    done = Generation.objects.filter(state=Generation.State.DONE)
    assert not done.exclude(reservation__state="captured").exists(), "what is done is paid for"
    paid_for = Q(generation__state="done") | Q(voice__state="ready")
    assert not captured.exclude(paid_for).exists(), "what is paid for is done"
    twice = Payment.objects.exclude(grant=None).values_list("grant_id", flat=True)
    assert max(Counter(twice).values(), default=0) <= 1, "a charge has one grant of its own"


def at_rest(world: World) -> None:
    """Nothing is owed any more, and both sides agree to the credit."""
    assert not dead_rows(), f"rows that need a person: {dead_rows()}"
    assert not Reservation.objects.open().exists()
    assert not Generation.objects.filter(state=Generation.State.PENDING).exists()
    assert not Voice.objects.filter(state=Voice.State.PENDING).exists()
    assert not Payment.objects.open().exists(), list(Payment.objects.open())
    assert not Drift.objects.filter(state=Drift.State.OPEN).exists(), list(Drift.objects.all())
    events_agree(world)
    charges_agree(world)
    for customer in Customer.objects.all():
        customers_agree(world, customer)


def events_agree(world: World) -> None:
    there = Counter(event.id for event in world.events_at_metronome())
    here = set(UsageEvent.objects.values_list("transaction_id", flat=True))
    assert set(there) == here, f"missing there {here - set(there)}, invented {set(there) - here}"
    done = {f"vocalis-gen-{pk}" for pk in Generation.objects.filter(state="done").values_list("pk", flat=True)}
    assert done <= here


def charges_agree(world: World) -> None:
    """Every charge is one payment that ended in a grant or was refunded, and no grant came without its charge."""
    kept = Payment.objects.filter(state=Payment.State.GRANTED)
    assert set(Charge.objects.filter(refunded_at=None).values_list("key", flat=True)) == world.charge_keys(kept)
    assert not kept.filter(grant=None).exists()
    recharges = CreditGrant.objects.filter(kind="commit", name=world.recharge_name)
    assert not recharges.filter(payment=None).exists(), "credits without a charge"
    for payment in kept.filter(kind=Payment.Kind.RECHARGE).select_related("grant"):
        exact = Decimal(payment.invoice_total)
        assert abs(payment.amount_cents - exact) <= Decimal("0.5")


def customers_agree(world: World, customer: Customer) -> None:
    wallet = Wallet.objects.filter(customer=customer).first()
    if not customer.metronome_id:
        raise AssertionError(f"{customer} was never provisioned")
    assert world.customers_at_metronome(customer.stable_alias) == 1
    balance = world.balance_at_metronome(customer)
    assert (wallet.balance if wallet else 0) == balance, (
        f"{customer}: {wallet and wallet.balance} here, {balance} there; "
        f"{list(LedgerEntry.objects.filter(wallet=wallet).values_list('kind', 'amount'))}"
    )
    assert Contract.objects.filter(customer=customer).count() == world.contracts_at_metronome(customer)
