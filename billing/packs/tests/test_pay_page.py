"""Top-ups that are paid at Stripe's page, against both sandboxes, with their webhooks."""

from __future__ import annotations

import pytest

from billing.models import (
    CreditGrant,
    GatewayRemoval,
    Payment,
    PaymentAttempt,
    PaymentMethod,
    Purchase,
    Subscription,
)
from billing.payments import pay_page, processing
from billing.payments import requests as payments
from billing.payments.gateways.stripe.tests.test_journeys import text
from billing.tests import till as tills
from billing.tests.money_stage import balance, have_plan, remote_balance
from billing.tests.till import GOOD, OTHER, URL, Till
from jobs.errors import Snooze
from mails.models import OutboundMail

pytestmark = pytest.mark.django_db


shop, till = tills.shop, tills.till  # the fixtures


def bought_once(till: Till, credits: int = 100_000) -> Purchase:
    purchase = Purchase.objects.get()
    assert (purchase.state, purchase.last_error, purchase.failure) == ("granted", "", "")
    assert (purchase.payment.state, purchase.payment.last_error) == ("charged", "")
    assert purchase.payment.grant == purchase.grant
    assert till.charged_cents() == [purchase.amount_cents]
    assert (balance(till.customer), remote_balance(till.customer)) == (credits, credits)
    return purchase


def failed(till: Till, words: str) -> None:
    purchase = Purchase.objects.get()
    assert (purchase.state, purchase.payment.state) == ("failed", "failed")
    assert words in purchase.failure and words in till.billing()
    assert till.charged_cents() == []
    assert not till.sessions("open")


# --- The whole path -------------------------------------------------------------------------------


@pytest.mark.parametrize("tells", ["both", "return", "webhook"])
def test_without_a_card_the_page_takes_exactly_what_was_shown_and_keeps_the_card(till, tells):
    shown = text(till.browser.get(f"{URL}?amount=12.34"))
    assert "Pay $12.34 by card" in shown and "It is kept as your card" in shown

    page = till.go(till.form("amount=12.34"))
    [session] = till.sessions()
    assert (session["amount_total"], session["currency"]) == (1_234, "usd")
    assert "Your top-up of $12.34 is not paid yet, and nothing was charged" in till.billing()

    if tells == "return":
        till.shop.box.world.webhooks.clear()
    back = till.pay(page)
    if tells == "webhook":
        till.work()
    else:
        till.come_back(back)

    purchase = bought_once(till, credits=49_360)
    attempt = PaymentAttempt.objects.get()
    assert (attempt.outcome, attempt.label) == ("paid", "Visa •••• 4242")
    assert attempt.key == f"vocalis-payment-{purchase.payment_id}-1"
    [intent] = till.shop.intents()
    assert intent["metadata"] == {"vocalis_payment": str(purchase.payment_id), "attempt": "1"}
    assert intent["description"] == "Vocalis top-up, 49,360 credits"
    card = PaymentMethod.objects.get()
    assert card.reference == attempt.method_reference == intent["payment_method"]
    [receipt] = OutboundMail.objects.filter(kind="payment.received")
    assert receipt.data["card"] == "Visa •••• 4242"
    assert "Visa •••• 4242 Expires 04/2040" in till.billing()


def test_the_card_that_was_kept_pays_a_later_top_up_without_the_page(till):
    till.come_back(till.pay(till.go()))
    form = till.form()
    assert "Pay $25.00 from Visa •••• 4242" in text(till.browser.get(f"{URL}?pack=2500"))
    del form["at_page"]

    till.browser.post(URL, form)
    till.work()

    assert till.charged_cents() == [2_500, 2_500]
    assert balance(till.customer) == remote_balance(till.customer) == 200_000


