from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from billing import ledger
from billing.live.banners import feed
from billing.models import (
    AutoRecharge,
    CreditGrant,
    Dispute,
    Payment,
    PaymentMethod,
    Recharge,
    Refund,
    Subscription,
    Wallet,
)
from billing.plans import PRIORITY_COMPLIMENTARY
from billing.recharge import limits
from billing.tests.money_stage import burn, establish, have_plan
from conftest import fund
from notifications import banners

RECHARGE = {"enabled": "on", "threshold_credits": "25000", "recharge_to_credits": "200000"}


@pytest.fixture
def page(client, alice):
    """Alice's browser."""
    client.force_login(alice.user)
    return client


@pytest.fixture
def planned(page, alice, card, now):
    """Alice's browser, and she has a plan and a card."""
    have_plan(alice, now)
    return page


def text_of(answer) -> str:
    """What a person reads on the page."""
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def text_of_any(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def html_of(answer) -> str:
    return answer.content.decode()


def read(page, url: str = "/billing/") -> str:
    return text_of(page.get(url))


@pytest.mark.parametrize("url", ["/billing/", "/billing/recharge/"])
def test_strangers_are_sent_to_log_in(client, db, url):
    answer = client.get(url)

    assert (answer.status_code, answer.url) == (302, f"/accounts/login/?next={url}")


@pytest.mark.parametrize("url", ["/billing/", "/billing/recharge/"])
def test_an_operator_without_credits_is_told_so(client, staff, url):
    client.force_login(staff)

    assert client.get(url).status_code == 403


def test_a_new_customer_sees_where_to_begin(page):
    text = read(page)

    assert "Choose a plan to get credits" in text
    assert "Nothing has happened yet." in text
    assert "nobody is charged" in text


def test_the_overview_shows_balance_grants_and_history(page, alice, wallet, now):
    fund(alice, 12_000, now, priority=100, ends_at=now + timedelta(days=10))
    reservation = ledger.reserve(wallet_id=wallet.id, key="a", amount=700, now=now)
    ledger.capture(reservation_id=reservation.id, now=now, amount=600)
    ledger.reserve(wallet_id=wallet.id, key="b", amount=1_000, now=now)

    text = read(page)

    assert "Credits you can spend 10,900" in text
    assert "11,900 in all, 1,000 of them held for speech being made." in text
    assert re.search(r"Test credits 11,900 of 12,000 until \d", text)
    assert re.search(r"Used [^−+]+ −600 11,900", text)
    assert re.search(r"Test credits [^−+]+ \+12,000 12,500", text)


def test_the_bar_shows_what_can_be_spent_by_kind_and_what_is_held(page, alice, wallet, now):
    CreditGrant.objects.update(priority=PRIORITY_COMPLIMENTARY)  # 500
    fund(alice, 1_000, now)
    fund(alice, 500, now, priority=100, ends_at=now + timedelta(days=10))
    ledger.reserve(wallet_id=wallet.id, key="a", amount=700, now=now)

    shown = [
        (part.name, part.credits, part.x, part.width)
        for part in page.get("/billing/").context["parts"]
    ]

    assert shown == [
        ("Plan", 800, "0.00", "40.00"),
        ("Bought", 500, "40.00", "25.00"),
        ("Held", 700, "65.00", "35.00"),
    ], "held is what goes first"


def test_who_has_nothing_sees_no_bar(page):
    assert page.get("/billing/").context["parts"] == []


def test_credits_that_begin_later_say_so(page, alice, now):
    fund(alice, 5, now)
    begins = timezone.now() + timedelta(days=400)
    CreditGrant.objects.update(starts_at=begins, ends_at=begins + timedelta(days=1))

    assert re.search(r"Test credits 5 of 5 from \d+\sM?\w+ \d{4}, \d\d:\d\d until \d", read(page))


def test_who_is_frozen_is_told_where_to_write(page, alice, wallet, now):
    Wallet.objects.update(frozen_at=now)

    answer = page.get("/billing/")
    assert "Your credits are on hold. Until that is settled" in text_of(answer)
    # There, and in every page's footer.
    assert answer.content.decode().count('href="mailto:hello@localhost"') == 2


OFFERS = ["Choose a plan", "See what you pay", "Set up", "Switch on again", "Pay now", "Go on with"]


@pytest.mark.parametrize("state", ["none", "ending", "past due", "recharge failed"])
@pytest.mark.parametrize("reason", ["dispute-1", None])
def test_what_a_hold_would_refuse_is_not_offered(page, alice, wallet, now, state, reason):
    if state != "none":
        have_plan(alice, now)
        ends = now + timedelta(days=3)
        Subscription.objects.update(period_start_at=now, period_end_at=ends, next_plan="none")
    if state == "past due":
        Subscription.objects.update(next_plan="", past_due_at=now)
        about = {"customer": alice, "gateway": "stripe", "created_at": now, "amount_cents": 4_900}
        row = Subscription.objects.get()
        Payment.objects.create(
            **about, kind="plan", subscription=row, period=1, state="failed", decline="later"
        )
    if state == "recharge failed":
        AutoRecharge.objects.create(
            customer=alice,
            threshold_credits=30_000,
            recharge_to_credits=100_000,
            failure="Declined.",
        )
    before = text_of(page.get("/billing/"))
    assert any(offer in before for offer in OFFERS)
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, reason=reason, now=now)

    text = text_of(page.get("/billing/"))
    plans_page = text_of(page.get("/billing/plans/"))
    assert not [offer for offer in OFFERS if offer in text]
    assert "Nothing can be bought while your credits are on hold" in text
    assert "no plan can be chosen" in plans_page
    assert not re.search(r"Choose (Creator|Pro)|Change to|Go on with|Start the trial", plans_page)
    assert "Nothing can be bought" in text_of(page.get("/billing/top-up/"))
    recharge_page = text_of(page.get("/billing/recharge/"))
    assert "Nothing is charged until that is settled" in recharge_page
    assert "Save" not in recharge_page and "See plans" not in recharge_page


