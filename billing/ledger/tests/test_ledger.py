import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from billing import ledger
from billing.ledger import reservations
from billing.models import CreditGrant, LedgerEntry, Payment, Reservation, Wallet
from conftest import fund

pytestmark = pytest.mark.django_db


def assert_sound(wallet: Wallet) -> Wallet:
    """The invariants, and the wallet as it is now."""
    wallet.refresh_from_db()
    assert wallet.balance == (wallet.entries.aggregate(sum=Sum("amount"))["sum"] or 0)
    assert wallet.reserved == (wallet.reservations.open().aggregate(sum=Sum("amount"))["sum"] or 0)
    started = wallet.grants.filter(entries__kind="grant")
    assert (started.aggregate(sum=Sum("remaining"))["sum"] or 0) <= wallet.balance
    return wallet


def test_reserve_sets_credits_aside_and_capture_takes_them(wallet, now):
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now)
    assert assert_sound(wallet).available == 300

    assert ledger.capture(reservation_id=reservation.id, amount=200, now=now) == 300

    assert assert_sound(wallet).available == 300
    assert wallet.reserved == 0
    assert wallet.grants.get().remaining == 300


def test_capture_returns_the_unused_part(wallet, now):
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now)

    ledger.capture(reservation_id=reservation.id, amount=50, now=now)

    assert assert_sound(wallet).available == 450
    assert Reservation.objects.get().captured == 50


def test_capture_of_more_than_is_reserved_is_refused(wallet, now):
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now)
    with pytest.raises(ValueError, match="200 credits are reserved"):
        ledger.capture(reservation_id=reservation.id, amount=201, now=now)
    assert assert_sound(wallet).reserved == 200


def test_the_same_key_and_amount_give_the_first_reservation_again(wallet, now):
    first = ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now)
    again = ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now + timedelta(minutes=1))
    assert again.id == first.id and again.created_at == first.created_at
    assert assert_sound(wallet).reserved == 200


def test_the_same_key_with_another_amount_is_refused(wallet, now):
    ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now)
    with pytest.raises(ledger.KeyReused):
        ledger.reserve(wallet_id=wallet.id, key="a", amount=100, now=now)
    assert assert_sound(wallet).reserved == 200


def test_a_refusal_says_how_many_credits_are_missing(wallet, now):
    ledger.reserve(wallet_id=wallet.id, key="a", amount=300, now=now)
    with pytest.raises(ledger.InsufficientCredits) as caught:
        ledger.reserve(wallet_id=wallet.id, key="b", amount=201, now=now)
    assert (caught.value.needed, caught.value.available, caught.value.missing) == (201, 200, 1)
    assert Reservation.objects.count() == 1
    ledger.reserve(wallet_id=wallet.id, key="c", amount=200, now=now)
    assert assert_sound(wallet).available == 0


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_below_one_cannot_be_reserved(wallet, now, amount):
    with pytest.raises(ValueError):
        ledger.reserve(wallet_id=wallet.id, key="a", amount=amount, now=now)


def test_a_reservation_resolves_once(wallet, now):
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now)
    ledger.release(reservation_id=reservation.id, now=now)
    for again in (ledger.release, ledger.capture):
        with pytest.raises(ledger.AlreadyResolved, match="released"):
            again(reservation_id=reservation.id, now=now)
    assert assert_sound(wallet).available == 500


def test_an_unknown_reservation_is_reported_as_missing(db, now):
    with pytest.raises(ledger.AlreadyResolved, match="missing"):
        ledger.capture(reservation_id=12345, now=now)


def test_a_reservation_expires_after_ten_minutes_and_not_before(wallet, now):
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now)
    assert ledger.expire_reservations(now=now + timedelta(seconds=599)) == []
    assert ledger.expire_reservations(now=now + timedelta(seconds=600)) == [wallet.id]
    with pytest.raises(ledger.AlreadyResolved, match="expired"):
        ledger.capture(reservation_id=reservation.id, now=now)
    assert assert_sound(wallet).available == 500


def test_a_frozen_wallet_refuses_reservations_and_allows_captures(wallet, now):
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now)
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)
    with pytest.raises(ledger.WalletFrozen):
        ledger.reserve(wallet_id=wallet.id, key="b", amount=1, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)
    ledger.set_frozen(wallet_id=wallet.id, frozen=False, now=now)
    ledger.reserve(wallet_id=wallet.id, key="b", amount=1, now=now)
    assert assert_sound(wallet).available == 299


def test_a_freeze_is_dated_no_earlier_than_the_last_reservation_before_it(wallet, now):
    """The caller may have read the clock long before the freeze runs."""
    reserved_at = now + timedelta(minutes=2)
    ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=reserved_at)

    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)

    assert assert_sound(wallet).frozen_at == reserved_at


