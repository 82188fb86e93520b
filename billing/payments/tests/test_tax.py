"""Tax on top of prices: what is shown, what is charged, and what a rate that changed leads to."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from accounts.models import User
from billing import recharge
from billing.models import (
    BillingProfile,
    Paper,
    Payment,
    PaymentAttempt,
    Purchase,
    Refund,
    Subscription,
)
from billing.packs import requests as packs
from billing.papers import issue
from billing.papers.tests.test_profiles import save as save_profile
from billing.payments import pay_page, tax
from billing.payments.gateways.stripe.tests.test_journeys import text
from billing.recharge import limits
from billing.refunds import preview as refunds
from billing.refunds import requests as refund_requests
from billing.subscriptions import choose, dunning, status
from billing.subscriptions.change import Shown
from billing.tests.money_stage import agree, burn, establish, have_plan, pass_time, save, select
from billing.tests.operate import run
from billing.tests.stripe_stage import (
    DECLINED,
    GOOD,
    charged,
    charges,
    have_card,
    refunded,
    save_card,
)
from mails.models import OutboundMail
from stripe_sandbox import tax as rates

pytestmark = pytest.mark.django_db
GERMANY = {"country": "DE", "postal_code": "10115", "city": "Berlin", "tax_id": ""}


@pytest.fixture(autouse=True)
def switched_on(settings):
    settings.STRIPE_TAX = True


def lives(stage, customer, **fields) -> BillingProfile:
    """The customer's address is known to us and at Stripe, and so is its rate."""
    save_profile(customer, stage.now(), **GERMANY | fields)
    stage.drain()
    return BillingProfile.objects.get(customer=customer)


def top_up(stage, customer, cents: int = 2_500) -> Payment:
    found = packs.preview(customer=customer, amount_cents=cents, now=stage.now())
    return buy(stage, customer, found)


def buy(stage, customer, found: packs.Preview) -> Payment:
    purchase = packs.buy(
        customer=customer,
        amount_cents=found.amount_cents,
        shown_tax_cents=found.tax_cents,
        shown_credits=found.credits,
        key=f"form-{found.amount_cents}",
        now=stage.now(),
    )
    stage.drain()
    return Payment.objects.get(purchase=purchase)


def linked() -> list[dict]:
    """The calculations that charges at Stripe are linked to, as what was sent names them."""
    sent = PaymentAttempt.objects.order_by("created_at", "number")
    return [attempt.parameters.get("hooks") for attempt in sent]


def mailed(kind: str) -> dict:
    return OutboundMail.objects.filter(kind=kind).latest("pk").data


# --- The rate -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percent", "cents", "wanted"),
    [
        ("19", 4_900, 931),
        ("19", 1, 0),
        ("25", 2, 1),  # half a cent is rounded up
        ("7.25", 200, 15),  # 14.5
        ("7.25", 199, 14),  # 14.4275
        ("8.875", 50_000, 4_438),  # 4,437.5
        ("0.00001", 10_000_000, 1),
        ("0", 4_900, 0),
        (None, 4_900, 0),
    ],
)
def test_tax_is_computed_in_whole_cents(alice, now, percent, cents, wanted):
    save_profile(alice, now, **GERMANY)
    BillingProfile.objects.update(tax_percent=percent)

    assert tax.on(alice.pk, cents) == wanted
    assert tax.with_tax(alice.pk, cents) == cents + wanted


@pytest.mark.parametrize(
    ("fields", "percent"),
    [
        ({}, 19),
        ({"tax_id": "DE136695976"}, 0),  # a business of the Union owes it itself
        ({"country": "CH", "postal_code": "8001"}, "8.1"),
        ({"country": "US", "state": "CA", "postal_code": "94103"}, "7.25"),
        ({"country": "US", "state": "OR", "postal_code": "97201"}, 0),
    ],
)
def test_the_rate_of_the_address_is_asked_with_the_profile(stage, alice, fields, percent):
    profile = lives(stage, alice, **fields)

    assert (str(profile.tax_percent), profile.tax_asked_at) == (
        f"{float(percent):.5f}",
        stage.now(),
    )
    assert tax.why_not(alice.pk) == ""

    save_profile(alice, stage.now(), **GERMANY | fields | {"line1": "Somewhere else 1"})
    assert tax.why_not(alice.pk) == tax.NOT_YET


