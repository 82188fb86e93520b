"""What holds after every step, and what holds when the world has calmed down."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce, Left

from accounts.models import Customer, IngestAlias
from billing import plans
from billing.hours import ceil_hour, floor_hour
from billing.models import (
    AutoRecharge,
    ComplimentaryGrant,
    Contract,
    CreditGrant,
    Drift,
    InboundWebhook,
    LedgerEntry,
    Payment,
    Purchase,
    Recharge,
    Reservation,
    Subscription,
    Wallet,
)
from jobs.overview import dead_rows
from tests import prepared
from usage.metering import comparison
from usage.models import Generation, LongSpeech, UsageDiscrepancy, UsageEvent, Voice, VoiceType
from vocalis.operations import deletion

from . import (
    again,
    long_texts,
    mails,
    money_kept,
    overage,
    payers,
    plan_changes,
    streams,
    top_ups,
    usage_days,
)
from .again import GENERATION_KEY

if TYPE_CHECKING:
    from .world import World


def always() -> None:
    """Credits neither appear nor vanish: true between any two steps, whoever died."""
    rules, sql, parameters = _rules()
    answers = prepared.ask(sql, parameters)
    broken = [rule for rule, is_broken in zip(rules, answers, strict=True) if is_broken]
    assert not broken, broken


@cache
def _rules() -> tuple[list[str], str, tuple[Any, ...]]:
    """The rules, and one query that says of each whether some row breaks it: composed once, asked a
    million times."""
    wallets, grants, entries = Wallet.objects, CreditGrant.objects, LedgerEntry.objects
    captured = Reservation.objects.filter(state=Reservation.State.CAPTURED)
    kept = Reservation.objects.filter(
        state__in=[Reservation.State.OPEN, Reservation.State.CAPTURED]
    )
    done = Generation.objects.filter(state=Generation.State.DONE)
    started = grants.filter(entries__kind=LedgerEntry.Kind.GRANT)
    received = entries.filter(kind__in=[LedgerEntry.Kind.GRANT, LedgerEntry.Kind.GRANT_CHANGE])
    paid_for = Q(generation__state=Generation.State.DONE) | Q(voice__state=Voice.State.READY)
    recharging = Recharge.objects.open()
    broken: dict[str, QuerySet[Any]] = {
        "a balance is the sum of its entries": wallets.exclude(
            balance=_sum(entries.all(), "wallet", "amount")
        ),
        "what is reserved is the sum of the open reservations": wallets.exclude(
            reserved=_sum(Reservation.objects.open(), "wallet", "amount")
        ),
        "a balance covers what started grants have left": wallets.filter(
            balance__lt=_sum(started, "wallet", "remaining")
        ),
        "the gate knows when the next credits end": started.filter(remaining__gt=0).exclude(
            wallet__expires_next_at__lte=F("ends_at")
        ),
        "a started grant is the sum of its entries": started.exclude(
            granted=_sum(received, "grant", "amount")
        ),
        "every capture is one entry of its amount": captured.exclude(entry__amount=-F("captured")),
        "every capture is reported once": captured.exclude(usage_event__credits=F("captured")),
        "nothing is reported for nothing": UsageEvent.objects.exclude(
            reservation__state=Reservation.State.CAPTURED
        ),
        "what is done is paid for": done.exclude(reservation__state=Reservation.State.CAPTURED),
        "what is done costs its reservation's capture": done.exclude(
            reservation__captured=F("credits")
        ),
        "what is done costs its characters": done.exclude(credits=_characters() * _price()),
        "what a worker speaks is looked at": LongSpeech.objects.filter(
            Q(generation__state=Generation.State.PENDING) | Q(generation__is_making_again=True),
            generation__is_queued=True,
            renew_at=None,
        ),
        "what is made again was spoken": Generation.objects.filter(is_making_again=True).exclude(
            state=Generation.State.DONE
        ),
        "what is paid for is done": captured.exclude(paid_for),
        "a generation has at most one open or captured reservation": kept.values(
            begins=Left("key", GENERATION_KEY)
        )
        .annotate(reservations=Count("id"))
        .filter(reservations__gt=1),
        "a frozen wallet has no new reservation": Reservation.objects.filter(
            created_at__gt=F("wallet__frozen_at")
        ),
        "nothing new is charged for a frozen wallet": Payment.objects.filter(
            created_at__gt=F("customer__wallet__frozen_at"), is_by_metronome=False
        ),
        "a customer has one recharge at a time": recharging.filter(
            Exists(recharging.filter(customer=OuterRef("customer"), pk__gt=OuterRef("pk")))
        ),
        "a recharge pays once it has asked": Recharge.objects.filter(
            state__in=["paying", "released", "granted"], payment=None
        ),
        "a recharge is granted with its payment": Recharge.objects.filter(state="granted").exclude(
            grant__isnull=False, payment__grant=F("grant")
        ),
        "what failed at Metronome was not charged": Recharge.objects.filter(
            ~Q(failure=""), payment__state__in=["charged", "refunding", "refunded"]
        ),
        "a top-up is granted with its payment": Purchase.objects.filter(state="granted").exclude(
            grant__isnull=False, payment__grant=F("grant")
        ),
        "an ended plan charges nothing more": Payment.objects.filter(
            created_at__gt=F("subscription__ended_at")
        ),
    }
    asked = [rows.query.sql_with_params() for rows in broken.values()]
    parameters = tuple(parameter for _, some in asked for parameter in some)
    return list(broken), f"SELECT {', '.join(f'EXISTS ({sql})' for sql, _ in asked)}", parameters


def _characters() -> Coalesce:
    """Of a generation that is done: how many were delivered."""
    return Coalesce(F("characters_spoken"), F("characters"))


def _price() -> Case:
    return Case(
        When(voice_type=VoiceType.PREMIUM, then=plans.PREMIUM_CREDITS),
        default=plans.STANDARD_CREDITS,
    )


def _sum(rows: QuerySet[Any], owner: str, field: str) -> Coalesce:
    mine = rows.filter(**{owner: OuterRef("pk")}).order_by().values(owner)
    return Coalesce(Subquery(mine.annotate(sum=Sum(field)).values("sum")), 0)


def at_rest(world: World) -> None:
    """No work is left, and both sides agree to the credit."""
    assert not dead_rows(), f"rows that need a person: {dead_rows()}"
    assert not Reservation.objects.open().exists()
    assert not Reservation.objects.filter(
        state=Reservation.State.CAPTURED, reported_at=None
    ).exists()
    assert not Generation.objects.filter(state=Generation.State.PENDING).exists()
    assert not Voice.objects.filter(state=Voice.State.PENDING).exists()
    assert not Payment.objects.open().exists(), list(Payment.objects.open())
    assert not Recharge.objects.open().exists(), list(Recharge.objects.open())
    assert not Payment.objects.filter(settled_at=None).exists()
    assert not Recharge.objects.filter(settled_at=None).exists()
    assert not Subscription.objects.filter(state=Subscription.State.REQUESTED).exists()
    assert not Drift.objects.filter(state=Drift.State.OPEN).exists(), list(Drift.objects.all())
    long_texts.left_nothing(world)
    again.is_over(world)
    streams.left_nothing(world)
    webhooks_came_once()
    if world.mails:
        mails.came_once(world.mails, world.chaos.deaths)
    else:
        mails.each_is_settled()
    events_agree(world)
    usage_days.agree(world)
    money_kept.charges_agree(world)
    money_kept.agree(world)
    payers.cards_agree(world)
    plans_agree()
    plan_changes.at_rest(world)
    recharges_came()
    top_ups.agree()
    complimentary_grants_agree(world)
    nothing_was_corrected(world)
    deleted_are_forgotten(world)
    for customer in Customer.objects.all():
        customers_agree(world, customer)


def webhooks_came_once() -> None:
    ids = list(InboundWebhook.objects.values_list("payload__id", flat=True))
    assert len(set(ids)) == len(ids), "one event is kept twice"


def events_agree(world: World) -> None:
    remote = Counter(event.id for event in world.events_at_metronome())
    local = set(UsageEvent.objects.values_list("transaction_id", flat=True))
    assert set(remote) == local, (
        f"missing at Metronome {local - set(remote)}, invented {set(remote) - local}"
    )
    done = {
        f"vocalis-gen-{pk}"
        for pk in Generation.objects.filter(state="done").values_list("pk", flat=True)
    }
    assert done <= local


def plans_agree() -> None:
    """Every plan that began has one grant of its size for its latest period, over full hours."""
    begun = Subscription.objects.exclude(period_start_at=None).filter(period__gte=F("first_period"))
    for row in begun.select_related("customer__contract"):
        plan = plans.PLANS[row.plan]
        key = (
            f"vocalis-trial-{row.customer_id}"
            if plan.once
            else f"vocalis-sub-{row.customer_id}-{row.pk}-{row.period}"
        )
        grant = CreditGrant.objects.get(key=key)
        begins_at = max(floor_hour(row.period_start_at), row.customer.contract.starts_at)
        bought = (plan.credits, begins_at, ceil_hour(row.period_end_at))
        credits = grant.granted + money_kept.taken_of(grant)
        assert (credits, grant.starts_at, grant.ends_at) == bought, f"{row}: {grant}"


def recharges_came() -> None:
    """Whoever wants recharges is not left with little, unless operators were told after Metronome's
    request was lost twice, the month's limit is reached (`top_ups.agree`), or the wallet is frozen,
    for which nothing may be charged."""
    wanted = AutoRecharge.objects.filter(enabled=True, stuck_at=None, paused_until_at=None).exclude(
        customer__contract__metronome_id=None
    )
    wanted = wanted.filter(customer__wallet__frozen_at=None)
    waiting = wanted.filter(threshold_credits__gte=F("customer__wallet__balance"))
    assert not waiting.exists(), list(waiting)


def complimentary_grants_agree(world: World) -> None:
    """Every complimentary grant and every credit back is one grant of its size, on both sides."""
    for row in ComplimentaryGrant.objects.select_related("grant"):
        assert row.grant and row.grant.granted == row.credits, f"{row} came as {row.grant}"
        assert world.grants_at_metronome(row.customer, row.key) == 1
    assert (
        not Generation.objects.exclude(credit_back=None)
        .exclude(credit_back__credits=F("credits"))
        .exists()
    )
    assert not ComplimentaryGrant.objects.filter(
        kind=ComplimentaryGrant.Kind.CREDIT_BACK, generation=None
    ).exists(), "credited back twice"


def nothing_was_corrected(world: World) -> None:
    """The mirror was exact: what was adjusted is at most what was taken away at Metronome when it
    was spent already, and usage that reached Metronome after it had closed the month. Either may
    show a second time: to which grants such credits belong is guessed, and a wrong guess comes to
    light when one of them ends."""
    adjustments = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.ADJUSTMENT)
    sums: Counter[Any] = Counter()
    for customer_id, amount in adjustments.values_list("wallet__customer_id", "amount"):
        sums[customer_id] += abs(amount)
    explained = _taken_away(world) + world.counted_too_late()
    assert sums <= explained + explained, f"adjusted {sums}, explained {explained}"


def _taken_away(world: World) -> Counter[Any]:
    """Credits by customer that usage took of commits that were archived at Metronome. Of one that
    never reached the ledger, only Metronome knows what it paid in a month that is final: at most
    all of it."""
    grants = CreditGrant.objects.filter(remote_id__in=world.taken_away)
    owners = dict(grants.values_list("id", "wallet__customer"))
    credits: Counter[Any] = Counter()
    for commit_id in world.taken_away.keys() - set(grants.values_list("remote_id", flat=True)):
        customer_id, amount = world.taken_away[commit_id]
        credits[customer_id] += amount
    for consumptions in LedgerEntry.objects.exclude(consumptions=[]).values_list(
        "consumptions", flat=True
    ):
        for grant_id, consumed, *_ in consumptions:
            if grant_id in owners:
                credits[owners[grant_id]] += consumed
    return credits


def deleted_are_forgotten(world: World) -> None:
    deleted = Customer.objects.filter(user__is_active=False)
    assert not Generation.objects.filter(customer__in=deleted).exclude(text="", audio="").exists()
    for customer in deleted:
        assert customer.user.get_full_name() == deletion.NAME
        assert customer.metronome_id, f"nobody can say whether Metronome has forgotten {customer}"
        names = world.names_at_metronome(customer)
        assert names == [deletion.NAME, customer.stable_alias], (
            f"{customer} is deleted, and known at Metronome as {names}"
        )
    aliases, ours = (
        world.aliases_at_metronome(),
        set(IngestAlias.objects.values_list("name", flat=True)),
    )
    assert aliases <= ours, f"of no customer any more: {aliases - ours}"


def usage_agrees(world: World) -> None:
    """Every day, and every hour of today, counts at Metronome what it counts here, and the worker
    has found the same."""
    assert not UsageDiscrepancy.objects.open().exists(), list(UsageDiscrepancy.objects.open())
    customers = list(Customer.objects.all())
    began, until = floor_hour(world.began_at).replace(hour=0), floor_hour(world.now())
    today = until.replace(hour=0)
    assert began == today or not list(
        comparison.differing(customers, since=began, until=today, window="DAY")
    )
    assert today == until or not list(comparison.differing(customers, since=today, until=until))


def books() -> list[tuple[Any, ...]]:
    """All that happened to the wallets, for comparing two runs."""
    return list(
        LedgerEntry.objects.order_by("id").values_list(
            "wallet", "kind", "amount", "consumptions", "created_at"
        )
    )


def customers_agree(world: World, customer: Customer) -> None:
    wallet = Wallet.objects.filter(customer=customer).first()
    if not customer.metronome_id:
        raise AssertionError(f"{customer} was never provisioned")
    assert world.customers_at_metronome(customer.stable_alias) == 1
    email = customer.aliases.filter(kind=IngestAlias.Kind.EMAIL).values_list("name", flat=True)
    assert world.names_at_metronome(customer) == [
        customer.user.get_full_name(),
        customer.stable_alias,
        *email,
    ]
    balance = world.balance_at_metronome(customer)
    assert (wallet.balance if wallet else 0) == balance, (
        f"{customer}: {wallet and wallet.balance} in the wallet, {balance} at Metronome; "
        f"{list(LedgerEntry.objects.filter(wallet=wallet).values_list('kind', 'amount'))}"
    )
    overage.nobody_used_more(world, customer)
    known = Contract.objects.filter(customer=customer).exclude(metronome_id=None).count()
    assert known <= world.contracts_at_metronome(customer) <= 1