def test_nothing_offers_credits_that_nobody_sells(page, alice, wallet, now):
    banners.put_up(alice.pk, "plan.ended", "k", {"plan": "creator", "reason": "unpaid"}, now)
    banners.put_up(alice.pk, "balance.low", "k", {"balance": 400, "level": 25_000}, now)
    assert "Top up" in page.get("/studio/").content.decode()
    assert "Your Creator plan has ended" in page.get("/studio/").content.decode()

    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)
    html = page.get("/studio/").content.decode()
    assert "Top up" not in html
    assert "Your Creator plan has ended" not in html and "credits are left" not in html
    assert feed([wallet.id]) == {}


def test_the_history_has_pages(page, wallet, now):
    for number in range(45):
        reservation = ledger.reserve(wallet_id=wallet.id, key=f"{number}", amount=1, now=now)
        ledger.capture(reservation_id=reservation.id, now=now)

    seen, url = [], "/billing/"
    while url:
        html = page.get(url).content.decode()
        seen += [int(balance) for balance in re.findall(r"−1</td>\s*<td [^>]*>(\d+)</td>", html)]
        older = re.search(r'href="(\?before=\d+)#ledger"', html)
        url = f"/billing/{older[1]}" if older else ""

    assert seen == list(range(455, 500))


@pytest.mark.parametrize("before", ["x", "-1", "9" * 40, "²", "1e3"])
def test_an_odd_page_address_shows_the_newest(page, wallet, before):
    assert "Test credits" in read(page, f"/billing/?before={before}")


def test_a_plan_is_shown_with_its_end(page, alice, now):
    Subscription.objects.create(
        customer=alice,
        plan="trial",
        key="k",
        state="active",
        created_at=now,
        period_end_at=now + timedelta(days=14),
    )

    assert re.search(r"Trial plan Active Choose a plan Ends on \d+ \w+ \d{4}", read(page))


def test_what_is_on_its_way_is_said(page, alice, now):
    Subscription.objects.create(customer=alice, plan="creator", key="k", created_at=now)
    Payment.objects.create(
        customer=alice, kind="recharge", amount_cents=4_375, gateway="stripe", created_at=now
    )

    text = read(page)

    assert "Your Creator plan is being set up. Its credits are on their way" in text
    assert "Choose a plan" not in text
    assert "An automatic recharge of $43.75 is under way" in text


def test_a_refund_shows_its_amount_and_its_reason_though_there_was_a_grant(page, alice, now):
    fund(alice, 500, now)
    payment = Payment.objects.create(
        customer=alice,
        kind="pack",
        amount_cents=2_500,
        gateway="stripe",
        state="refunded",
        grant=CreditGrant.objects.get(),
        created_at=now,
    )
    Refund.objects.create(
        payment=payment,
        customer=alice,
        state="paid_back",
        amount_cents=2_499,
        credits=99_986,
        reason="You <asked> for it.",
        created_at=now,
    )

    assert "Refunded $24.99: You &lt;asked&gt; for it. $25.00" in read(page)