def test_a_freeze_is_dated_no_earlier_than_the_last_payment_before_it(alice, wallet, now):
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)
    assert assert_sound(wallet).frozen_at == now, "nothing came before it"
    ledger.set_frozen(wallet_id=wallet.id, frozen=False, now=now)
    asked_at = now + timedelta(minutes=2)
    Payment.objects.create(
        customer=alice, kind="pack", amount_cents=2_500, gateway="stripe", created_at=asked_at
    )

    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)

    assert assert_sound(wallet).frozen_at == asked_at


def test_a_wallet_frozen_between_read_and_update_is_reported_as_frozen(wallet, now):
    def freeze_first(execute, sql, params, many, context):
        if sql == reservations.RESERVE_AVAILABLE:
            ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(freeze_first), pytest.raises(ledger.WalletFrozen):
        ledger.reserve(wallet_id=wallet.id, key="a", amount=1, now=now)
    assert not Reservation.objects.exists()


def test_capture_draws_in_metronomes_order(alice, now):
    day = timedelta(days=1)
    fund(alice, 100, now, segment_id="pack", priority=100)
    fund(alice, 100, now, segment_id="plan-late", priority=10, ends_at=now + 30 * day)
    fund(alice, 100, now, segment_id="plan-paid", priority=10, ends_at=now + day, is_free=False)
    fund(alice, 100, now, segment_id="plan-soon", priority=10, ends_at=now + 2 * day)
    wallet = fund(alice, 100, now, segment_id="complimentary", priority=5)
    drawn = []
    for at in range(5):
        reservation = ledger.reserve(wallet_id=wallet.id, key=str(at), amount=100, now=now)
        ledger.capture(reservation_id=reservation.id, now=now)
        drawn += [
            g.segment_id for g in wallet.grants.filter(remaining=0) if g.segment_id not in drawn
        ]
    assert drawn == ["complimentary", "plan-soon", "plan-late", "plan-paid", "pack"]
    assert assert_sound(wallet).balance == 0


def test_a_grant_received_twice_is_one_entry(alice, now):
    fund(alice, 100, now, segment_id="s")
    wallet = fund(alice, 100, now, segment_id="s")
    assert assert_sound(wallet).balance == 100
    assert LedgerEntry.objects.count() == 1


def test_a_changed_grant_is_a_delta_entry(alice, now):
    fund(alice, 100, now, segment_id="s")
    assert assert_sound(fund(alice, 150, now, segment_id="s")).balance == 150
    wallet = fund(alice, 30, now, segment_id="s")
    assert assert_sound(wallet).balance == 30
    assert list(wallet.entries.order_by("id").values_list("amount", flat=True)) == [100, 50, -120]


def test_a_reduced_grant_takes_back_neither_spent_nor_reserved_credits(alice, now):
    wallet = fund(alice, 100, now, segment_id="s")
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=40, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)
    ledger.reserve(wallet_id=wallet.id, key="b", amount=50, now=now)

    wallet = assert_sound(fund(alice, 0, now, segment_id="s"))

    assert (wallet.balance, wallet.reserved) == (50, 50)


def test_a_grant_that_vanished_for_a_while_returns_without_its_spent_credits(alice, now):
    wallet = fund(alice, 100, now, segment_id="s")
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=40, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)

    assert assert_sound(fund(alice, 0, now, segment_id="s")).balance == 0
    assert assert_sound(fund(alice, 100, now, segment_id="s")).balance == 60

    grant = wallet.grants.get()
    assert (grant.granted, grant.remaining) == (100, 60)


def test_a_future_grant_counts_from_its_start(alice, now):
    hour = timedelta(hours=1)
    wallet = fund(alice, 100, now + 3 * hour, segment_id="later")
    CreditGrant.objects.update(starts_at=now + 2 * hour)
    LedgerEntry.objects.all().delete()
    Wallet.objects.update(balance=0)
    grant = CreditGrant.objects.get()
    assert ledger.start_or_end_grant(grant_id=grant.id, now=now) == now + 2 * hour
    assert assert_sound(wallet).balance == 0
    ledger.start_or_end_grant(grant_id=grant.id, now=now + 2 * hour)
    assert assert_sound(wallet).balance == 100


def test_an_ended_grant_expires_once_and_only_what_is_left(alice, now):
    end = now + timedelta(hours=1)
    wallet = fund(alice, 100, now, ends_at=end)
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=30, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)
    grant = wallet.grants.get()
    assert ledger.start_or_end_grant(grant_id=grant.id, now=now) == end
    for _ in range(2):
        assert ledger.start_or_end_grant(grant_id=grant.id, now=end) is None
    assert assert_sound(wallet).balance == 0
    assert list(wallet.entries.order_by("id").values_list("amount", flat=True)) == [100, -30, -70]


