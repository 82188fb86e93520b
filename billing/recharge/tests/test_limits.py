from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from billing import metronome, plans, recharge
from billing.models import AutoRecharge, Payment, Recharge
from billing.recharge import flow, limits, requests, settings
from billing.sync import schedule
from billing.tests.money_stage import (
    balance,
    burn,
    establish,
    have_plan,
    remote_balance,
    run_to_low,
    save,
    switch_on,
)
from billing.tests.stripe_stage import DECLINED, GOOD, charged, save_card
from notifications import kinds
from notifications.models import Banner

State = Recharge.State


@pytest.fixture
def told(monkeypatch):
    """What customers are told of recharges, as kind and data."""
    seen, keys = [], set()

    def emit(customer_id, kind, key, data, now):
        assert kind in kinds.KINDS or kind in kinds.NOTICES
        if kind.startswith("recharge.") and (kind, key) not in keys:
            keys.add((kind, key))
            seen.append((kind, data))

    for module in (flow, limits):
        monkeypatch.setattr(module, "emit", emit)
    return seen


@pytest.fixture
def mid_month(stage):
    """The tenth of a month, so that no test runs over its end by chance."""
    now = stage.now()
    tenth = (now.replace(day=1) + timedelta(days=32)).replace(day=10, hour=9)
    stage.sandbox.clock.advance(tenth - now)
    return stage


def charged_cents() -> list[int]:
    return charged()


def use_up(stage, customer, left: int = 20_000) -> None:
    """Spend down to `left`, and let ten minutes pass with a worker at work."""
    burn(stage, customer, balance(customer) - left)
    for _ in range(3):
        stage.advance(seconds=70)
        stage.drain()
    stage.advance(minutes=10)
    stage.drain()


def is_on_at_metronome(customer) -> bool:
    found = metronome.recharge_configuration(
        customer_id=customer.metronome_id, contract_id=customer.contract.metronome_id
    )
    return bool(found and found.enabled)


def recharging(stage, customer, limit_cents: int | None = None) -> None:
    """25,000 → 200,000 is on, and spent down to 20,000 once."""
    establish(stage, customer)
    switch_on(stage, customer, limit_cents=limit_cents)


# --- Months ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "begins", "ends"),
    [
        ("2028-02-29T23:59:59+00:00", "2028-02-01", "2028-03-01"),
        ("2027-12-31T23:59:59+00:00", "2027-12-01", "2028-01-01"),
        ("2028-01-01T00:00:00+00:00", "2028-01-01", "2028-02-01"),
        ("2027-03-01T00:30:00+01:00", "2027-02-01", "2027-03-01"),
    ],
)
def test_a_month_is_a_calendar_month_in_utc(now, begins, ends):
    found = limits.month_of(datetime.fromisoformat(now))

    assert found == tuple(datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (begins, ends))


# --- The limit ------------------------------------------------------------------------------------


def test_without_a_limit_of_ones_own_it_is_three_recharges_each_from_an_empty_balance(
    alice, card, now
):
    row = save(alice, now, threshold=25_000, to=200_000)

    assert limits.this_month(alice.pk, row, now).limit_cents == 3 * 5_000


@pytest.mark.parametrize(
    ("threshold", "to", "left", "once_cents"),
    [
        (25_000, 200_000, 25_000, 4_375),  # just at the threshold
        (25_000, 200_000, 20_000, 4_500),
        (25_000, 200_000, 0, 5_000),  # all spent before the recharge came
        (20_000, 60_000, 20_000, 1_000),
        (20_000, 60_000, 0, 1_500),
    ],
)
def test_without_a_limit_of_ones_own_three_recharges_come_and_no_fourth(
    mid_month, webhooks, alice, told, threshold, to, left, once_cents
):
    establish(mid_month, alice)
    switch_on(mid_month, alice, threshold=threshold, to=to)
    for _ in range(4):
        use_up(mid_month, alice, left=left)

    assert charged_cents() == 3 * [once_cents]
    refused = Recharge.objects.latest("pk")
    assert (refused.refusal, refused.payment) == ("limit", None)
    assert refused.month_cents == refused.limit_cents == 3 * once_cents
    assert AutoRecharge.objects.get().paused_until_at
    assert balance(alice) == remote_balance(alice) == left
    assert [kind for kind, _ in told] == 3 * ["recharge.done"] + ["recharge.limit_reached"]


