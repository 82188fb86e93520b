"""Customers with cards of every kind, against the Stripe sandbox over HTTP, with its webhooks."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import time_machine
import waitress
from django.test import Client

import stripe_sandbox
from billing.inbox import handlers
from billing.models import (
    CardSetup,
    GatewayRemoval,
    InboundWebhook,
    Payment,
    PaymentAttempt,
    PaymentMethod,
    Refund,
    Subscription,
)
from billing.payments import processing, requests, setups
from billing.payments.gateways.stripe import client as stripe_client
from billing.refunds import flow as refunds
from jobs.worker import Worker

pytestmark = pytest.mark.django_db
State, Outcome = Payment.State, PaymentAttempt.Outcome
SECRET = "whsec_of_the_journey"
START = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Shop:
    """Alice's browser, our worker, and Stripe, on one clock."""

    def __init__(self, box, address: str, traveller, alice) -> None:
        self.box, self.address, self.traveller, self.customer = box, address, traveller, alice
        self.browser, self.elsewhere = Client(), httpx.Client(trust_env=False, timeout=20)
        self.browser.force_login(alice.user)

    def now(self) -> datetime:
        return self.box.clock.now()

    def advance(self, **delta: float) -> None:
        self.box.clock.advance(timedelta(**delta))
        self.traveller.move_to(self.now())

    def work(self) -> None:
        """Webhooks arrive and the worker does what is due, until nothing is."""
        jobs = [
            setups.COMPLETE,
            setups.REMOVE,
            handlers.PROCESS,
            processing.ADVANCE,
            refunds.ADVANCE,
        ]
        for _ in range(3):
            self.box.tick()
            Worker(jobs, clock=self.now).drain()

    def open_card_page(self) -> str:
        answer = self.browser.post("/billing/card/new/")
        assert answer.status_code == 303, answer
        return answer.url

    def type_card(self, page: str, number: str) -> httpx.Response:
        card = {"number": number, "expiry": "04 / 40", "cvc": "123", "name": "Alice"}
        answer = self.elsewhere.post(page, data=card | {"consent": "yes"})
        if "bank" in answer.headers.get("location", "") or "authenticate" in str(answer.url):
            answer = self.answer_bank(answer.headers["location"], "pass")
        return answer

    def answer_bank(self, page: str, word: str) -> httpx.Response:
        return self.elsewhere.post(httpx.URL(self.address).join(page), data={"answer": word})

    def save(self, number: str, *, comes_back: bool = True) -> None:
        answer = self.type_card(self.open_card_page(), number)
        assert answer.status_code in (302, 303), answer.text
        back = answer.headers["location"]
        if comes_back:
            assert self.browser.get(back.removeprefix("http://testserver")).url == "/billing/"
        self.work()

    def pay(self, cents: int = 4_900) -> Payment:
        number = Payment.objects.count()
        subscription = (
            Subscription.objects.create(
                customer=self.customer,
                plan="creator",
                key=f"form-{number}",
                state="active",
                period=number,
                created_at=self.now(),
            )
            if not number
            else Subscription.objects.get()
        )
        payment = requests.request_plan_payment(
            subscription=subscription, period=number, amount_cents=cents, now=self.now()
        )
        self.work()
        payment.refresh_from_db()
        return payment

    def intents(self) -> list[dict]:
        return stripe_client.plain(
            stripe_client.call(lambda: stripe_client.client().v1.payment_intents.list({}))
        )["data"]


@pytest.fixture
def shop(alice, settings):
    with time_machine.travel(START, tick=False) as traveller:
        box = stripe_sandbox.Sandbox(
            api_keys={"rk_test_journey": None},
            now=START,
            seed=1,
            webhooks=[("http://testserver/api/webhooks/stripe", SECRET)],
            sender=send_webhook,
        )
        server = waitress.create_server(box.wsgi, host="127.0.0.1", port=0, threads=2)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.effective_port}"
        settings.STRIPE_API_URL = address
        settings.STRIPE_SECRET_KEY = "rk_test_journey"
        settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
        stripe_client._client.cache_clear()
        shop = Shop(box, address, traveller, alice)
        yield shop
        shop.elsewhere.close()
        stripe_client._client.cache_clear()
        # In the server's own thread, which would stumble over sockets that another one closes.
        server.trigger.pull_trigger(lambda: server.asyncore.close_all(server._map))
        thread.join(5)
        server.task_dispatcher.shutdown()
        box.close()


def send_webhook(url: str, body: bytes, headers: dict[str, str]) -> int:
    path = url.removeprefix("http://testserver")
    return Client().post(path, body, content_type="application/json", headers=headers).status_code