def test_another_card_pays_once_and_leaves_the_saved_one_as_it_is(till):
    till.shop.save(GOOD)
    saved = PaymentMethod.objects.get().reference
    assert "not kept: Visa •••• 4242 stays your card" in text(till.browser.get(f"{URL}?pack=2500"))

    till.come_back(till.pay(till.go(), OTHER))

    assert bought_once(till).payment.tries.get().label == "Mastercard •••• 4444"
    assert PaymentMethod.objects.get().reference == saved
    methods = [row for row in till.shop.box.world.store.payment_methods if row["customer"]]
    assert [row.id for row in methods] == [saved]
    assert not GatewayRemoval.objects.exists()


def test_a_card_saved_meanwhile_is_not_replaced_by_the_one_that_paid(till):
    page = till.go()
    till.shop.save(OTHER)
    saved = PaymentMethod.objects.get().reference

    till.come_back(till.pay(page))

    bought_once(till)
    assert PaymentMethod.objects.get().reference == saved
    methods = [row for row in till.shop.box.world.store.payment_methods if row["customer"]]
    assert [row.id for row in methods] == [saved]  # the other one was removed there


@pytest.mark.parametrize("waits", ["past due", "to be confirmed"])
def test_a_card_that_would_pay_something_else_at_once_is_not_kept(till, waits):
    plan = have_plan(till.customer, till.shop.now())
    if waits == "past due":
        Subscription.objects.update(past_due_at=till.shop.now())
    else:
        payment = payments.request_plan_payment(
            subscription=plan, period=1, amount_cents=4_900, now=till.shop.now()
        )
        Payment.objects.filter(pk=payment.pk).cancel(state="requires_action")

    assert till.form()["at_page"] == "once"
    assert "charged this once and not kept" in text(till.browser.get(f"{URL}?pack=2500"))


@pytest.mark.parametrize("number", ["4000002760003184", "4000002500003155"])
def test_the_bank_asks_on_the_way(till, number):
    till.come_back(till.pay(till.go(), number))

    bought_once(till)


def test_a_card_that_is_declined_at_the_page_leaves_it_open_for_another(till):
    page = till.go()
    assert "declined" in till.shop.type_card(page, "4000000000000002").text
    till.work()
    assert "is not paid yet, and nothing was charged" in till.billing()

    till.come_back(till.pay(page))

    bought_once(till)


# --- Not paid -------------------------------------------------------------------------------------


def test_leaving_the_page_by_its_link_calls_it_off_and_closes_it(till):
    page = till.go()
    [session] = till.sessions("open")

    till.come_back(session["cancel_url"].removeprefix("http://testserver"))

    failed(till, "You left the page without paying.")
    assert till.shop.type_card(page, GOOD).status_code != 303


def test_a_page_that_nobody_pays_fails_after_a_day(till):
    till.go()
    till.advance(hours=23)
    till.work()
    assert Purchase.objects.get().state == "requested"

    till.advance(hours=2)
    till.work()

    failed(till, "It was not paid within a day.")


def test_what_is_called_off_on_billing_closes_the_page(till):
    page = till.go()
    payment = Payment.objects.get()
    till.browser.post(f"/billing/payments/{payment.pk}/call-off/")
    assert "is being called off" in till.billing()
    till.work()

    failed(till, "You called it off.")
    assert till.shop.type_card(page, GOOD).status_code != 303


def test_what_is_paid_after_it_was_called_off_is_paid_back_at_once(till):
    page = till.go()
    payment = Payment.objects.get()
    till.browser.post(f"/billing/payments/{payment.pk}/call-off/")

    back = till.pay(page)  # before a worker has closed the page
    till.come_back(back)

    failed(till, "What was paid at the page afterwards is paid back.")
    assert not CreditGrant.objects.exists()
    assert PaymentAttempt.objects.get().refund_reference
    keeps_no_card(till)
    for _ in range(2):  # events told again change nothing
        till.advance(hours=2)
        till.work()
    assert [one["amount"] for one in till.shop.box.world.store.refunds] == [2_500]