def test_the_limit_of_three_says_what_the_rest_of_them_may_cost(mid_month, webhooks, alice):
    recharging(mid_month, alice)
    seen = []
    for left in (25_000, 0, 20_000):
        use_up(mid_month, alice, left=left)
        row = AutoRecharge.objects.get()
        month = limits.this_month(alice.pk, row, mid_month.now())
        made = Recharge.objects.latest("pk")
        assert (made.month_cents, made.limit_cents) == (month.charged_cents, month.limit_cents)
        seen.append((month.charged_cents, month.limit_cents))

    assert seen == [(4_375, 14_375), (9_375, 14_375), (13_875, 13_875)]


def test_a_limit_of_ones_own_after_three_recharges_lets_more_through(mid_month, webhooks, alice):
    recharging(mid_month, alice)
    for _ in range(4):
        use_up(mid_month, alice)
    assert len(charged_cents()) == 3

    save(alice, mid_month.now(), limit_cents=18_000)
    mid_month.drain()

    assert charged_cents() == 4 * [4_500]
    save(alice, mid_month.now())
    burn(mid_month, alice, balance(alice) - 20_000)
    mid_month.advance(minutes=11)
    mid_month.drain()
    assert len(charged_cents()) == 4, "four are more than three"


def test_at_the_limit_the_request_is_refused_without_a_charge_and_it_pauses(
    mid_month, webhooks, alice, told
):
    recharging(mid_month, alice, limit_cents=9_500)
    for _ in range(3):
        use_up(mid_month, alice)

    assert charged_cents() == [4_500, 4_500]
    refused = Recharge.objects.latest("pk")
    assert (refused.state, refused.refusal, refused.payment) == (State.FAILED, "limit", None)
    assert (refused.month_cents, refused.limit_cents) == (9_000, 9_500)
    row = AutoRecharge.objects.get()
    _, resets_at = limits.month_of(mid_month.now())
    assert (row.enabled, row.failure, row.paused_until_at) == (True, "", resets_at)
    assert not is_on_at_metronome(alice)
    assert balance(alice) == remote_balance(alice) == 20_000
    assert [kind for kind, _ in told] == [
        "recharge.done",
        "recharge.done",
        "recharge.limit_near",
        "recharge.limit_reached",
    ]
    assert told[-1][1] == {
        "limit_cents": 9_500,
        "month_cents": 9_000,
        "resets_at": resets_at.isoformat(),
    }


def test_a_pause_asks_metronome_nothing_again_and_again(mid_month, webhooks, alice, monkeypatch):
    recharging(mid_month, alice, limit_cents=5_000)
    for _ in range(2):
        use_up(mid_month, alice)
    assert AutoRecharge.objects.get().paused_until_at
    pushed = []
    monkeypatch.setattr(metronome, "set_recharge", lambda **wanted: pushed.append(wanted))

    for _ in range(30):
        mid_month.advance(minutes=45)
        schedule.run_now(alice.pk, mid_month.now())
        mid_month.drain()

    assert pushed == []
    assert Recharge.objects.count() == 2
    assert AutoRecharge.objects.get().enabled


def test_a_new_month_ends_the_pause_by_itself(mid_month, webhooks, alice, told):
    recharging(mid_month, alice, limit_cents=5_000)
    for _ in range(2):
        use_up(mid_month, alice)
    row = AutoRecharge.objects.get()
    assert row.due_at == row.paused_until_at

    mid_month.sandbox.clock.advance(row.paused_until_at - mid_month.now())
    for _ in range(3):
        mid_month.advance(seconds=70)
        mid_month.drain()

    assert charged_cents() == [4_500, 4_500]
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)
    row.refresh_from_db()
    assert (row.enabled, row.paused_until_at) == (True, None)
    assert is_on_at_metronome(alice)
    assert [kind for kind, _ in told].count("recharge.limit_reached") == 1