def test_payments_show_how_they_ended(page, alice, now):
    fund(alice, 500, now)
    grant = CreditGrant.objects.get()
    for state, failure, bought in (
        ("charged", "Declined before it was paid.", grant),
        ("charged", "", None),
        ("failed", "The card was declined.", None),
        ("refunded", "", None),
    ):
        Payment.objects.create(
            customer=alice,
            kind="plan",
            amount_cents=123_456,
            gateway="stripe",
            state=state,
            failure=failure,
            grant=bought,
            created_at=now,
        )

    text = read(page)

    assert text.count("$1,234.56") == 5, "and the one that is under way, above"
    for words in (" Paid $", "Not paid The card was declined.", "Refunded", "Under way"):
        assert words in text


def test_a_failed_recharge_is_explained_and_switched_on_again_by_one_button(planned, alice, now):
    AutoRecharge.objects.create(
        customer=alice,
        threshold_credits=30_000,
        recharge_to_credits=90_000,
        failure="The card was declined.",
    )
    answer = planned.get("/billing/")
    assert "Auto-recharge is off: The card was declined." in text_of(answer)
    fields = dict(
        re.findall(
            r'<input type="hidden" name="(enabled|\w+_credits)" value="(\w+)">',
            answer.content.decode(),
        )
    )

    planned.post("/billing/recharge/", fields)

    row = AutoRecharge.objects.get()
    assert (row.enabled, row.failure, row.threshold_credits, row.recharge_to_credits) == (
        True,
        "",
        30_000,
        90_000,
    )


def test_switching_on_again_keeps_the_limit_of_the_customer(planned, alice, now):
    """Without it in the form, the limit would become that of three recharges."""
    AutoRecharge.objects.create(
        customer=alice,
        threshold_credits=30_000,
        recharge_to_credits=90_000,
        limit_cents=150_050,
        failure="The card was declined.",
    )
    notice = html_of(planned.get("/billing/")).split("Auto-recharge is off:")[1]
    sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', notice))

    planned.post("/billing/recharge/", sent)

    row = AutoRecharge.objects.get()
    assert (row.enabled, row.limit_cents) == (True, 150_050)


def test_nothing_of_another_customer_is_shown(page, bob, now):
    fund(bob, 77_777, now)
    Payment.objects.create(
        customer=bob, kind="recharge", amount_cents=7_777, gateway="stripe", created_at=now
    )
    Subscription.objects.create(customer=bob, plan="pro", key="k", created_at=now)
    AutoRecharge.objects.create(
        customer=bob,
        enabled=True,
        threshold_credits=70_007,
        recharge_to_credits=700_007,
        failure="Bob's card",
    )
    PaymentMethod.objects.create(
        customer=bob, gateway="stripe", reference="pm_of_bob", label="Bob's card"
    )

    text = read(page) + read(page, "/billing/recharge/")

    for secret in ("77,777", "$77.77", "Pro plan", "70007", "70,007", "Bob"):
        assert secret not in text


def test_customers_words_are_escaped(page, alice, now):
    AutoRecharge.objects.create(
        customer=alice,
        threshold_credits=30_000,
        recharge_to_credits=90_000,
        failure="<script>alert(1)</script>",
    )

    assert "<script>alert" not in page.get("/billing/").content.decode()


# --- Cards ----------------------------------------------------------------------------------------


def test_the_card_is_shown_and_what_may_be_done_with_it(page, card):
    text = read(page)

    for words in ("Visa •••• 4242", "Replace card", "Remove card", "Manage at Stripe"):
        assert words in text
    assert "No card yet" not in text


def test_without_a_card_one_is_asked_for(page):
    text = read(page)

    assert "No card yet. Plans and recharges need one." in text and "Add a card" in text
    assert "Remove card" not in text
    assert "Test mode: nobody is charged." in text


def test_looking_at_the_page_writes_nothing(page):
    page.get("/billing/")

    assert not PaymentMethod.objects.exists()
    assert not AutoRecharge.objects.exists()