def test_what_is_paid_after_it_has_failed_here_is_paid_back_at_once(till):
    """A page that we could not close, because we had never heard that it was opened."""
    page = till.go()
    Payment.objects.cancel(state="failed", failure="An operator gave it up.")
    till.work()

    till.pay(page)
    till.work()

    assert till.charged_cents() == []
    assert Purchase.objects.get().state == "failed" and not CreditGrant.objects.exists()
    keeps_no_card(till)


def test_a_worker_that_stood_still_pays_back_nothing_that_another_one_has_granted(till):
    """It has read a payment at its page that nothing waits for any more: the credits are there."""
    page = till.go()
    as_read = Payment.objects.get()
    till.come_back(till.pay(page))
    till.work()
    assert Purchase.objects.get().state == "granted"

    with pytest.raises(Snooze):
        processing.advance(as_read, till.shop.now())

    assert till.charged_cents() == [2_500]
    payment = Payment.objects.get()
    assert (payment.state, payment.failure, payment.grant_id) == (
        "charged",
        "",
        CreditGrant.objects.get().pk,
    )


def keeps_no_card(till):
    assert not PaymentMethod.objects.exists()
    assert not [one for one in till.shop.box.world.store.payment_methods if one["customer"]]


# --- Twice ----------------------------------------------------------------------------------------


def test_a_double_click_and_the_back_button_lead_to_one_page(till):
    form = till.form()

    pages = {till.go(form) for _ in range(3)}

    assert len(pages) == len(till.sessions()) == Purchase.objects.count() == 1
    till.come_back(till.pay(pages.pop()))
    bought_once(till)
    answer = till.browser.post(URL, form, follow=True)
    assert "You topped up 100,000 credits." in text(answer)
    assert len(till.sessions()) == 1


def test_a_second_tab_closes_the_page_of_the_first(till):
    first = till.go()
    second = till.go(till.form("pack=1000"))
    till.work()

    assert till.shop.type_card(first, GOOD).status_code != 303
    till.come_back(till.pay(second))

    assert till.charged_cents() == [1_000]
    states = dict(Purchase.objects.values_list("amount_cents", "failure"))
    assert states == {2_500: pay_page.ANOTHER, 1_000: ""}


def test_a_page_that_was_paid_stays_paid_when_another_top_up_is_begun(till):
    till.browser.get(till.pay(till.go()))  # back from the page; no worker has looked yet
    till.come_back(till.pay(till.go(till.form("pack=1000"))))

    assert till.charged_cents() == [2_500, 1_000]
    assert balance(till.customer) == remote_balance(till.customer) == 140_000


def test_back_from_the_page_the_saved_card_may_pay_instead(till):
    till.shop.save(GOOD)
    form = till.form()
    page = till.go(form)
    del form["at_page"]

    till.browser.post(URL, form)
    till.work()

    assert till.charged_cents() == [2_500]
    assert till.shop.type_card(page, OTHER).status_code != 303
    assert balance(till.customer) == 100_000


def test_a_page_that_was_left_can_be_opened_again_from_billing(till):
    page = till.go()
    payment = Payment.objects.get()

    answer = till.browser.post(f"/billing/payments/{payment.pk}/pay/")

    assert (answer.status_code, answer.url) == (303, page)
    till.come_back(till.pay(page))
    assert till.browser.post(f"/billing/payments/{payment.pk}/pay/").url == "/billing/"
    bought_once(till)


# --- Trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["timeout_after", "timeout_before"])
def test_a_page_whose_answer_got_lost_is_opened_again_by_the_same_form(till, trouble):
    form = till.form()
    till.shop.save(GOOD)  # so that the customer is known, and the fault meets the session
    PaymentMethod.objects.all().delete()
    till.shop.box.faults.add("/v1/checkout/sessions", trouble, times=1)
    answer = till.browser.post(URL, form)
    assert answer.status_code == 503
    assert "cannot be opened right now. Nothing was charged" in text(answer)
    assert f'value="{form["key"]}"' in answer.content.decode()

    page = till.go(form)

    assert len(till.sessions()) == 1
    till.come_back(till.pay(page))
    bought_once(till)