def test_a_higher_limit_ends_the_pause_and_charges_what_was_shown(mid_month, webhooks, alice):
    recharging(mid_month, alice, limit_cents=5_000)
    for _ in range(2):
        use_up(mid_month, alice)
    assert charged_cents() == [4_500]

    save(alice, mid_month.now(), limit_cents=20_000)
    mid_month.drain()

    assert charged_cents() == [4_500, 4_500]
    assert AutoRecharge.objects.get().paused_until_at is None
    assert is_on_at_metronome(alice)
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)


def test_only_the_higher_is_told_when_a_charge_passes_both_marks(mid_month, webhooks, alice, told):
    recharging(mid_month, alice, limit_cents=4_500)
    use_up(mid_month, alice)

    assert [kind for kind, _ in told] == ["recharge.done", "recharge.limit_reached"]
    assert told[0][1] == {
        "recharge": str(Recharge.objects.get().pk),
        "amount_cents": 4_500,
        "credits": 180_000,
        "month_cents": 4_500,
        "limit_cents": 4_500,
    }


def test_eighty_percent_is_told_once(mid_month, webhooks, alice, told):
    recharging(mid_month, alice, limit_cents=10_000)
    for left in (20_000, 24_000):
        use_up(mid_month, alice, left=left)

    assert charged_cents() == [4_500, 4_400]
    assert [kind for kind, _ in told if kind != "recharge.done"] == ["recharge.limit_near"]


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        (lambda alice, now: save(alice, now, limit_cents=5_000, threshold=24_000), True),
        (lambda alice, now: save(alice, now, limit_cents=9_000), False),
        (lambda alice, now: save(alice, now, limit_cents=None), False),
        (lambda alice, now: save(alice, now, limit_cents=5_000, enabled=False), False),
        (lambda alice, now: settings.switch_off(customer_id=alice.pk, now=now), False),
    ],
    ids=["another threshold", "higher", "the default", "off", "off by the link of a mail"],
)
def test_the_banner_of_a_limit_goes_with_the_limit(mid_month, webhooks, alice, change, stays):
    recharging(mid_month, alice, limit_cents=5_000)
    use_up(mid_month, alice)
    banners = Banner.objects.filter(kind="recharge.limit_near", closed_at=None)
    assert banners.count() == 1

    change(alice, mid_month.now())

    assert banners.count() == stays


@pytest.mark.parametrize(
    ("month_cents", "limit_cents", "kind"),
    [
        (7_999, 10_000, ""),
        (8_000, 10_000, "recharge.limit_near"),
        (9_999, 10_000, "recharge.limit_near"),
        (10_000, 10_000, "recharge.limit_reached"),
        (10_001, 10_001, "recharge.limit_reached"),
        (10_680, 13_350, "recharge.limit_near"),  # exactly 80 %
        (10_679, 13_350, ""),
    ],
)
def test_the_marks_are_exact(alice, now, told, month_cents, limit_cents, kind):
    numbers = {"month_cents": month_cents, "limit_cents": limit_cents}
    made = {"workflow_id": "w", "invoice_total": "1", "created_at": now, "resets_at": now}
    limits.emit_used(Recharge.objects.create(customer=alice, **made, **numbers), now)

    assert [one for one, _ in told] == ([kind] if kind else [])