def test_with_the_switch_off_nothing_is_asked_or_added(stage, alice, settings):
    settings.STRIPE_TAX = False
    profile = lives(stage, alice)
    assert (profile.tax_percent, tax.why_not(alice.pk)) == (None, "")
    have_card(alice)

    payment = top_up(stage, alice)

    assert (payment.state, payment.amount_cents, payment.tax_cents) == ("charged", 2_500, 0)
    assert linked() == [None]

    settings.STRIPE_TAX = True
    assert "19.00000 %" in run("ask_tax_rates").text
    assert tax.on(alice.pk, 2_500) == 475
    assert run("ask_tax_rates").code == 0


def test_papers_of_a_business_elsewhere_in_the_union_say_reverse_charge(stage, alice):
    lives(stage, alice, country="FR", city="Paris", postal_code="75001", tax_id="FR40303265045")
    have_card(alice)
    payment = top_up(stage, alice)

    assert (payment.state, payment.tax_cents) == ("charged", 0)
    paper = issue.receipt(payment, now=stage.now())
    assert paper.content["no_tax"].startswith("Reverse charge")
    assert paper.content["buyer"]["tax_id"] == "FR40303265045"


def test_tax_that_was_shown_is_not_charged_once_the_switch_is_off(stage, alice, settings):
    lives(stage, alice)
    have_card(alice)
    packs.buy(
        customer=alice,
        amount_cents=2_500,
        shown_tax_cents=475,
        shown_credits=100_000,
        key="form",
        now=stage.now(),
    )
    settings.STRIPE_TAX = False
    stage.drain()

    payment = Payment.objects.get()
    assert (payment.state, payment.failure) == ("failed", tax.CHANGED)
    assert charges() == []


def test_a_past_due_renewal_is_charged_without_tax_once_the_switch_is_off(stage, alice, settings):
    lives(stage, alice)
    row = select(alice, "creator", stage.now())
    stage.drain()
    row.refresh_from_db()
    save_card(alice, DECLINED, stage.now())
    pass_time(stage, seconds=(row.period_end_at - stage.now()).total_seconds())
    assert Payment.objects.get(period=1).amount_cents == 5_831
    settings.STRIPE_TAX = False
    save_card(alice, GOOD, stage.now())

    # As when the tax changes: this try only finds the amount, and the next one charges it.
    for attempt, paid in ((1, [5_831]), (2, [5_831, 4_900])):
        payment = dunning.pay_now(customer=alice, tried=attempt, now=stage.now())
        stage.drain()
        assert charged() == paid, payment.failure
        payment.refresh_from_db()
        assert (payment.amount_cents, payment.tax_cents) == (4_900, 0)


def test_an_address_that_stripe_cannot_place_is_to_be_corrected(stage, alice, monkeypatch):
    def nowhere(*args, **options):
        raise rates.refused("Where is that?", "customer_tax_location_invalid")

    monkeypatch.setattr(rates, "_rate", nowhere)
    profile = lives(stage, alice)

    assert profile.last_error == ""
    assert tax.why_not(alice.pk) == tax.NO_PLACE
    assert tax.needs_address(alice.pk)


# --- Charges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "cents", "tax_cents"),
    [
        ({}, 2_500, 475),
        ({}, 1_234, 234),
        ({"country": "US", "state": "CA", "postal_code": "94103"}, 1_000, 73),  # 72.5
        ({"country": "US", "state": "TX", "postal_code": "73301"}, 5_000, 313),  # 312.5
        ({"country": "FI", "postal_code": "00100"}, 1_010, 258),  # 257.55
        ({"tax_id": "DE136695976"}, 2_500, 0),
    ],
)
def test_a_top_up_is_charged_as_shown_with_its_calculation(stage, alice, fields, cents, tax_cents):
    lives(stage, alice, **fields)
    have_card(alice)
    found = packs.preview(customer=alice, amount_cents=cents, now=stage.now())
    assert (found.tax_cents, found.total_cents) == (tax_cents, cents + tax_cents)

    payment = buy(stage, alice, found)

    assert (payment.state, payment.failure) == ("charged", "")
    assert (payment.amount_cents, payment.tax_cents) == (cents + tax_cents, tax_cents)
    assert payment.net_cents == cents
    assert charged() == [cents + tax_cents]
    [hooks] = linked()
    made = stage.stripe.world.store.calculations
    row = next(one for one in made if one.id == hooks["inputs"]["tax"]["calculation"])
    assert (row["amount_total"], row["tax_amount_inclusive"]) == (cents + tax_cents, tax_cents)
    assert charges()[0]["hooks"]["inputs"]["tax"]["calculation"] == row.id
    assert agree(alice) == cents * 40
    printed = Paper.objects.get(payment=payment).content
    assert (printed["tax_cents"], printed["total_cents"]) == (tax_cents, cents + tax_cents)
    assert mailed("payment.received").get("tax_cents", 0) == tax_cents