def test_a_page_whose_answer_got_lost_is_found_and_closed_by_the_worker(till):
    till.shop.save(GOOD)
    till.shop.box.faults.add("/v1/checkout/sessions", "timeout_after", times=1)
    till.browser.post(URL, till.form())
    assert PaymentAttempt.objects.get().page_reference == ""

    till.advance(hours=2)
    till.work()

    [session] = till.sessions("open")
    assert PaymentAttempt.objects.get().page_reference == session.id
    payments.call_off(Payment.objects.get(), failure="No.", now=till.shop.now())
    till.work()
    failed(till, "No.")


@pytest.mark.parametrize("hours", [1, 26])
def test_what_was_paid_at_a_page_we_never_heard_of_becomes_credits(till, hours):
    """Killed after the page was opened; the customer had its address all the same."""
    page = till.go()
    PaymentAttempt.objects.update(page_reference="")
    if hours > 24:
        till.shop.box.world.webhooks.clear()
    till.pay(page)

    till.advance(hours=hours)
    till.work()

    bought_once(till)


def test_a_page_that_stripe_refuses_to_open_fails_without_a_person(till):
    form = till.form()
    till.shop.box.faults.add("/v1/checkout/sessions", "status", status=400, times=2)
    assert till.browser.post(URL, form).status_code == 503
    till.advance(hours=2)
    till.work()

    failed(till, "It was not paid within a day.")
    assert Payment.objects.get().dead_at is None


def test_a_page_that_was_never_opened_fails_after_an_hour(till, monkeypatch):
    """Killed before the page was opened."""
    with monkeypatch.context() as patch:
        patch.setattr(pay_page, "open_page", lambda *args, **kwargs: "")
        till.browser.post(URL, till.form())
    till.advance(minutes=59)
    till.work()
    assert "is not paid yet" in till.billing()

    till.advance(minutes=2)
    till.work()

    failed(till, "It was not paid within a day.")


def test_a_worker_killed_at_any_point_grants_once(till, monkeypatch):
    till.browser.get(till.pay(till.go()))
    for module, name in ((pay_page, "note_card"), (payments, "mark_granted")):
        with monkeypatch.context() as patch:
            real = getattr(module, name)

            def killed(*args, real=real, **kwargs):
                real(*args, **kwargs)
                raise KeyboardInterrupt

            patch.setattr(module, name, killed)
            with pytest.raises(KeyboardInterrupt):
                till.work()
        till.advance(seconds=121)
    till.work()

    bought_once(till)


def test_another_amount_than_was_shown_is_left_to_a_person(till):
    page = till.go()
    [session] = till.sessions()
    session.body["amount_total"] = 9_900

    till.come_back(till.pay(page))

    payment = Payment.objects.get()
    assert payment.state == "at_page" and not CreditGrant.objects.exists()
    assert "9900 USD were paid at the page instead of 2500 USD" in payment.last_error


def test_an_open_page_is_called_off_with_the_account(till):
    from vocalis.operations import deletion

    till.go()
    with pytest.raises(deletion.NotDeletable):
        list(deletion.delete(till.customer, dry_run=False, now=till.shop.now()))
    till.work()

    list(deletion.delete(till.customer, dry_run=False, now=till.shop.now()))

    assert not till.sessions("open") and till.charged_cents() == []


@pytest.mark.parametrize("name", ["pay", "paid", "left"])
def test_nobody_else_comes_near_the_page(till, bob, client, name):
    till.go()
    payment = Payment.objects.get()
    client.force_login(bob.user)
    path = f"/billing/payments/{payment.pk}/{name}/"

    answer = client.post(path) if name == "pay" else client.get(path)

    assert answer.status_code in (302, 404)
    payment.refresh_from_db()
    assert (payment.state, payment.failure) == ("at_page", "")
    assert PaymentAttempt.objects.get().came_back_at is None


def test_an_abandoned_page_does_not_count_as_credits_on_their_way(till):
    from billing import events

    till.go()

    assert not events.is_refilling(till.customer.pk)