def test_reserve_never_uses_an_ended_grant_even_without_a_worker(alice, now):
    end = now + timedelta(hours=1)
    fund(alice, 100, now, segment_id="ends", ends_at=end)
    wallet = fund(alice, 50, now, segment_id="stays")
    with pytest.raises(ledger.InsufficientCredits) as caught:
        ledger.reserve(wallet_id=wallet.id, key="a", amount=51, now=end)
    assert caught.value.available == 50
    ledger.reserve(wallet_id=wallet.id, key="b", amount=50, now=end)
    assert assert_sound(wallet).available == 0


def ending_and_lasting(customer, now):
    """A grant of 500 credits that ends at `now`, drawn first, and one of 1,000 that lasts."""
    fund(customer, 500, now - timedelta(hours=2), segment_id="ends", ends_at=now)
    return fund(customer, 1_000, now - timedelta(hours=2), segment_id="lasts", priority=50)


def test_a_reservation_made_after_an_expiry_is_dated_no_earlier_than_the_end(alice, now):
    """Dated before the end, usage would draw the ended grant at Metronome and another one here."""
    wallet = ending_and_lasting(alice, now)
    ledger.expire_ended(wallet_id=wallet.id, now=now)

    reservation = ledger.reserve(
        wallet_id=wallet.id, key="a", amount=100, now=now - timedelta(milliseconds=5)
    )

    assert reservation.created_at == Reservation.objects.get().created_at == now
    ledger.capture(reservation_id=reservation.id, now=now)
    assert dict(CreditGrant.objects.values_list("segment_id", "remaining")) == {
        "ends": 0,
        "lasts": 900,
    }


def test_a_reservation_made_after_a_grant_started_is_dated_no_earlier_than_its_start(alice, now):
    """Dated before it, usage would have no credits at Metronome, and those of the grant here."""
    wallet = fund(alice, 100, now, segment_id="new")
    fund(alice, 100, now - timedelta(hours=2), segment_id="backdated")

    start = now - timedelta(hours=1)  # as `fund` has it
    reservation = ledger.reserve(
        wallet_id=wallet.id, key="a", amount=150, now=start - timedelta(minutes=3)
    )

    assert reservation.created_at == Reservation.objects.get().created_at == start


def test_a_reservation_that_read_the_wallet_before_a_start_is_dated_anew(alice, now, monkeypatch):
    start, one = now - timedelta(hours=1), ledger.sql.one
    wallet = fund(alice, 100, now - timedelta(hours=2), segment_id="old")

    def read_and_fund(statement, params):
        row = one(statement, params)
        if statement == reservations.READ_FOR_RESERVE and wallet.grants.count() == 1:
            fund(alice, 100, now, segment_id="new")
        return row

    monkeypatch.setattr(ledger.sql, "one", read_and_fund)

    reservation = ledger.reserve(
        wallet_id=wallet.id, key="a", amount=50, now=start - timedelta(minutes=3)
    )

    assert reservation.created_at == Reservation.objects.get().created_at == start
    assert assert_sound(wallet).available == 150


def test_a_reservation_that_read_the_wallet_before_an_expiry_is_dated_anew(alice, now, monkeypatch):
    wallet, reads, one = ending_and_lasting(alice, now), [], ledger.sql.one

    def read_and_expire(statement, params):
        row = one(statement, params)
        if statement == reservations.READ_FOR_RESERVE and not reads:
            reads.append(row)
            ledger.expire_ended(wallet_id=wallet.id, now=now)
        return row

    monkeypatch.setattr(ledger.sql, "one", read_and_expire)

    reservation = ledger.reserve(
        wallet_id=wallet.id, key="a", amount=100, now=now - timedelta(milliseconds=5)
    )

    assert reads and reservation.created_at == Reservation.objects.get().created_at == now
    assert assert_sound(wallet).available == 900


def test_a_reservation_is_captured_from_the_grant_that_ended_meanwhile(alice, now):
    end = now + timedelta(minutes=5)
    fund(alice, 100, now, segment_id="ends", ends_at=end)
    wallet = fund(alice, 100, now, segment_id="stays")
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=60, now=now)
    ending = wallet.grants.get(segment_id="ends")
    ledger.start_or_end_grant(grant_id=ending.id, now=end)
    assert assert_sound(wallet).available == 100

    ledger.capture(reservation_id=reservation.id, now=end)

    assert assert_sound(wallet).balance == 100
    assert wallet.grants.get(segment_id="stays").remaining == 100