def test_all_amounts_agree_with_the_calculation_to_the_cent(stage, alice):
    """The tax in the shown total, rounded, is the shown tax, whatever the rate and the amount."""
    for place in ({}, {"country": "CH", "postal_code": "8001"}, {"country": "FI"}):
        profile = lives(stage, alice, **place)
        for cents in (500, 501, 999, 1_234, 4_450, 7_777, 19_901, 49_999):
            shown = tax.on(alice.pk, cents)
            found = tax.gateway().tax(profile, cents=cents + shown, currency="USD", is_part=True)
            assert (found.cents, found.parts) == (shown, 1), (place, cents)


def test_a_rate_that_changed_since_it_was_shown_charges_nothing(stage, alice, monkeypatch):
    lives(stage, alice)
    have_card(alice)
    monkeypatch.setitem(rates.RATES, "DE", 21.0)

    payment = top_up(stage, alice)

    assert (payment.state, payment.failure) == ("failed", tax.CHANGED)
    assert (payment.amount_cents, payment.tax_cents) == (2_975, 475)
    assert Purchase.objects.get().state == "failed"
    assert charges() == []
    assert tax.on(alice.pk, 2_500) == 525  # asked anew
    assert not PaymentAttempt.objects.exists()


def test_what_was_not_shown_is_not_bought(stage, alice):
    lives(stage, alice)
    have_card(alice)
    found = packs.preview(customer=alice, amount_cents=2_500, now=stage.now())
    lives(stage, alice, country="FI", postal_code="00100")

    with pytest.raises(packs.NotShown):
        buy(stage, alice, found)
    assert not Payment.objects.exists()


def test_without_an_address_nothing_can_be_bought_or_chosen(stage, alice):
    have_card(alice)
    with pytest.raises(packs.TotalUnknown, match="write it in your billing profile") as refused:
        packs.preview(customer=alice, amount_cents=2_500, now=stage.now())
    assert refused.value.needs_address
    with pytest.raises(choose.TotalUnknown):
        choose.preview_plan(customer=alice, plan="creator", now=stage.now())
    shown = Shown(stage.now(), 4_900, 0, 0, 4_900)
    with pytest.raises(choose.TotalUnknown):
        choose.select_plan(customer=alice, plan="creator", key="k", now=stage.now(), shown=shown)
    save_profile(alice, stage.now(), **GERMANY)
    with pytest.raises(packs.TotalUnknown, match="just being worked out") as refused:
        packs.preview(customer=alice, amount_cents=2_500, now=stage.now())
    assert not refused.value.needs_address
    assert not Payment.objects.exists()


def test_at_the_page_tax_is_a_line_of_its_own(stage, alice):
    lives(stage, alice)
    _, page = packs.buy_at_page(
        customer=alice,
        amount_cents=1_234,
        shown_tax_cents=234,
        shown_credits=49_360,
        is_card_kept=True,
        key="form",
        urls=lambda payment: ("http://testserver/done", "http://testserver/left"),
        now=stage.now(),
    )
    sent = PaymentAttempt.objects.get().parameters["line_items"]
    prices = [one["price_data"] for one in sent]
    assert [(price["product_data"]["name"], price["unit_amount"]) for price in prices] == [
        ("Vocalis top-up, 49,360 credits", 1_234),
        ("Tax", 234),
    ]
    card = {"number": GOOD, "expiry": "04 / 40", "cvc": "123", "name": "Alice", "consent": "yes"}
    with httpx.Client(transport=stage.stripe.transport()) as browser:
        assert browser.post(page, data=card).is_redirect
    payment = Payment.objects.get()
    pay_page.came_back(customer=alice, payment_id=payment.pk, now=stage.now())
    stage.drain()

    payment.refresh_from_db()
    assert (payment.state, payment.last_error) == ("charged", "")
    assert (payment.amount_cents, payment.tax_cents) == (1_468, 234)
    assert Purchase.objects.get().state == "granted"
    assert charged() == [1_468]
    assert agree(alice) == 49_360


