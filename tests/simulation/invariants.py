"""What holds after every step, and what holds when the world has calmed down."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts.models import Customer
from billing.drawdown import floor_hour
from billing.models import ChargeAtTestGateway as Charge
from billing.models import Contract, CreditGrant, Drift, Gift, LedgerEntry, Payment, Reservation, Wallet
from jobs.worker import dead_rows
from usage import comparison
from usage.models import Generation, UsageDifference, UsageEvent, Voice

if TYPE_CHECKING:
    from .world import World


def always() -> None:
    """Credits neither appear nor vanish: true between any two steps, whoever died."""
    with connection.cursor() as cursor:
        for rule, sql, parameters in _rules():
            cursor.execute(sql, parameters)
            assert cursor.fetchone() is None, rule


@cache
def _rules() -> list[tuple[str, str, tuple[Any, ...]]]:
    """Each rule, and the SQL that finds what breaks it: made once, because it is asked tens of thousands of times."""
    wallets, grants, entries = Wallet.objects, CreditGrant.objects, LedgerEntry.objects
    captured = Reservation.objects.filter(state=Reservation.State.CAPTURED)
    done = Generation.objects.filter(state=Generation.State.DONE)
    started = grants.filter(entries__kind=LedgerEntry.Kind.GRANT)
    received = entries.filter(kind__in=[LedgerEntry.Kind.GRANT, LedgerEntry.Kind.GRANT_CHANGE])
    paid_for = Q(generation__state=Generation.State.DONE) | Q(voice__state=Voice.State.READY)
    broken: dict[str, QuerySet[Any]] = {
        "a balance is the sum of its entries": wallets.exclude(balance=_sum(entries.all(), "wallet", "amount")),
        "what is reserved is the sum of the open holds": wallets.exclude(
            reserved=_sum(Reservation.objects.open(), "wallet", "amount")
        ),
        "a balance covers what started grants have left": wallets.filter(
            balance__lt=_sum(started, "wallet", "remaining")
        ),
        "the gate knows when the next credits end": started.filter(remaining__gt=0).exclude(
            Q(ends_at=None) | Q(wallet__expires_next_at__lte=F("ends_at"))
        ),
        "a started grant is the sum of its entries": started.exclude(granted=_sum(received, "grant", "amount")),
        "every capture is one entry of its amount": captured.exclude(entry__amount=-F("captured")),
        "every capture is reported once": captured.exclude(usage_event__credits=F("captured")),
        "nothing is reported for nothing": UsageEvent.objects.exclude(reservation__state=Reservation.State.CAPTURED),
        "what is done is paid for": done.exclude(reservation__state=Reservation.State.CAPTURED),
        "what is paid for is done": captured.exclude(paid_for),
        "a frozen wallet holds nothing new": Reservation.objects.filter(created_at__gt=F("wallet__frozen_at")),
        "an ended plan charges nothing more": Payment.objects.filter(created_at__gt=F("subscription__ended_at")),
    }
    return [(rule, *rows.values("pk")[:1].query.sql_with_params()) for rule, rows in broken.items()]


def _sum(rows: QuerySet[Any], owner: str, field: str) -> Coalesce:
    mine = rows.filter(**{owner: OuterRef("pk")}).order_by().values(owner)
    return Coalesce(Subquery(mine.annotate(sum=Sum(field)).values("sum")), 0)


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
    gifts_agree(world)
    nothing_was_corrected(world)
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


def gifts_agree(world: World) -> None:
    """Every gift and refund is one grant of its size, here and at Metronome."""
    for gift in Gift.objects.select_related("grant"):
        assert gift.grant and gift.grant.granted == gift.credits, f"{gift} came as {gift.grant}"
        assert world.grants_at_metronome(gift.customer, gift.key) == 1
    assert not Generation.objects.exclude(refund=None).exclude(refund__credits=F("credits")).exists()


def nothing_was_corrected(world: World) -> None:
    """The mirror was exact: what was adjusted is at most what was taken away at Metronome, perhaps spent already, and
    usage that reached Metronome after it had closed the month. Either may show a second time: to which grants such credits
    belong is guessed, and a wrong guess comes to light when one of them ends."""
    adjustments = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.ADJUSTMENT)
    sums: Counter[Any] = Counter()
    for customer_id, amount in adjustments.values_list("wallet__customer_id", "amount"):
        sums[customer_id] += abs(amount)
    explained = world.taken_away + world.counted_too_late()
    assert sums <= explained + explained, f"adjusted {sums}, explained {explained}"


def usage_agrees(world: World) -> None:
    """Every day, and every hour of today, counts at Metronome what it counts here, and the worker has found the same."""
    assert not UsageDifference.objects.open().exists(), list(UsageDifference.objects.open())
    customers = list(Customer.objects.all())
    began, until = floor_hour(world.began_at).replace(hour=0), floor_hour(world.now())
    today = until.replace(hour=0)
    assert began == today or not list(comparison.differing(customers, since=began, until=today, window="DAY"))
    assert today == until or not list(comparison.differing(customers, since=today, until=until))


def books() -> list[tuple[Any, ...]]:
    """All that happened to the wallets, for comparing two runs."""
    return list(LedgerEntry.objects.order_by("id").values_list("wallet", "kind", "amount", "draws", "created_at"))


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
    if not world.taken_away[customer.pk]:
        assert world.owed_for_usage(customer) == 0, "more was used than there was"
    known = Contract.objects.filter(customer=customer).exclude(metronome_id=None).count()
    assert known <= world.contracts_at_metronome(customer) <= 1