@pytest.mark.parametrize("path", ["card/new/", "card/remove/"])
def test_cards_are_saved_and_removed_by_post_only(page, card, path):
    assert page.get(f"/billing/{path}").url == "/billing/"
    assert PaymentMethod.objects.get() == card


# --- Auto-recharge --------------------------------------------------------------------------------


def test_the_minimums_are_explained_before_they_are_hit(page):
    text = read(page, "/billing/recharge/")

    assert "At least 20,000 credits ($5)." in text
    assert "At least 40,000 credits ($10) more" in text


@pytest.mark.parametrize(
    ("typed", "cents"),
    [("$1,250.50", 125_050), ("1 250", 125_000), ("150,50", None), ("12,50,000", None)],
)
def test_a_comma_in_the_limit_parts_thousands_only(planned, typed, cents):
    """A limit of $150.50 as most of Europe writes it would be one of $15,050."""
    answer = planned.post("/billing/recharge/", RECHARGE | {"limit": typed})

    assert ("Write an amount in dollars" in text_of_any(answer)) == (cents is None)
    saved = AutoRecharge.objects.filter(enabled=True).first()
    assert (saved and saved.limit_cents) == cents


def test_auto_recharge_is_switched_on_and_off(planned, alice):
    answer = planned.post("/billing/recharge/", RECHARGE, follow=True)

    assert "Auto-recharge is on." in text_of(answer)
    assert "At 25,000 credits or fewer, top up to 200,000." in text_of(answer)
    assert "$0.00 of $150.00 , three recharges" in text_of(answer)
    row = AutoRecharge.objects.get()
    assert (row.customer, row.enabled, row.threshold_credits, row.recharge_to_credits) == (
        alice,
        True,
        25_000,
        200_000,
    )
    assert row.due_at

    planned.post(
        "/billing/recharge/", {name: value for name, value in RECHARGE.items() if name != "enabled"}
    )

    assert not AutoRecharge.objects.get().enabled


def test_the_form_starts_with_what_is_set(page, alice):
    AutoRecharge.objects.create(
        customer=alice, enabled=True, threshold_credits=33_333, recharge_to_credits=444_444
    )

    html = page.get("/billing/recharge/").content.decode()

    assert 'value="33,333"' in html
    assert 'value="444,444"' in html
    assert "checked" in html


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"threshold_credits": "19999"}, "The threshold is at least 20,000 credits ($5)."),
        (
            {"recharge_to_credits": "64999"},
            "At least 65,000 credits: 40,000 ($10) above a threshold of 25,000",
        ),
        ({"threshold_credits": ""}, "This field is required."),
        ({"threshold_credits": "many"}, "Enter a whole number."),
        ({"threshold_credits": "-5"}, "The threshold is at least 20,000 credits ($5)."),
        ({"recharge_to_credits": "9" * 30}, "At most 40,000,000 credits ($10,000)."),
        ({"limit": "43.74"}, "At least $43.75: one recharge from 25,000 to 200,000."),
        ({"limit": "30000.01"}, "At most $30,000."),
        ({"limit": "much"}, "Write an amount in dollars"),
        ({"limit": "-1"}, "At least $43.75"),
    ],
)
def test_settings_metronome_would_refuse_come_back_with_the_reason(planned, change, sentence):
    answer = planned.post("/billing/recharge/", RECHARGE | change)

    assert sentence in text_of(answer)
    assert not AutoRecharge.objects.exists()


@pytest.mark.parametrize(
    ("threshold", "recharge_to"),
    [
        (5, 10),
        (-5, -10),
        (0, 10**30),
        (10**30, 10),
        (30_000, 10),
        (39_990_000, 39_995_000),
        ("", 10),
        (5, ""),
    ],
)
def test_the_numbers_named_by_the_messages_are_accepted_together(planned, threshold, recharge_to):
    wrong = {
        "enabled": "on",
        "threshold_credits": threshold,
        "recharge_to_credits": recharge_to,
        "limit": "0.01",
    }

    text = text_of(planned.post("/billing/recharge/", wrong))

    named = re.search(r"The threshold is at (?:least|most) ([\d,]+)", text)
    if named:
        threshold = named[1].replace(",", "")
    target = re.search(r"At least ([\d,]+) credits: 40,000|At most ([\d,]+) credits \(", text)
    if target:
        recharge_to = (target[1] or target[2]).replace(",", "")
    assert named or target
    limit = re.search(r"At least \$([\d,.]+): one recharge", text)
    right = {
        "enabled": "on",
        "threshold_credits": threshold or "20000",
        "recharge_to_credits": recharge_to or "60000",
        "limit": limit[1] if limit else "",
    }
    assert planned.post("/billing/recharge/", right).status_code == 302


