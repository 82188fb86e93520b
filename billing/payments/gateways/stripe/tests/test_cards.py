"""A card is saved at Stripe's page and becomes the customer's card here, whoever tells us first."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from billing.inbox import handlers, stripe_signature
from billing.models import (
    CardSetup,
    GatewayCustomer,
    GatewayRemoval,
    InboundWebhook,
    Payment,
    PaymentMethod,
)
from billing.payments import setups
from billing.payments.gateways.stripe import client as client_module
from jobs.errors import Rejected, Unavailable
from jobs.worker import Worker

pytestmark = pytest.mark.django_db
SESSIONS = "POST /v1/checkout/sessions"
SECRET = "whsec_of_the_test"


def method(reference: str = "pm_1", last4: str = "4242", **card) -> dict:
    details = {
        "brand": "visa",
        "last4": last4,
        "exp_month": 4,
        "exp_year": 2030,
        "fingerprint": f"fp_{last4}",
    } | card
    return {
        "id": reference,
        "object": "payment_method",
        "type": "card",
        "customer": "cus_1",
        "card": details,
    }


def session(status: str = "complete", reference: str = "cs_1", **fields) -> dict:
    found = {
        "id": reference,
        "object": "checkout.session",
        "status": status,
        "customer": "cus_1",
        "url": f"https://checkout.stripe.com/{reference}",
        "setup_intent": None,
    }
    if status == "complete":
        found["setup_intent"] = {"id": "seti_1", "payment_method": method()}
    return found | fields


@pytest.fixture
def page(client, alice, stripe, settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_old_one", SECRET]
    client.force_login(alice.user)
    empty = {"object": "list", "data": [], "has_more": False}
    stripe.will("GET /v1/customers", empty)
    stripe.will("POST /v1/customers", {"id": "cus_1", "object": "customer"})
    stripe.will("POST /v1/customers/cus_1", {"id": "cus_1", "object": "customer"})
    return client


def begin(page, stripe, reference: str = "cs_1") -> CardSetup:
    stripe.answers[SESSIONS] = [(200, session("open", reference))]
    answer = page.post("/billing/card/new/")
    assert (answer.status_code, answer.url) == (303, f"https://checkout.stripe.com/{reference}")
    return CardSetup.objects.get(reference=reference)


def come_back(page, setup: CardSetup) -> None:
    assert page.get(f"/billing/card/{setup.pk}/done/").url == "/billing/"


def work() -> None:
    jobs = [setups.COMPLETE, setups.REMOVE, handlers.PROCESS]
    Worker(jobs, clock=timezone.now).drain()


def tell(page, kind: str, found: dict, *, event_id: str = "evt_1", secret: str = SECRET):
    body = json.dumps(
        {"id": event_id, "object": "event", "type": kind, "data": {"object": found}}
    ).encode()
    moment = str(int(timezone.now().timestamp()))
    signature = stripe_signature.sign(secret=secret, moment=moment, body=body)
    return page.post(
        "/api/webhooks/stripe",
        body,
        content_type="application/json",
        headers={"Stripe-Signature": f"t={moment},v1={signature}"},
    )


def about(setup: CardSetup, **fields) -> dict:
    return session(metadata={"vocalis_card_setup": str(setup.pk)}, **fields)


def text(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


# --- Saved ----------------------------------------------------------------------------------------


def test_a_card_is_typed_in_at_stripe_and_shown_here(page, stripe, alice):
    assert "No card yet." in text(page.get("/billing/"))

    setup = begin(page, stripe)
    sent = stripe.sent()
    assert (sent["mode"], sent["customer"], sent["currency"]) == ("setup", "cus_1", "usd")
    assert sent["success_url"] == f"http://testserver/billing/card/{setup.pk}/done/"
    assert sent["cancel_url"] == "http://testserver/billing/"
    assert sent["setup_intent_data[metadata][vocalis_card_setup]"] == str(setup.pk)
    assert stripe.headers()["Idempotency-Key"] == f"vocalis-card-{setup.pk}"

    stripe.will("GET /v1/checkout/sessions/cs_1", session())
    come_back(page, setup)
    assert "Your card is being saved." in text(page.get("/billing/"))
    work()

    shown = text(page.get("/billing/"))
    assert "Visa •••• 4242 Expires 04/2030." in shown
    assert "Your card is being saved." not in shown and "Replace card" in shown
    card = PaymentMethod.objects.get(customer=alice)
    assert (card.gateway, card.reference, card.fingerprint) == ("stripe", "pm_1", "fp_4242")
    assert (card.brand, card.last4, card.exp_month, card.exp_year) == ("Visa", "4242", 4, 2030)
    defaults = [asked for asked in stripe.asked if asked[0] == "POST /v1/customers/cus_1"]
    assert defaults[0][1] == {"invoice_settings[default_payment_method]": "pm_1"}


def test_the_webhook_alone_is_enough(page, stripe, alice):
    setup = begin(page, stripe)
    stripe.will("GET /v1/checkout/sessions/cs_1", session())

    assert tell(page, "checkout.session.completed", about(setup)).status_code == 200
    work()

    assert PaymentMethod.objects.get(customer=alice).reference == "pm_1"
    assert InboundWebhook.objects.get().outcome == f"card setup {setup.pk}"


def test_both_in_any_order_and_twice_store_it_once(page, stripe, alice):
    setup = begin(page, stripe)
    stripe.will("GET /v1/checkout/sessions/cs_1", session())
    come_back(page, setup)
    tell(page, "checkout.session.completed", about(setup))
    work()
    for number in range(2):
        tell(page, "checkout.session.completed", about(setup), event_id=f"evt_{number}")
        come_back(page, setup)
        work()

    assert stripe.calls.count("GET /v1/checkout/sessions/cs_1") == 1
    assert CardSetup.objects.get().state == "done"
    assert not GatewayRemoval.objects.exists()


def test_nobody_who_tells_is_asked_again_within_the_hour(page, stripe, alice):
    setup = begin(page, stripe)
    stripe.will("GET /v1/checkout/sessions/cs_1", session())

    assert timedelta(minutes=59) < setup.due_at - timezone.now() <= timedelta(hours=1)
    setups.complete(setup, timezone.now())

    assert PaymentMethod.objects.get(customer=alice).reference == "pm_1"


def test_the_customer_is_made_at_stripe_once(page, stripe, alice):
    begin(page, stripe)
    begin(page, stripe, "cs_2")

    assert stripe.calls.count("POST /v1/customers") == 1
    assert stripe.sent(1)["metadata[vocalis_customer]"] == str(alice.pk)
    assert GatewayCustomer.objects.get().reference == "cus_1"


def test_a_customer_whose_id_got_lost_is_found_again(page, stripe, alice):
    mine = {"id": "cus_1", "object": "customer", "metadata": {"vocalis_customer": str(alice.pk)}}
    other = {"id": "cus_9", "object": "customer", "metadata": {}}
    stripe.answers["GET /v1/customers"] = [
        (200, {"object": "list", "data": [other, mine], "has_more": False})
    ]
    begin(page, stripe)

    assert "POST /v1/customers" not in stripe.calls
    assert GatewayCustomer.objects.get().reference == "cus_1"


# --- Replaced -------------------------------------------------------------------------------------


def save(page, stripe, reference: str, last4: str, work_now: bool = True) -> CardSetup:
    setup = begin(page, stripe, f"cs_{last4}")
    intent = {"id": "seti", "payment_method": method(reference, last4)}
    found = session(reference=f"cs_{last4}", setup_intent=intent)
    stripe.will(f"GET /v1/checkout/sessions/cs_{last4}", found)
    stripe.will(f"POST /v1/payment_methods/{reference}/detach", method(reference, last4))
    if work_now:
        come_back(page, setup)
        work()
    return setup


def test_a_new_card_replaces_the_old_one_which_is_removed_at_stripe(page, stripe, alice):
    save(page, stripe, "pm_1", "4242")
    save(page, stripe, "pm_2", "4444")

    assert PaymentMethod.objects.get(customer=alice).reference == "pm_2"
    assert "POST /v1/payment_methods/pm_1/detach" in stripe.calls
    assert "POST /v1/payment_methods/pm_2/detach" not in stripe.calls
    assert not GatewayRemoval.objects.exists()


def test_an_older_page_that_is_heard_of_late_changes_nothing(page, stripe, alice):
    old = save(page, stripe, "pm_1", "4242", work_now=False)
    CardSetup.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=1))
    save(page, stripe, "pm_2", "4444")
    come_back(page, old)
    work()

    assert PaymentMethod.objects.get(customer=alice).reference == "pm_2"
    assert "POST /v1/payment_methods/pm_1/detach" in stripe.calls
    old.refresh_from_db()
    assert old.state == "superseded"


def test_a_payment_that_waits_for_the_bank_is_looked_at_with_the_new_card(page, stripe, alice):
    payment = Payment.objects.create(
        customer=alice,
        kind="recharge",
        amount_cents=4_500,
        gateway="stripe",
        state="requires_action",
        created_at=timezone.now(),
    )
    save(page, stripe, "pm_1", "4242")

    payment.refresh_from_db()
    assert payment.due_at is not None


# --- Not saved ------------------------------------------------------------------------------------


def test_a_page_that_was_left_is_forgotten_when_it_has_expired(page, stripe, alice):
    setup = begin(page, stripe)
    stripe.will("GET /v1/checkout/sessions/cs_1", session("open"), session("expired"))

    again_at = setups.complete(setup, setup.created_at)
    assert again_at == setup.created_at + timedelta(hours=1)
    assert setups.complete(setup, again_at) is None

    assert CardSetup.objects.get().state == "expired"
    assert not PaymentMethod.objects.exists()


def test_who_is_back_before_stripe_is_done_does_not_wait_for_an_hour(page, stripe, alice):
    setup = begin(page, stripe)
    stripe.will("GET /v1/checkout/sessions/cs_1", session("open"), session())
    come_back(page, setup)
    setup.refresh_from_db()

    again_at = setups.complete(setup, timezone.now())
    assert again_at - timezone.now() <= timedelta(seconds=5)
    setups.complete(setup, again_at)

    assert PaymentMethod.objects.get(customer=alice).reference == "pm_1"


def test_nobody_gets_the_card_of_another_customer_at_stripe(page, stripe, alice):
    setup = begin(page, stripe)
    stripe.will("GET /v1/checkout/sessions/cs_1", session(customer="cus_other"))

    with pytest.raises(Rejected, match="another customer"):
        setups.complete(setup, timezone.now())
    assert not PaymentMethod.objects.exists()


def test_nobody_comes_back_for_somebody_else(page, stripe, bob):
    setup = begin(page, stripe)
    page.force_login(bob.user)
    come_back(page, setup)

    setup.refresh_from_db()
    assert setup.came_back_at is None


def test_without_stripe_the_page_says_so_and_stays(page, stripe, alice):
    stripe.answers[SESSIONS] = [(500, {"error": {}})]

    answer = page.post("/billing/card/new/", follow=True)

    assert "cannot be opened right now. Nothing was changed." in text(answer)


# --- Removed, changed -----------------------------------------------------------------------------


def test_a_card_is_removed_here_and_at_stripe(page, stripe, alice):
    save(page, stripe, "pm_1", "4242")

    assert "Your card is removed." in text(page.post("/billing/card/remove/", follow=True))
    work()

    assert "POST /v1/payment_methods/pm_1/detach" in stripe.calls
    assert not PaymentMethod.objects.exists() and not GatewayRemoval.objects.exists()
    page.post("/billing/card/remove/")


def test_a_card_that_is_being_charged_stays(page, stripe, alice):
    save(page, stripe, "pm_1", "4242")
    Payment.objects.create(
        customer=alice,
        kind="recharge",
        amount_cents=4_500,
        gateway="stripe",
        state="charging",
        created_at=timezone.now(),
    )

    answer = page.post("/billing/card/remove/", follow=True)

    assert "A payment is being made with this card." in text(answer)
    assert PaymentMethod.objects.exists()


def test_what_stripe_has_removed_already_counts_as_removed(page, stripe, alice):
    save(page, stripe, "pm_1", "4242")
    page.post("/billing/card/remove/")
    stripe.answers.pop("POST /v1/payment_methods/pm_1/detach")
    stripe.fails(
        "POST /v1/payment_methods/pm_1/detach",
        404,
        code="resource_missing",
        param="payment_method",
    )
    work()

    assert not GatewayRemoval.objects.exists()


def test_a_new_expiry_from_the_bank_is_read_and_a_card_removed_there_is_gone_here(
    page, stripe, alice
):
    save(page, stripe, "pm_1", "4242")
    stripe.will(
        "GET /v1/payment_methods/pm_1", method(exp_year=2034), method() | {"customer": None}
    )

    tell(page, "payment_method.automatically_updated", method())
    work()
    assert PaymentMethod.objects.get(customer=alice).expires == "04/2034"

    tell(page, "payment_method.detached", method(), event_id="evt_2")
    work()
    assert not PaymentMethod.objects.exists()


def test_a_customer_deleted_at_stripe_has_no_card_here(page, stripe, alice):
    save(page, stripe, "pm_1", "4242")
    stripe.will("GET /v1/customers/cus_1", {"id": "cus_1", "object": "customer", "deleted": True})

    tell(page, "customer.deleted", {"id": "cus_1", "object": "customer"})
    work()

    assert not PaymentMethod.objects.exists() and not GatewayCustomer.objects.exists()


def test_a_card_that_goes_while_it_is_stored_ends_the_visit(page, stripe, alice):
    setup = begin(page, stripe)
    stripe.will("GET /v1/checkout/sessions/cs_1", session())
    stripe.answers.pop("POST /v1/customers/cus_1")
    gone = {"code": "resource_missing", "param": "invoice_settings[default_payment_method]"}
    stripe.fails("POST /v1/customers/cus_1", 400, **gone)

    come_back(page, setup)
    work()

    setup.refresh_from_db()
    assert (setup.state, setup.dead_at) == (CardSetup.State.EXPIRED, None)
    assert not PaymentMethod.objects.exists()


def test_who_is_deleted_while_a_card_is_stored_leaves_none(page, stripe, alice, monkeypatch):
    setup = begin(page, stripe)
    stripe.will("GET /v1/checkout/sessions/cs_1", session())

    def deletes(setup: CardSetup) -> bool:
        setups.forget(setup.customer, timezone.now())
        return False

    monkeypatch.setattr(setups, "_is_superseded", deletes)
    assert setups.complete(setup, timezone.now()) is None

    assert not PaymentMethod.objects.exists() and not CardSetup.objects.exists()


def test_the_portal_is_a_redirect(page, stripe, alice):
    stripe.will("POST /v1/billing_portal/sessions", {"object": "x", "url": "https://billing/p"})

    answer = page.post("/billing/portal/")

    assert (answer.status_code, answer.url) == (303, "https://billing/p")
    assert stripe.sent() == {"customer": "cus_1", "return_url": "http://testserver/billing/"}


# --- Webhooks -------------------------------------------------------------------------------------


def test_a_webhook_is_stored_once_and_only_with_our_secret(page, stripe):
    found = {"id": "pi_9", "object": "payment_intent"}
    assert tell(page, "payment_intent.succeeded", found, secret="whsec_other").status_code == 401
    assert tell(page, "payment_intent.succeeded", found).json()["status"] == "stored"
    assert tell(page, "payment_intent.succeeded", found).json()["status"] == "known"
    work()

    row = InboundWebhook.objects.get()
    assert (row.source, row.event_id, row.outcome) == (
        "stripe",
        "evt_1",
        "ignored: no payment of ours",
    )


def test_without_a_secret_nothing_is_taken_not_even_while_debugging(page, stripe, settings):
    settings.STRIPE_WEBHOOK_SECRETS, settings.DEBUG = [], True

    assert tell(page, "payment_intent.succeeded", {}, secret="").status_code == 401


@pytest.mark.parametrize(
    "found",
    [{}, {"metadata": []}, {"metadata": {"vocalis_payment": 5, "attempt": "²"}}, {"id": None}],
)
@pytest.mark.parametrize(
    "kind",
    [
        "checkout.session.completed",
        "setup_intent.setup_failed",
        "payment_intent.canceled",
        "payment_method.attached",
        "charge.refunded",
        "customer.deleted",
        "never.heard.of",
    ],
)
def test_no_handler_stumbles_over_what_was_signed(page, stripe, kind, found):
    tell(page, kind, found)
    work()

    row = InboundWebhook.objects.get()
    assert row.processed_at and row.last_error == ""


def test_a_page_of_several_calls_waits_for_no_further_one_once_it_took_long(stripe, monkeypatch):
    monkeypatch.setattr(client_module, "PAGE_SECONDS", -1)

    with client_module.for_page(), pytest.raises(Unavailable, match="slow"):
        client_module.call(lambda: client_module.client().v1.customers.retrieve("cus_1"))
    assert stripe.calls == []