def test_reserved_credits_of_an_ended_grant_are_lost_when_released(alice, now):
    end = now + timedelta(minutes=5)
    fund(alice, 100, now, segment_id="ends", ends_at=end)
    wallet = fund(alice, 100, now, segment_id="stays")
    early = ledger.reserve(wallet_id=wallet.id, key="a", amount=60, now=now)
    ledger.start_or_end_grant(grant_id=wallet.grants.get(segment_id="ends").id, now=end)
    ledger.reserve(wallet_id=wallet.id, key="b", amount=100, now=end)  # of the other grant
    ledger.release(reservation_id=early.id, now=end)

    with pytest.raises(ledger.InsufficientCredits):
        ledger.reserve(wallet_id=wallet.id, key="c", amount=1, now=end)
    ledger.expire_ended(wallet_id=wallet.id, now=end)

    assert (assert_sound(wallet).balance, wallet.reserved) == (100, 100)


def test_a_backdated_grant_covers_usage_since_its_start(alice, now):
    """A plan chosen at 10:20 starts at 10:00, so Metronome draws the 10:10 usage from it."""
    wallet = fund(alice, 100, now, segment_id="pack", priority=100)
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=60, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)

    fund(alice, 50, now, segment_id="plan", priority=10)

    assert assert_sound(wallet).balance == 90
    assert wallet.grants.get(segment_id="plan").remaining == 0
    assert wallet.grants.get(segment_id="pack").remaining == 90


def test_a_backdated_grant_does_not_cover_usage_before_its_start(alice, now):
    wallet = fund(alice, 100, now - timedelta(hours=3), segment_id="pack", priority=100)
    for hours in (2, 0):
        at = now - timedelta(hours=hours)
        reservation = ledger.reserve(
            wallet_id=wallet.id, key=f"{hours} hours ago", amount=30, now=at
        )
        ledger.capture(reservation_id=reservation.id, now=at)

    fund(alice, 50, now, segment_id="plan", priority=10)

    assert assert_sound(wallet).balance == 90
    assert wallet.grants.get(segment_id="plan").remaining == 20
    assert wallet.grants.get(segment_id="pack").remaining == 70


def test_a_grant_does_not_take_over_from_grants_before_it_in_draw_order(alice, now):
    wallet = fund(alice, 100, now, segment_id="complimentary", priority=5)
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=60, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)

    fund(alice, 50, now, segment_id="plan", priority=10)

    assert wallet.grants.get(segment_id="plan").remaining == 50


def test_an_adjustment_takes_no_reserved_credits(wallet, now):
    ledger.reserve(wallet_id=wallet.id, key="a", amount=450, now=now)
    entry = ledger.adjust(wallet_id=wallet.id, amount=-100, left={}, note="drift", now=now)
    assert entry.amount == -50
    assert assert_sound(wallet).available == 0
    assert ledger.adjust(wallet_id=wallet.id, amount=-100, left={}, note="drift", now=now) is None


def test_a_positive_adjustment_refills_grants(wallet, now):
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=300, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)
    ledger.adjust(wallet_id=wallet.id, amount=400, left={}, note="drift", now=now)
    assert assert_sound(wallet).balance == 600
    assert wallet.grants.get().remaining == 500


@pytest.mark.django_db(transaction=True)
def test_a_reservation_made_as_its_grant_ends_keeps_its_credits(alice, now):
    end = now + timedelta(hours=1)
    wallet = fund(alice, 100, now, ends_at=end)
    expired = []

    def expire() -> None:
        expired.append(ledger.expire_ended(wallet_id=wallet.id, now=end))
        connection.close()

    late = threading.Thread(target=expire)
    with transaction.atomic():
        ledger.reserve(wallet_id=wallet.id, key="a", amount=60, now=end - timedelta(seconds=1))
        late.start()
        late.join(timeout=0.3)  # it waits for our locks
    late.join()

    assert expired == [40]
    assert (assert_sound(wallet).balance, wallet.reserved) == (60, 60)


def test_credits_in_flight_are_counted_until_a_minute_after_they_are_acknowledged(wallet, now):
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=300, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)
    assert ledger.in_flight(wallet_id=wallet.id, now=now) == (300, 0)
    ledger.acknowledge(reservation_ids=[reservation.id], now=now)
    assert ledger.in_flight(wallet_id=wallet.id, now=now + timedelta(seconds=59)) == (0, 300)
    assert ledger.in_flight(wallet_id=wallet.id, now=now + timedelta(seconds=60)) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_a_thousand_concurrent_spends_of_ten_from_500_succeed_fifty_times(wallet, now):
    outcomes: list[str] = []

    def spend(thread: int) -> None:
        for at in range(125):
            try:
                reservation = ledger.reserve(
                    wallet_id=wallet.id, key=f"{thread}-{at}", amount=10, now=now
                )
                ledger.capture(reservation_id=reservation.id, amount=10, now=now)
                outcomes.append("spent")
            except ledger.InsufficientCredits:
                outcomes.append("refused")
        connection.close()

    threads = [threading.Thread(target=spend, args=(at,)) for at in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert outcomes.count("spent") == 50 and outcomes.count("refused") == 950
    assert assert_sound(wallet).balance == 0
    assert wallet.grants.get().remaining == 0