def text(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_a_card_is_saved_shown_charged_replaced_and_removed(shop):
    shop.save("4242424242424242")
    assert "Visa •••• 4242 Expires 04/2040" in text(shop.browser.get("/billing/"))

    payment = shop.pay()
    assert payment.state == State.CHARGED
    [intent] = shop.intents()
    assert (intent["amount"], intent["status"]) == (4_900, "succeeded")
    assert intent["metadata"] == {"vocalis_payment": str(payment.pk), "attempt": "1"}

    old = PaymentMethod.objects.get().reference
    shop.save("5555555555554444", comes_back=False)
    card = PaymentMethod.objects.get()
    assert card.label == "Mastercard •••• 4444" and card.reference != old
    assert not GatewayRemoval.objects.exists()

    shop.browser.post("/billing/card/remove/")
    shop.work()
    assert not PaymentMethod.objects.exists() and not GatewayRemoval.objects.exists()
    assert set(InboundWebhook.objects.values_list("last_error", flat=True)) == {""}


def test_a_card_that_is_refused_at_stripes_page_stays_there(shop):
    answer = shop.type_card(shop.open_card_page(), "4000000000000002")

    assert "declined" in answer.text
    shop.work()
    assert not PaymentMethod.objects.exists()


def test_a_decline_fails_the_payment_and_another_card_pays_the_next(shop):
    shop.save("4000000000000341")
    payment = shop.pay()
    assert (payment.state, payment.decline) == (State.FAILED, "later")
    assert "declined" in payment.failure

    shop.save("4242424242424242")
    assert shop.pay().state == State.CHARGED


@pytest.mark.parametrize("answers", [["pass"], ["fail", "pass"]], ids=" ".join)
def test_what_the_bank_wants_confirmed_is_confirmed_on_the_same_charge(shop, answers):
    shop.save("4000002760003184")
    payment = shop.pay()
    assert payment.state == State.REQUIRES_ACTION

    for word in answers:
        answer = shop.browser.post(f"/billing/payments/{payment.pk}/confirm/")
        assert answer.status_code == 303
        back = shop.answer_bank(answer.url, word).headers["location"]
        shop.browser.get(back.removeprefix("http://testserver"))
        shop.work()

    payment.refresh_from_db()
    assert payment.state == State.CHARGED
    assert [one["status"] for one in shop.intents()] == ["succeeded"]


def test_what_is_called_off_cannot_be_confirmed_any_more(shop):
    shop.save("4000002760003184")
    payment = shop.pay()
    url = shop.browser.post(f"/billing/payments/{payment.pk}/confirm/").url
    shop.browser.post(f"/billing/payments/{payment.pk}/call-off/")
    shop.work()

    shop.answer_bank(url, "pass")
    shop.work()
    payment.refresh_from_db()
    assert payment.state == State.FAILED
    assert [one["status"] for one in shop.intents()] == ["canceled"]


@pytest.mark.parametrize("hours", [1, 19, 21, 72])
@pytest.mark.parametrize("trouble", ["timeout_after", "error_after"])
def test_a_charge_whose_answer_got_lost_is_made_once(shop, trouble, hours):
    shop.save("4242424242424242")
    shop.box.world.webhooks.clear()  # nobody tells us either
    shop.box.faults.add("/v1/payment_intents", trouble, times=1)
    payment = shop.pay()
    assert payment.state == State.CHARGING

    Payment.objects.filter(pk=payment.pk).schedule(shop.now() + timedelta(hours=hours))
    shop.advance(hours=hours)
    shop.work()

    payment.refresh_from_db()
    assert payment.state == State.CHARGED
    assert [one["status"] for one in shop.intents()] == ["succeeded"]
    assert PaymentAttempt.objects.get().outcome == Outcome.PAID


def test_a_refund_gives_everything_back_once(shop):
    shop.save("4242424242424242")
    payment = shop.pay()
    Subscription.objects.update(state="ended")
    requests.request_refund(payment, reason="The plan could not be set up.", now=shop.now())
    shop.work()

    payment.refresh_from_db()
    assert payment.state == State.REFUNDED
    shop.advance(minutes=5)
    shop.work()
    assert Refund.objects.get().reference
    assert CardSetup.objects.get().state == "done"


def test_a_card_whose_removal_was_not_answered_is_removed_once(shop):
    shop.save("4242424242424242")
    shop.box.faults.add("/v1/payment_methods", "timeout_after", times=1)
    shop.browser.post("/billing/card/remove/")
    shop.work()
    assert GatewayRemoval.objects.get().last_error

    shop.advance(minutes=5)
    shop.work()

    assert not GatewayRemoval.objects.exists()


def test_a_customer_whose_deletion_was_not_answered_is_deleted_once(shop):
    shop.save("4242424242424242")
    shop.box.faults.add("/v1/customers", "timeout_after", times=1)
    setups.forget(shop.customer, shop.now())
    shop.work()
    assert GatewayRemoval.objects.get(kind="customer").last_error

    shop.advance(minutes=11)
    shop.work()

    assert not GatewayRemoval.objects.exists()
    assert all(row.body["deleted"] for row in shop.box.world.store.customers)


def test_a_page_of_a_customer_who_was_deleted_meanwhile_says_what_is_wrong(shop):
    page = shop.open_card_page()
    [reference] = [row.id for row in shop.box.world.store.customers]
    stripe_client.client().v1.customers.delete(reference)

    answer = shop.type_card(page, "4242424242424242")

    assert answer.status_code < 500


@pytest.mark.parametrize("path", ["card/new/", "portal/"])
def test_who_was_deleted_at_stripe_is_asked_to_wait_and_is_made_anew(shop, path):
    shop.save("4242424242424242")
    [reference] = [row.id for row in shop.box.world.store.customers]
    stripe_client.client().v1.customers.delete(reference)

    answer = shop.browser.post(f"/billing/{path}", follow=True)
    assert "cannot be opened right now" in text(answer)

    shop.work()
    assert shop.browser.post(f"/billing/{path}").status_code == 303
    assert not PaymentMethod.objects.exists()