def test_a_charge_of_the_last_second_counts_in_both_months_it_may_belong_to(alice, now):
    """Requested in one month, charged in the next: neither month may get above its limit."""
    begins_at, resets_at = limits.month_of(now)
    payment = Payment.objects.create(
        customer=alice,
        kind="recharge",
        state="charged",
        amount_cents=4_000,
        gateway="stripe",
        created_at=resets_at - timedelta(seconds=2),
    )
    Recharge.objects.create(
        customer=alice,
        workflow_id="w",
        state="granted",
        invoice_total="4000",
        payment=payment,
        created_at=resets_at - timedelta(seconds=3),
        charged_at=resets_at + timedelta(seconds=2),
    )

    def month_at(moment):
        return limits.month_with(alice.pk, moment, limit_cents=1, recharge_to_credits=60_000)

    for moment in (resets_at - timedelta(seconds=1), resets_at + timedelta(minutes=1)):
        assert month_at(moment).charged_cents == 4_000
    later = resets_at + timedelta(days=31)
    assert month_at(later).charged_cents == 0


# --- Ten minutes ----------------------------------------------------------------------------------


def test_the_third_charge_within_ten_minutes_waits(mid_month, webhooks, alice):
    recharging(mid_month, alice, limit_cents=100_000)
    moments = []
    for _ in range(3):
        burn(mid_month, alice, balance(alice) - 20_000)
        mid_month.sandbox.tick()
        mid_month.drain()
        moments.append(mid_month.now())
        mid_month.advance(minutes=2)
        mid_month.drain()

    assert len(charged_cents()) == 2
    waiting = Recharge.objects.latest("pk")
    assert (waiting.state, waiting.payment) == (State.REQUESTED, None)
    assert waiting.due_at == moments[0] + timedelta(minutes=10)

    mid_month.sandbox.clock.advance(waiting.due_at - mid_month.now())
    mid_month.drain()

    assert len(charged_cents()) == 3
    assert balance(alice) == remote_balance(alice) == 200_000


def test_speaking_in_a_loop_cannot_charge_more_than_the_limit(mid_month, webhooks, alice):
    """24 charges, $287.50 in 100 seconds: what a loop did before there were limits."""
    establish(mid_month, alice)
    switch_on(mid_month, alice, threshold=20_000, to=60_000)
    for _ in range(100):
        left = balance(alice)
        if left > 10_000:
            burn(mid_month, alice, 10_000)
        mid_month.advance(seconds=1)
        mid_month.drain()
    assert len(charged_cents()) <= 2

    for _ in range(120):
        if balance(alice) > 10_000:
            burn(mid_month, alice, 10_000)
        mid_month.advance(minutes=1)
        mid_month.drain()

    assert len(charged_cents()) == 3
    assert sum(charged_cents()) <= plans.recharge_limit_cents(60_000) == 4_500
    assert AutoRecharge.objects.get().paused_until_at
    assert balance(alice) == remote_balance(alice)


# --- Charged at once ------------------------------------------------------------------------------


def test_saving_at_a_low_balance_is_refused_until_its_amount_was_shown(stage, webhooks, alice):
    establish(stage, alice, credits=20_000)
    have_plan(alice, stage.now())
    numbers = {
        "customer": alice,
        "threshold_credits": 25_000,
        "recharge_to_credits": 200_000,
        "limit_cents": None,
        "now": stage.now(),
    }
    found = recharge.preview(**numbers)
    assert (found.due_cents, found.credits, found.balance) == (4_500, 180_000, 20_000)
    for shown in (0, 4_499, 4_501):
        with pytest.raises(recharge.NotShown) as changed:
            recharge.save_settings(**numbers, enabled=True, shown_cents=shown)
        assert changed.value.at_once.due_cents == 4_500
    assert not AutoRecharge.objects.filter(enabled=True).exists()
    assert not Recharge.objects.exists()

    recharge.save_settings(**numbers, enabled=True, shown_cents=4_500)
    stage.drain()

    assert charged_cents() == [4_500]
    made = Recharge.objects.get()
    assert (made.state, made.is_own, made.grant.granted) == (State.GRANTED, True, 180_000)
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)
    assert is_on_at_metronome(alice)
    stage.advance(minutes=30)
    stage.drain()
    assert charged_cents() == [4_500], "Metronome asks for nothing more"