# --- Plans ----------------------------------------------------------------------------------------


def test_an_upgrade_is_reckoned_without_tax_and_taxed_on_what_is_due(stage, alice):
    lives(stage, alice)
    row = select(alice, "creator", stage.now())
    assert (row.due_cents, row.due_tax_cents) == (4_900, 931)
    stage.drain()
    row.refresh_from_db()
    pass_time(stage, days=10)

    found = choose.preview_plan(customer=alice, plan="pro", now=stage.now())
    net = (found.plan.price_cents or 0) - found.paid_back_cents
    assert 0 < found.paid_back_cents < 4_900
    assert (found.due_cents, found.due_tax_cents) == (net, (net * 19 + 50) // 100)
    assert found.next_total_cents == found.next_cents + (found.next_cents * 19 + 50) // 100
    select(alice, "pro", stage.now(), key="form-2")
    stage.drain()

    assert charged() == [4_900 + 931, found.due_total_cents]
    assert mailed("plan.changed")["amount_cents"] == found.due_total_cents
    agree(alice)


@pytest.mark.parametrize("field", ["due_tax_cents", "next_tax_cents"])
def test_another_tax_than_was_shown_is_not_agreed(stage, alice, field):
    lives(stage, alice)
    have_card(alice)
    shown = choose.preview_plan(customer=alice, plan="creator", now=stage.now()).shown
    other = {name: getattr(shown, name) for name in Shown.__dataclass_fields__}
    other[field] -= 1

    with pytest.raises(choose.NotAgreed):
        choose.select_plan(
            customer=alice, plan="creator", key="k", now=stage.now(), shown=Shown(**other)
        )


def test_a_renewal_is_announced_and_charged_with_tax(stage, alice):
    lives(stage, alice)
    row = select(alice, "creator", stage.now())
    stage.drain()
    row.refresh_from_db()
    assert status.status_of(row, stage.now()).next_cents == 5_831
    pass_time(stage, seconds=(row.period_end_at - stage.now() - timedelta(days=2)).total_seconds())
    told = mailed("plan.renews_soon")
    assert (told["amount_cents"], told["tax_cents"]) == (5_831, 931)

    pass_time(stage, days=2)

    assert charged() == [5_831, 5_831]
    renewal = Payment.objects.get(period=1)
    assert (renewal.amount_cents, renewal.tax_cents) == (5_831, 931)


def test_a_renewal_whose_tax_changed_is_told_anew_before_it_is_charged(stage, alice, monkeypatch):
    lives(stage, alice)
    row = select(alice, "creator", stage.now())
    stage.drain()
    row.refresh_from_db()
    monkeypatch.setitem(rates.RATES, "DE", 21.0)

    pass_time(stage, seconds=(row.period_end_at - stage.now()).total_seconds())

    assert charged() == [5_831]
    row.refresh_from_db()
    found = status.status_of(row, stage.now())
    assert (found.state, found.payment.failure) == ("past_due", tax.CHANGED)
    assert (found.payment.amount_cents, found.payment.tax_cents) == (5_929, 1_029)
    told = mailed("renewal.declined")
    assert (told["amount_cents"], told["tax_cents"]) == (5_929, 1_029)

    pass_time(stage, days=3)

    row.refresh_from_db()
    assert (row.period, row.past_due_at) == (1, None)
    assert charged() == [5_831, 5_929]
    agree(alice)


def test_a_renewal_of_somebody_without_an_address_waits_for_it(stage, alice, settings):
    settings.STRIPE_TAX = False
    row = select(alice, "creator", stage.now())
    stage.drain()
    row.refresh_from_db()
    settings.STRIPE_TAX = True
    pass_time(stage, seconds=(row.period_end_at - stage.now()).total_seconds())
    row.refresh_from_db()
    assert (row.state, row.tries) == ("active", 1)
    assert Payment.objects.get(period=1).failure == tax.NO_ADDRESS
    lives(stage, alice)

    # The amount with tax was never shown: this try only finds it, and the next one charges it.
    for attempt, paid in ((1, [4_900]), (2, [4_900, 5_831])):
        payment = dunning.pay_now(customer=alice, tried=attempt, now=stage.now())
        stage.drain()
        assert charged() == paid, payment.failure
        if len(paid) == 1:
            assert Payment.objects.get(period=1).amount_cents == 5_831


def test_a_renewal_waits_until_the_tax_at_a_new_address_is_known(stage, alice):
    """Else it would ask for the price without tax, fail, and be past due for three days."""
    lives(stage, alice)
    row = select(alice, "creator", stage.now())
    stage.drain()
    row.refresh_from_db()
    until = (row.period_end_at - stage.now()).total_seconds()
    pass_time(stage, seconds=until - 10)
    stage.stripe.faults.add("/v1/tax", "status", status=503, times=2)
    save_profile(alice, stage.now(), **GERMANY | {"line1": "Somewhere else 1"})
    stage.drain()
    assert tax.is_being_asked(alice.pk)

    for _ in range(4):  # some tries to ask, and then the renewal
        pass_time(stage, seconds=120)

    row.refresh_from_db()
    assert (row.period, row.past_due_at) == (1, None)
    assert charged() == [5_831, 5_831]


# --- Recharges ------------------------------------------------------------------------------------


def test_saving_settings_charges_the_shown_total_and_the_limit_counts_it(stage, alice):
    lives(stage, alice)
    establish(stage, alice, credits=20_000)
    save(alice, stage.now(), threshold=25_000, to=200_000, limit_cents=10_000)
    stage.drain()

    payment = Payment.objects.get()
    assert (payment.amount_cents, payment.tax_cents) == (5_355, 855)  # 180,000 credits are $45
    assert charged() == [5_355]
    assert agree(alice) == 200_000
    assert mailed("recharge.done")["month_cents"] == 5_355
    month = limits.this_month(alice.pk, alice.auto_recharge, stage.now())
    assert (month.allows(4_645), month.allows(4_646)) == (True, False)


def test_a_rate_that_changed_switches_recharges_off_in_words(stage, alice, monkeypatch):
    lives(stage, alice)
    establish(stage, alice, credits=20_000)
    monkeypatch.setitem(rates.RATES, "DE", 21.0)
    save(alice, stage.now())
    stage.drain()

    alice.auto_recharge.refresh_from_db()
    assert (alice.auto_recharge.enabled, alice.auto_recharge.failure) == (False, tax.CHANGED)
    assert charges() == []


def test_another_address_after_the_preview_does_not_change_what_was_agreed(stage, alice):
    lives(stage, alice)
    establish(stage, alice, credits=20_000)
    save(alice, stage.now())
    lives(stage, alice, country="FI", postal_code="00100")

    payment = Payment.objects.get()
    assert (payment.state, payment.amount_cents) == ("failed", 5_355)
    assert charges() == []


@pytest.mark.parametrize(
    ("limit_cents", "words"),
    [(5_205, "At least $52.06"), (3_570_001, "At most $35,700"), (5_206, "")],
)
def test_the_limit_holds_one_recharge_with_tax(stage, alice, limit_cents, words):
    lives(stage, alice)
    found = recharge.errors_of(
        25_000, 200_000, limit_cents, lambda cents: tax.with_tax(alice.pk, cents)
    )
    assert words in found.get("limit", "")
    assert bool(found) == bool(words)


def test_without_an_address_recharges_cannot_be_switched_on(stage, alice):
    establish(stage, alice)
    with pytest.raises(recharge.SettingsInvalid, match="write it in your billing profile"):
        save(alice, stage.now())


def test_who_lacks_a_plan_is_led_to_the_plans_and_reads_no_unknown_tax(stage, alice, client):
    client.force_login(alice.user)
    main = text(client.get("/billing/recharge/"))
    assert "Choose a plan first" in main and "See plans" in main
    assert "Write your address" not in main
    assert "costs $43.75 before tax" in main

    have_plan(alice, stage.now())
    have_card(alice)
    assert "Write your address" in text(client.get("/billing/recharge/"))


# --- Refunds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "net", "tax_cents"),
    [(100_000, 2_500, 475), (50_000, 1_250, 237), (33_333, 833, 158), (4, 0, 0)],
)
def test_a_refund_has_its_share_of_the_tax(stage, alice, left, net, tax_cents):
    lives(stage, alice)
    have_card(alice)
    payment = top_up(stage, alice)
    if left < 100_000:
        burn(stage, alice, 100_000 - left)

    if not net:
        with pytest.raises(refunds.NotRefundable):
            refunds.preview(payment, stage.now())
        return
    found = refunds.preview(payment, stage.now())
    assert (found.price_cents, found.amount_cents) == (2_500, net + tax_cents)
    operator = User.objects.create_user(email="op@example.com", is_staff=True)
    refund_requests.request(
        payment, shown=found.shown, reason="asked", by=operator, now=stage.now()
    )
    stage.drain()
    assert Refund.objects.get().state == Refund.State.PAID_BACK
    assert refunded() == [net + tax_cents]


