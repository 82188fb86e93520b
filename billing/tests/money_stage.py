"""What the tests of payments, recharges and handlers share: a customer who is at Metronome, and
ways to move money."""

from __future__ import annotations

from datetime import timedelta

from billing import ledger, metronome, plans, recharge
from billing.models import AutoRecharge, Contract, Recharge, Subscription, Wallet
from billing.subscriptions import choose
from billing.sync import contracts, customers, schedule
from jobs.worker import Worker, all_jobs

from .stripe_stage import have_card


class Killed(BaseException):
    """The worker dies here: nothing catches it, nothing is settled."""


def establish(stage, customer, *, credits: int = 30_000) -> Contract:
    """Provision the customer, with a card, and give credits on a contract. Returns the contract."""
    now = stage.now()
    have_card(customer)
    customers.provision(customer, now)
    contract = contracts.ensure(customer, now=now)
    if credits:
        contracts.grant(
            customer,
            key=f"test-{customer.pk}",
            name="Test credits",
            credits=credits,
            starts_at=now,
            ends_at=now + timedelta(days=60),
            priority=plans.PRIORITY_PLAN,
            now=now,
        )
    customer.refresh_from_db()
    return contract


def have_plan(customer, now) -> Subscription:
    """An active plan without credits or jobs."""
    return Subscription.objects.get_or_create(
        customer=customer,
        state=Subscription.State.ACTIVE,
        defaults={"plan": "creator", "key": "had", "created_at": now},
    )[0]


def save(
    customer,
    now,
    *,
    enabled: bool = True,
    threshold: int = 25_000,
    to: int = 200_000,
    limit_cents: int | None = None,
) -> AutoRecharge:
    """Save the settings of a customer with a plan, who agrees to what is charged at once.

    The customer has a card, a good one if there was none.
    """
    have_card(customer)
    have_plan(customer, now)
    numbers = {
        "customer": customer,
        "threshold_credits": threshold,
        "recharge_to_credits": to,
        "limit_cents": limit_cents,
        "now": now,
    }
    found = recharge.preview(**numbers) if enabled else None
    return recharge.save_settings(
        **numbers, enabled=enabled, shown_cents=found.due_cents if found else 0
    )


def switch_on(stage, customer, **numbers) -> None:
    save(customer, stage.now(), **numbers)
    stage.drain()


def burn(stage, customer, credits: int) -> None:
    """Spend credits on both sides, as a finished and reported generation does. Sends no
    webhooks yet."""
    now = stage.now()
    wallet = Wallet.objects.get(customer=customer)
    key = f"burn-{wallet.version}"
    reservation = ledger.reserve(wallet_id=wallet.id, key=key, amount=credits, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)
    event = {
        "transaction_id": f"{customer.pk}-{key}",
        "customer_id": customer.stable_alias,
        "event_type": "voice_generation",
        "timestamp": now.isoformat(),
        "properties": {"text_length": str(credits), "voice_type": "standard"},
    }
    metronome.ingest([event])
    ledger.acknowledge(reservation_ids=[reservation.id], now=now)
    schedule.soon([customer.pk], now=now)


def run_to_low(stage, customer, *, left: int = 20_000) -> None:
    """Recharge on at 25,000 → 200,000, then spent down to `left`; the webhooks are stored, nothing
    is processed."""
    contract = establish(stage, customer)
    switch_on(stage, customer)
    burn(stage, customer, balance(customer) - left)
    stage.sandbox.tick()
    assert contract.metronome_id


def spend_at_metronome(customer, stage, credits, name="remote"):
    """Usage Metronome hears of and we do not."""
    metronome.ingest(
        [
            {
                "transaction_id": name,
                "customer_id": customer.stable_alias,
                "event_type": "voice_generation",
                "timestamp": stage.now().isoformat(),
                "properties": {"text_length": str(credits), "voice_type": "standard"},
            }
        ]
    )


def spend_in_ledger(customer, stage, credits, key="local", acknowledged=False):
    wallet = Wallet.objects.get(customer=customer)
    reservation = ledger.reserve(wallet_id=wallet.id, key=key, amount=credits, now=stage.now())
    ledger.capture(reservation_id=reservation.id, now=stage.now())
    if acknowledged:
        ledger.acknowledge(reservation_ids=[reservation.id], now=stage.now())
    return reservation.id


def select(customer, plan, now, key="form-1") -> Subscription:
    """Choose a plan as somebody does who has a card and was shown what it charges."""
    have_card(customer)
    shown = choose.preview_plan(customer=customer, plan=plan, now=now).shown
    return choose.select_plan(customer=customer, plan=plan, key=key, now=now, shown=shown)


def pass_time(stage, **delta) -> None:
    stage.advance(**delta)
    stage.drain()


def agree(customer) -> int:
    """The credits both sides have."""
    customer.refresh_from_db()
    assert balance(customer) == remote_balance(customer)
    return balance(customer)


def balance(customer) -> int:
    return Wallet.objects.values_list("balance", flat=True).get(customer=customer)


def remote_balance(customer) -> int:
    return int(metronome.net_balance(customer_id=customer.metronome_id))


def drain_killed(stage) -> bool:
    """Work until done or killed, then wait until the dead worker's lease has ended. Returns whether
    it was killed."""
    try:
        Worker(all_jobs(), clock=stage.now).drain()
    except Killed:
        stage.advance(seconds=121)
        return True
    return False


def only_recharge() -> Recharge:
    return Recharge.objects.get()


def refuse(error: Exception):
    def raising(*args, **kwargs):
        raise error

    return raising