def test_without_a_plan_the_page_says_what_is_needed(page):
    text = text_of(page.get("/billing/recharge/"))
    assert "Choose a plan first" in text

    answer = page.post("/billing/recharge/", RECHARGE | {"threshold_credits": "5"})

    assert "Choose a plan first" in text_of(answer)
    assert "The threshold is at least 20,000" in text_of(answer), "all that is wrong in one go"
    assert not AutoRecharge.objects.exists()


def test_the_limit_and_how_much_of_it_is_used_are_shown(planned, alice, now):
    AutoRecharge.objects.create(
        customer=alice,
        enabled=True,
        threshold_credits=25_000,
        recharge_to_credits=200_000,
        limit_cents=6_000,
    )
    payment = Payment.objects.create(
        customer=alice,
        kind="recharge",
        state="charged",
        amount_cents=2_500,
        gateway="stripe",
        created_at=now,
    )
    Recharge.objects.create(
        customer=alice,
        workflow_id="w",
        state="granted",
        invoice_total="2500",
        payment=payment,
        created_at=now,
    )

    answer = planned.get("/billing/")

    html = answer.content.decode()
    assert 'data-recharge-state="on" data-month-cents="2500" data-limit-cents="6000"' in html
    assert "$25.00 of $60.00" in text_of(answer)


def test_at_the_limit_it_is_shown_until_when(planned, alice, now):
    _, resets_at = limits.month_of(now)
    AutoRecharge.objects.create(
        customer=alice,
        enabled=True,
        threshold_credits=25_000,
        recharge_to_credits=200_000,
        paused_until_at=resets_at,
    )

    answer = planned.get("/billing/")

    assert 'data-recharge-state="paused"' in answer.content.decode()
    until = f"nothing more is charged until {resets_at:%-d %B} (UTC)"
    assert until in text_of(answer)


@pytest.fixture
def low(planned, stage, alice):
    """With 20,000 credits, known to Metronome."""
    establish(stage, alice, credits=20_000)
    return planned


def test_what_would_be_charged_at_once_is_shown_first_and_only_that_is_charged(low, alice):
    answer = low.post("/billing/recharge/", RECHARGE | {"limit": "100"})
    html = answer.content.decode()
    assert 'data-due-cents="4500" data-credits="180000"' in html
    assert "Pay $45.00 and save" in text_of(answer)
    assert not Recharge.objects.exists() and not AutoRecharge.objects.exists()
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))

    for _ in range(2):
        assert low.post("/billing/recharge/", form).status_code == 302

    row = AutoRecharge.objects.get()
    assert (row.enabled, row.limit_cents) == (True, 10_000)
    assert Recharge.objects.get().amount_cents == 4_500


def test_a_third_charge_within_ten_minutes_is_shown_with_its_moment(low, alice, stage):
    assert "This charges you now" in text_of(low.post("/billing/recharge/", RECHARGE))
    now = timezone.now()
    for minutes in (8, 3):
        moment = now - timedelta(minutes=minutes)
        Recharge.objects.create(
            customer=alice,
            workflow_id=f"w-{minutes}",
            state="granted",
            invoice_total="1000",
            created_at=moment,
            charged_at=moment,
        )

    text = text_of(low.post("/billing/recharge/", RECHARGE))

    then = f"{now + timedelta(minutes=2):%H:%M} UTC"
    assert f"This charges you at {then}" in text and f"Due at {then}" in text
    assert "Due now" not in text and "Pay $45.00 and save" in text


def test_the_settings_tell_of_a_recharge_that_waits(low, alice):
    due_at = timezone.now() + timedelta(minutes=9)
    AutoRecharge.objects.create(
        customer=alice, enabled=True, threshold_credits=30_000, recharge_to_credits=90_000
    )
    Recharge.objects.create(
        customer=alice,
        workflow_id="w",
        state="requested",
        invoice_total="1000",
        created_at=timezone.now(),
        due_at=due_at,
    )

    text = text_of(low.get("/billing/recharge/"))

    assert f"A recharge of $10.00 is charged at {due_at:%H:%M} UTC" in text