def test_a_refund_after_an_upgrade_is_never_more_than_was_charged(stage, alice):
    lives(stage, alice)
    select(alice, "creator", stage.now())
    stage.drain()
    pass_time(stage, days=1)
    select(alice, "pro", stage.now(), key="form-2")
    stage.drain()

    payment = Payment.objects.latest("created_at")
    found = refunds.preview(payment, stage.now())
    assert found.price_cents > payment.net_cents
    assert found.amount_cents == payment.amount_cents


# --- Pages ----------------------------------------------------------------------------------------


def data_of(answer, name: str) -> str:
    return re.search(rf'data-{name}="([^"]*)"', answer.content.decode())[1]


def test_pages_ask_for_the_address_first_and_then_show_the_total(stage, alice, client):
    have_card(alice)
    client.force_login(alice.user)
    change, top_up_page = "/billing/plans/change/?plan=creator", "/billing/top-up/?amount=12.34"
    for address in (change, top_up_page):
        answer = client.get(address, follow=True)
        assert answer.redirect_chain[-1][0] == "/billing/profile/"
        assert "Tax depends on your address" in text(answer)
    lives(stage, alice)

    shown = client.get(top_up_page)
    assert (data_of(shown, "due-cents"), data_of(shown, "tax-cents")) == ("1468", "234")
    assert "Pay $14.68 from Visa" in text(shown) and "without tax" not in text(shown)
    untaxed = {"amount_cents": 1_234, "credits": 49_360, "key": uuid4()}
    assert client.post("/billing/top-up/", untaxed).status_code == 409

    shown = client.get(change)
    assert (data_of(shown, "due-cents"), data_of(shown, "due-tax-cents")) == ("5831", "931")
    assert "Pay $58.31" in text(shown) and "Without tax" not in text(shown)
    fields = {name: field_of(shown, name) for name in ("shown", "key")}
    client.post("/billing/plans/", fields | {"plan": "creator"})
    pass_time(stage, minutes=10)
    assert charged() == [5_831]
    assert "with $9.31 tax" in text(client.get("/billing/invoices/"))
    assert "for $58.31" in text(client.get("/billing/"))


