"""Which grant pays for what: as Metronome says it, hour by hour, whichever grant or usage the ledger hears of first."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing import ledger
from billing.hours import floor_hour
from billing.ledger.drawdown import Pool, draw

pytestmark = pytest.mark.django_db

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def noon(now):
    return floor_hour(now)


@pytest.fixture
def hear_of(alice):
    """Records a grant of so many credits from one moment to another, first heard of at a third."""
    wallet = ledger.wallet_of(alice.id)

    def hear_of(name, credits, *, priority, starts_at, ends_at=None, at, made_at=None):
        segment = ledger.Segment(
            kind="credit", remote_id=name, segment_id=name, key="", name=name, amount=credits,
            priority=Decimal(priority), is_free=True, starts_at=starts_at, ends_at=ends_at or at + 365 * DAY, made_at=made_at,
        )  # fmt: skip
        ledger.record_grant(wallet_id=wallet.id, segment=segment, now=at)
        return wallet

    return hear_of


def use(wallet, credits, *, at, captured_at=None):
    hold = ledger.reserve(wallet_id=wallet.id, key=f"{at} {credits}", amount=credits, now=at)
    ledger.capture(reservation_id=hold.id, now=captured_at or at)


def at(*moment):
    return datetime(2026, *moment, tzinfo=UTC)


def left(wallet):
    """What the grants have left, by name; what is left of them is the balance."""
    wallet.refresh_from_db()
    found = dict(wallet.grants.values_list("name", "remaining"))
    assert wallet.balance == sum(found.values()) == sum(wallet.entries.values_list("amount", flat=True))
    return found


def test_a_grant_heard_of_after_its_end_pays_for_its_time_and_what_it_saves_pays_for_what_came_after(hear_of, noon):
    hear_of("plan", 100, priority=10, starts_at=noon, at=noon)
    wallet = hear_of("pack", 100, priority=100, starts_at=noon, at=noon)
    use(wallet, 100, at=noon + MINUTE)
    use(wallet, 30, at=noon + HOUR)
    assert left(wallet) == {"plan": 0, "pack": 70}

    hear_of("gift", 1, priority=5, starts_at=noon, ends_at=noon + HOUR, at=noon + 2 * HOUR)

    assert left(wallet) == {"gift": 0, "plan": 0, "pack": 71}


def test_each_grant_that_begins_in_the_past_takes_over_from_those_that_did_so_before(hear_of, noon):
    wallet = hear_of("pack", 200, priority=100, starts_at=noon, at=noon)
    use(wallet, 100, at=noon)
    hear_of("plan", 50, priority=10, starts_at=noon, at=noon + MINUTE)
    assert left(wallet) == {"plan": 0, "pack": 150}

    hear_of("gift", 80, priority=5, starts_at=noon, at=noon + 2 * MINUTE)

    assert left(wallet) == {"gift": 0, "plan": 30, "pack": 200}


@pytest.mark.parametrize(
    ("made", "heard", "drawn"),
    [
        ((2, 1, 23), (2, 1, 23), 100),  # January's invoice is a draft for another hour
        ((2, 2, 0), (2, 2, 0), 40),
        ((2, 1, 23), (2, 9, 0), 100),  # Metronome had it in time, whenever we hear of it
        ((2, 2, 0), (2, 9, 0), 40),
    ],
)
def test_what_was_used_in_a_month_that_is_final_at_metronome_stays_paid(hear_of, made, heard, drawn):
    wallet = hear_of("pack", 200, priority=100, starts_at=at(1, 31, 10), at=at(1, 31, 10))
    use(wallet, 60, at=at(1, 31, 23))
    use(wallet, 40, at=at(2, 1, 0))

    hear_of("plan", 150, priority=10, starts_at=at(1, 31, 10), made_at=at(*made), at=at(*heard))

    assert left(wallet) == {"plan": 150 - drawn, "pack": 100 + drawn}


def test_what_is_drawn_again_of_a_final_month_is_not_paid_by_a_grant_made_since(hear_of):
    """Metronome had the gift in time, though we hear of it last; the plan it had not."""
    hear_of("pack", 200, priority=100, starts_at=at(1, 31, 10), at=at(1, 31, 10))
    wallet = hear_of("plan", 150, priority=10, starts_at=at(1, 31, 10), made_at=at(2, 2, 0), at=at(2, 2, 0))
    use(wallet, 60, at=at(1, 31, 23), captured_at=at(2, 2, 0))
    assert left(wallet) == {"pack": 140, "plan": 150}
    use(wallet, 40, at=at(2, 2, 1))

    hear_of("gift", 20, priority=5, starts_at=at(1, 31, 10), made_at=at(2, 1, 23), at=at(2, 9, 0))

    assert left(wallet) == {"gift": 0, "pack": 160, "plan": 110}


def test_a_hold_of_a_final_month_keeps_nothing_of_a_grant_made_since(hear_of):
    hear_of("pack", 200, priority=100, starts_at=at(1, 31, 10), at=at(1, 31, 10))
    wallet = hear_of(
        "plan", 150, priority=10, starts_at=at(1, 31, 10), ends_at=at(2, 2, 2), made_at=at(2, 2, 0), at=at(2, 2, 0)
    )
    ledger.reserve(wallet_id=wallet.id, key="slow", amount=60, now=at(1, 31, 23))

    assert ledger.expire_ended(wallet_id=wallet.id, now=at(2, 2, 2)) == 150

    assert left(wallet) == {"pack": 200, "plan": 0}


def test_what_an_ended_grant_gets_back_expires(hear_of, noon):
    wallet = hear_of("plan", 100, priority=10, starts_at=noon, ends_at=noon + HOUR, at=noon)
    hear_of("pack", 100, priority=100, starts_at=noon, at=noon)
    use(wallet, 60, at=noon)
    late = noon + HOUR + MINUTE
    assert ledger.expire_ended(wallet_id=wallet.id, now=late) == 40

    hear_of("gift", 50, priority=5, starts_at=noon, at=late)

    assert left(wallet) == {"gift": 0, "plan": 50, "pack": 100}
    assert wallet.grants.get(name="plan").due_at == late
    assert ledger.expire_ended(wallet_id=wallet.id, now=late) == 50
    assert left(wallet)["plan"] == 0


def test_what_an_adjustment_puts_back_is_not_spent_after_its_end(hear_of, noon):
    """Not even while no worker writes it off: the gate knows when it ends."""
    wallet = hear_of("plan", 100, priority=10, starts_at=noon, ends_at=noon + HOUR, at=noon)
    use(wallet, 100, at=noon)
    hear_of("pack", 100, priority=100, starts_at=noon, ends_at=noon + 9 * HOUR, at=noon)
    use(wallet, 50, at=noon)

    ledger.adjust(wallet_id=wallet.id, amount=120, note="Metronome had more", now=noon)

    assert left(wallet) == {"plan": 70, "pack": 100}
    with pytest.raises(ledger.InsufficientCredits, match="100 available"):
        ledger.reserve(wallet_id=wallet.id, key="late", amount=101, now=noon + HOUR)


def test_what_a_late_capture_puts_back_is_not_spent_after_its_end(hear_of, noon):
    """Somebody has another grant drawn first now, so what the plan paid comes back to it when usage is drawn again."""
    wallet = hear_of("plan", 100, priority=10, starts_at=noon, ends_at=noon + 2 * HOUR, at=noon)
    hear_of("pack", 200, priority=100, starts_at=noon, at=noon)
    use(wallet, 100, at=noon)
    hear_of("pack", 200, priority=1, starts_at=noon, at=noon)
    hear_of("gift", 5, priority=200, starts_at=noon + HOUR, at=noon + HOUR)

    use(wallet, 10, at=noon + 59 * MINUTE, captured_at=noon + HOUR + MINUTE)

    assert left(wallet) == {"plan": 100, "pack": 90, "gift": 5}
    with pytest.raises(ledger.InsufficientCredits, match="95 available"):
        ledger.reserve(wallet_id=wallet.id, key="late", amount=96, now=noon + 2 * HOUR)


def test_usage_captured_after_later_usage_draws_what_it_would_have_drawn_in_time(hear_of, noon):
    """Else the late usage would find its grants used up by later usage, which had others to draw from."""
    nine = noon - 3 * HOUR
    wallet = hear_of("ending", 50, priority=10, starts_at=nine, ends_at=nine + HOUR, at=nine)
    hear_of("lasting", 100, priority=20, starts_at=nine, at=nine)
    slow = ledger.reserve(wallet_id=wallet.id, key="slow", amount=100, now=nine + 59 * MINUTE)
    ten = nine + HOUR
    hear_of("next", 100, priority=30, starts_at=ten, at=ten)
    use(wallet, 100, at=ten)
    assert left(wallet) == {"ending": 50, "lasting": 0, "next": 100}

    ledger.capture(reservation_id=slow.id, now=ten + MINUTE)

    assert left(wallet) == {"ending": 0, "lasting": 0, "next": 50}


def test_usage_captured_after_that_of_the_next_hour_lets_it_draw_what_comes_later(hear_of, noon):
    """Else what a gift then saves of that hour would stay with the plan, and expire, where Metronome has it in the pack."""
    hear_of("plan", 100, priority=10, starts_at=noon, at=noon)
    wallet = hear_of("pack", 100, priority=100, starts_at=noon, at=noon)
    hold = ledger.reserve(wallet_id=wallet.id, key="late", amount=60, now=noon + HOUR - MINUTE)
    use(wallet, 80, at=noon + HOUR)
    ledger.capture(reservation_id=hold.id, now=noon + HOUR + MINUTE)
    assert left(wallet) == {"plan": 0, "pack": 60}

    hear_of("gift", 30, priority=5, starts_at=noon + HOUR, at=noon + HOUR + 2 * MINUTE)

    assert left(wallet) == {"gift": 0, "plan": 0, "pack": 90}


def test_nothing_is_kept_of_an_ended_grant_for_a_hold_that_draws_another_first(hear_of, noon):
    """What comes first in order was drawn by later usage, which draws elsewhere when the hold is captured: kept of the
    ended grant as well, it could be spent twice."""
    nine = noon - 3 * HOUR
    ten = nine + HOUR
    hear_of("early", 60, priority=20, starts_at=nine, ends_at=ten, at=nine)
    wallet = hear_of("first", 100, priority=10, starts_at=nine, at=nine)
    slow = ledger.reserve(wallet_id=wallet.id, key="slow", amount=80, now=nine + 55 * MINUTE)
    hear_of("last", 100, priority=30, starts_at=ten, at=ten)
    use(wallet, 100, at=ten + MINUTE)

    wallet.refresh_from_db()
    assert (wallet.balance, wallet.available) == (100, 20)
    with pytest.raises(ledger.InsufficientCredits):
        ledger.reserve(wallet_id=wallet.id, key="more", amount=21, now=ten + MINUTE)
    ledger.capture(reservation_id=slow.id, now=ten + 2 * MINUTE)

    assert left(wallet) == {"early": 0, "first": 0, "last": 20}


def test_what_was_kept_for_a_hold_expires_when_it_takes_less(hear_of, noon):
    nine = noon - 3 * HOUR
    ten = nine + HOUR
    hear_of("early", 60, priority=10, starts_at=nine, ends_at=ten, at=nine)
    wallet = hear_of("pack", 100, priority=100, starts_at=nine, at=nine)
    slow = ledger.reserve(wallet_id=wallet.id, key="slow", amount=40, now=nine + 55 * MINUTE)
    assert ledger.expire_ended(wallet_id=wallet.id, now=ten) == 20

    ledger.capture(reservation_id=slow.id, amount=10, now=ten + MINUTE)

    assert ledger.expire_ended(wallet_id=wallet.id, now=ten + MINUTE) == 30
    assert left(wallet) == {"early": 0, "pack": 100}


def test_a_grant_is_neither_drawn_nor_expired_before_a_worker_has_started_it(hear_of, noon):
    """Its credits are not in the balance yet: the others would be left with more than that."""
    hear_of("gift", 50, priority=5, starts_at=noon + HOUR, ends_at=noon + 2 * HOUR, at=noon)
    wallet = hear_of("pack", 100, priority=100, starts_at=noon, at=noon)
    use(wallet, 60, at=noon + HOUR)
    ledger.expire_ended(wallet_id=wallet.id, now=noon + 2 * HOUR)
    wallet.refresh_from_db()
    assert (wallet.balance, wallet.grants.get(name="pack").remaining) == (40, 40)

    ledger.start_or_end_grant(grant_id=wallet.grants.get(name="gift").id, now=noon + 2 * HOUR)

    assert left(wallet) == {"gift": 0, "pack": 90}


def test_each_hour_draws_from_what_covers_it_in_order(noon):
    pools = [
        Pool(1, 10, noon, noon + HOUR),
        Pool(2, 10, noon, noon + DAY),
        Pool(3, 10, noon + HOUR, noon + DAY),
    ]
    usage = {noon + HOUR: 12, noon: 14}  # told the wrong way round
    assert draw(pools, usage) == {(noon, 1): 10, (noon, 2): 4, (noon + HOUR, 2): 6, (noon + HOUR, 3): 6}


def test_usage_that_nothing_covers_draws_last_what_others_leave(noon):
    pools = [Pool(1, 10, noon, noon + HOUR), Pool(2, 10, noon + HOUR, noon + DAY)]
    usage = {noon: 15, noon + HOUR: 4}
    assert draw(pools, usage) == {(noon, 1): 10, (noon + HOUR, 2): 4, (noon, 2): 5}