def test_of_two_tabs_that_show_the_same_charge_one_charges_it(low):
    tabs = []
    for _ in range(2):
        html = low.post("/billing/recharge/", RECHARGE).content.decode()
        tabs.append(dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html)))
    assert tabs[0]["key"] != tabs[1]["key"]

    answers = [low.post("/billing/recharge/", form) for form in tabs]

    assert [answer.status_code for answer in answers] == [302, 409]
    assert "Nothing was charged and nothing saved" in answers[1].content.decode()
    assert Recharge.objects.get().amount_cents == 4_500


def test_if_the_balance_has_changed_meanwhile_the_new_amount_is_shown(low, alice, stage):
    html = low.post("/billing/recharge/", RECHARGE).content.decode()
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))
    burn(stage, alice, 4_000)

    answer = low.post("/billing/recharge/", form)

    assert answer.status_code == 409
    assert 'data-due-cents="4600"' in answer.content.decode()
    assert "Nothing was charged" in text_of_any(answer)
    assert not Recharge.objects.exists()
    html = answer.content.decode()
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))
    assert low.post("/billing/recharge/", form).status_code == 302
    assert Recharge.objects.get().amount_cents == 4_600


def test_a_form_without_a_token_is_refused(alice):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice.user)

    assert strict.post("/billing/recharge/", RECHARGE).status_code == 403
    assert strict.post("/billing/card/new/").status_code == 403


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("withdrawn", "because your bank has withdrawn your payment of $49.00"),
        ("lost", "has taken back your payment of $49.00 for good"),
    ],
)
def test_what_a_dispute_holds_is_said_with_its_reason(page, alice, wallet, now, state, words):
    payment = Payment.objects.create(
        customer=alice,
        kind="plan",
        state="charged",
        amount_cents=4_900,
        gateway="stripe",
        created_at=now,
    )
    dispute = Dispute.objects.create(
        payment=payment,
        customer=alice,
        gateway="stripe",
        reference="dp_1",
        state=state,
        amount_cents=4_900,
        created_at=now,
    )
    before = page.get("/billing/")
    assert "on hold" not in text_of(before)
    assert '<div id="buy" data-fresh="open">' in before.content.decode()
    ledger.set_frozen(wallet_id=wallet.pk, frozen=True, reason=dispute.hold, now=now)
    after = page.get("/billing/")
    assert words in text_of(after)
    assert '<div id="buy" data-fresh="held">' in after.content.decode()
    assert {"withdrawn": "Disputed", "lost": "Taken back by the bank"}[state] in text_of(after)


def unconfirmed(alice, now) -> Payment:
    row = Subscription.objects.create(
        customer=alice, plan="creator", state="requested", key="k", created_at=now
    )
    return Payment.objects.create(
        customer=alice,
        kind="plan",
        subscription=row,
        period=1,
        state="requires_action",
        amount_cents=4_900,
        gateway="stripe",
        confirm_by_at=now + timedelta(days=7),
        due_at=now + timedelta(hours=1),
        created_at=now,
    )


def test_who_is_back_from_the_bank_is_not_asked_to_confirm_again(page, alice, now):
    payment = unconfirmed(alice, now)
    assert "Confirm $49.00" in read(page)
    assert "It begins once you have confirmed its payment." in read(page)

    page.get(f"/billing/payments/{payment.pk}/confirmed/")

    answer = page.get("/billing/")
    text = text_of(answer)
    assert "We are asking your bank about the payment of $49.00." in text
    assert "Confirm $49.00" not in text and 'id="news" data-fresh data-pending' in html_of(answer)


def test_without_a_worker_the_payment_can_be_confirmed_after_a_while(page, alice, now):
    payment = unconfirmed(alice, now)
    Payment.objects.filter(pk=payment.pk).update(due_at=timezone.now() - timedelta(seconds=31))

    assert "Confirm $49.00" in read(page) and "We are asking your bank" not in read(page)


def test_a_plan_whose_first_payment_failed_has_not_ended(page, alice, now):
    row = Subscription.objects.create(
        customer=alice,
        plan="creator",
        state="failed",
        failure="The payment failed: Your card was declined.",
        key="k",
        created_at=now,
        ended_at=now,
    )
    assert "Creator plan Not begun" in read(page)

    Subscription.objects.filter(pk=row.pk).update(period_start_at=now - timedelta(days=30))
    assert "Creator plan Ended" in read(page)