def test_resuming_a_plan_tells_its_next_price_with_tax(stage, alice, client):
    lives(stage, alice)
    row = have_plan(alice, stage.now())
    Subscription.objects.filter(pk=row.pk).update(
        next_plan="none", period_start_at=stage.now(), period_end_at=stage.now() + timedelta(days=9)
    )
    client.force_login(alice.user)

    html = " ".join(client.get("/billing/plans/").content.decode().split())
    assert "Nothing is charged today, and $58.31 on" in html


def test_saving_recharge_settings_shows_the_tax(stage, alice, client):
    lives(stage, alice)
    establish(stage, alice, credits=20_000)
    have_plan(alice, stage.now())
    client.force_login(alice.user)
    numbers = {"enabled": "on", "threshold_credits": "25000", "recharge_to_credits": "200000"}

    shown = client.post("/billing/recharge/", numbers)

    assert (data_of(shown, "due-cents"), data_of(shown, "tax-cents")) == ("5355", "855")
    assert "Pay $53.55 and save" in text(shown)
    fields = {name: field_of(shown, name) for name in ("shown_cents", "key")}
    client.post("/billing/recharge/", numbers | fields)
    pass_time(stage, minutes=10)
    assert charged() == [5_355]


def field_of(answer, name: str) -> str:
    return re.search(rf'name="{name}" value="([^"]*)"', answer.content.decode())[1]