def test_the_same_form_twice_charges_once(stage, webhooks, alice):
    from uuid import uuid4

    establish(stage, alice, credits=20_000)
    have_plan(alice, stage.now())
    form = {
        "customer": alice,
        "enabled": True,
        "threshold_credits": 25_000,
        "recharge_to_credits": 200_000,
        "shown_cents": 4_500,
        "key": uuid4(),
        "now": stage.now(),
    }
    for _ in range(2):
        recharge.save_settings(**form)
    stage.drain()
    recharge.save_settings(**form)
    stage.drain()

    assert charged_cents() == [4_500]


def test_a_request_from_before_the_balance_was_filled_up_is_refused(stage, webhooks, alice):
    """Metronome asks while the customer confirms: one of the two is charged."""
    run_to_low(stage, alice)
    asked_at = stage.now()
    save(alice, stage.now(), threshold=60_000)
    own = Recharge.objects.get()
    assert own.is_own
    stage.drain()
    stage.advance(seconds=15)
    stage.drain()

    late = Recharge.objects.latest("pk")
    assert late.created_at >= asked_at
    assert (late.state, late.refusal, late.payment) == (State.FAILED, "outdated", None)
    assert charged_cents() == [4_500]
    stage.advance(minutes=20)
    stage.drain()
    row = AutoRecharge.objects.get()
    assert (row.enabled, row.failure) == (True, "")
    assert is_on_at_metronome(alice)
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)


def test_after_a_decline_and_a_new_card_it_is_evaluated_at_once(stage, webhooks, alice, told):
    save_card(alice, DECLINED, stage.now())
    run_to_low(stage, alice)
    stage.drain()
    assert [kind for kind, _ in told] == ["recharge.declined"]
    declined = Recharge.objects.get()
    assert told[0][1] == {
        "recharge": str(declined.pk),
        "amount_cents": 4_500,
        "failure": "Your card was declined.",
    }
    save_card(alice, GOOD, stage.now())
    stage.advance(hours=3)
    stage.drain()
    assert charged_cents() == [], "it never switches itself on"

    save(alice, stage.now())
    stage.drain()

    assert charged_cents() == [4_500]
    assert balance(alice) == remote_balance(alice) == 200_000


def test_an_own_recharge_that_is_declined_switches_it_off(stage, webhooks, alice):
    save_card(alice, DECLINED, stage.now())
    establish(stage, alice, credits=20_000)
    save(alice, stage.now())
    stage.drain()
    stage.advance(minutes=5)
    stage.drain()

    row = AutoRecharge.objects.get()
    assert (row.enabled, row.failure) == (False, "Your card was declined.")
    assert not is_on_at_metronome(alice)
    assert charged_cents() == []


def test_saving_over_the_limit_charges_nothing_and_pauses(mid_month, webhooks, alice):
    recharging(mid_month, alice, limit_cents=5_000)
    use_up(mid_month, alice)
    burn(mid_month, alice, balance(alice) - 20_000)

    row = save(alice, mid_month.now(), limit_cents=5_000)

    assert row.paused_until_at == limits.month_of(mid_month.now())[1]
    mid_month.drain()
    assert charged_cents() == [4_500]


# --- Who may switch it on -------------------------------------------------------------------------


def test_it_cannot_be_switched_on_without_a_plan_or_a_card(alice, now, monkeypatch):
    numbers = {"threshold_credits": 25_000, "recharge_to_credits": 200_000, "now": now}
    with pytest.raises(recharge.SettingsInvalid) as refused:
        recharge.save_settings(customer=alice, enabled=True, **numbers)
    assert "Choose a plan first" in refused.value.errors["enabled"]
    recharge.save_settings(customer=alice, enabled=False, **numbers)

    have_plan(alice, now)
    with pytest.raises(recharge.SettingsInvalid) as refused:
        recharge.save_settings(customer=alice, enabled=True, **numbers)
    assert "Save a card first" in refused.value.errors["enabled"]
    assert not AutoRecharge.objects.get().enabled


def test_an_own_recharge_has_a_price_as_metronome_computes_it():
    made = Recharge(invoice_total=str(requests.own_total(175_001)))

    assert (made.invoice_total, made.amount_cents) == ("4375.025", 4_375)
