"""The hosted pages, as a customer's browser uses them."""

import re

import httpx
import pytest
import stripe

from .world import CARD, NOW, VISA

ADDRESS = {"line1": "Main 1", "city": "Berlin", "postal_code": "10115", "country": "de"}
CONFIRMED_ONCE = "4000 0025 0000 3155"
ALWAYS_CONFIRMED = "4000 0027 6000 3184"
DECLINED = "4000 0000 0000 0002"
LINE = {
    "price_data": {
        "currency": "usd",
        "unit_amount": 2500,
        "product_data": {"name": "5,000 credits"},
    },
    "quantity": 2,
}


@pytest.fixture
def browser(box):
    """Without a key, as any visitor."""
    with httpx.Client(transport=box.transport(), base_url="http://sandbox") as browser:
        yield browser


def send(browser, url, **fields):
    return browser.post(url, data={"number": VISA, **CARD, **fields})


def test_a_card_is_saved_in_setup_mode(shop, alice, browser):
    session = shop.checkout(
        alice,
        client_reference_id="row-7",
        metadata={"a": "1"},
        setup_intent_data={"metadata": {"b": "2"}},
        custom_text={"submit": {"message": "We charge <later>."}},
    )
    page = browser.get(session.url)
    assert page.status_code == 200
    assert "We charge &lt;later&gt;." in page.text and "Sandbox" in page.text

    done = send(browser, session.url)

    assert done.status_code == 303
    assert done.headers["Location"] == f"https://shop.example/done?session={session.id}"
    session = shop.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["setup_intent.payment_method"]}
    )
    assert (session.status, session.payment_status) == ("complete", "no_payment_required")
    assert (session.customer, session.client_reference_id) == (alice.id, "row-7")
    method = session.setup_intent.payment_method
    assert (method.customer, method.card.last4, method.card.exp_year) == (alice.id, "4242", 2030)
    assert session.setup_intent.metadata.to_dict() == {"b": "2"}
    assert method.billing_details.name == "Alice Example"
    assert session.customer_details.email == alice.email
    types = [event.type for event in shop.v1.events.list({"limit": 3}).data]
    assert types == [
        "checkout.session.completed",
        "setup_intent.succeeded",
        "payment_method.attached",
    ]
    assert "completed" in browser.get(f"/c/pay/{session.id}").text


def test_what_is_missing_or_wrong_is_said_at_its_field(shop, alice, browser):
    session = shop.checkout(
        alice,
        billing_address_collection="required",
        consent_collection={"terms_of_service": "required"},
    )
    page = browser.post(session.url, data={"expiry": "soon", "cvc": "1"})
    for words in (
        "card number is incomplete",
        "write MM / YY",
        "security code is incomplete",
        "Enter the name",
        "Enter your address",
        "Accept the terms",
    ):
        assert words in page.text
    for fields, words in (
        ({"number": "4242 4242 4242 4241"}, "Your card number is incorrect."),
        ({"number": "4111 1111 1111 1111"}, "used a non test card"),
        ({"expiry": "13/30"}, "expiration month is invalid"),
        ({"expiry": "10/26"}, "expiration year is invalid"),
        ({"country": "Germany"}, "two letters of your country"),
        ({"number": DECLINED}, "Your card was declined."),
        ({"number": "4000 0000 0000 9995"}, "insufficient funds"),
        ({"number": "4000 0000 0000 0069"}, "has expired"),
    ):
        page = send(browser, session.url, consent="yes", **{**ADDRESS, **fields})
        assert words in page.text
        assert VISA not in re.sub('placeholder="[^"]*"|<details.*', "", page.text, flags=re.S)
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert send(browser, session.url, consent="yes", **ADDRESS).status_code == 303
    session = shop.v1.checkout.sessions.retrieve(session.id)
    assert session.consent.terms_of_service == "accepted"


def test_address_name_and_tax_id_are_copied_onto_the_customer(shop, alice, browser):
    session = shop.checkout(
        alice,
        billing_address_collection="required",
        customer_update={"address": "auto", "name": "auto"},
        tax_id_collection={"enabled": True},
    )
    send(browser, session.url, business_name="Example GmbH", tax_id="DE123456789", **ADDRESS)

    owner = shop.v1.customers.retrieve(alice.id, {"expand": ["tax_ids"]})
    assert (owner.name, owner.address.country, owner.address.city) == (
        "Example GmbH",
        "DE",
        "Berlin",
    )
    assert [(one.type, one.value) for one in owner.tax_ids.data] == [("eu_vat", "DE123456789")]
    details = shop.v1.checkout.sessions.retrieve(session.id).customer_details
    assert (details.business_name, details.tax_ids[0].value) == ("Example GmbH", "DE123456789")


def test_a_bank_that_asks_is_a_step_of_checkout(shop, alice, browser):
    session = shop.checkout(alice)
    bank = send(browser, session.url, number=CONFIRMED_ONCE).headers["Location"]
    assert "Your bank asks you to confirm" in browser.get(bank).text

    back = browser.post(bank, data={"answer": "fail"}).headers["Location"]
    assert "unable to authenticate" in browser.get(back).text
    bank = send(browser, session.url, number=CONFIRMED_ONCE).headers["Location"]
    done = browser.post(bank, data={"answer": "pass"}).headers["Location"]

    assert done.startswith("https://shop.example/done?session=cs_test_")
    card = shop.v1.customers.payment_methods.list(alice.id).data[0]
    assert shop.charge(alice, card).status == "succeeded"


def test_a_payment_is_made_and_its_card_kept_for_later(shop, alice, browser):
    params = {
        "currency": None,
        "mode": "payment",
        "line_items": [LINE],
        "payment_intent_data": {
            "setup_future_usage": "off_session",
            "metadata": {"payment": "7"},
            "description": "5,000 credits",
        },
    }
    session = shop.v1.checkout.sessions.create(
        {
            **{name: value for name, value in params.items() if value is not None},
            "customer": alice.id,
            "success_url": "https://shop.example/done",
        }
    )
    assert (session.amount_total, session.payment_intent, session.currency) == (5000, None, "usd")
    assert "Pay $50.00" in browser.get(session.url).text
    assert "was declined" in send(browser, session.url, number=DECLINED).text
    bank = send(browser, session.url, number=ALWAYS_CONFIRMED).headers["Location"]
    assert browser.post(bank, data={"answer": "pass"}).headers["Location"] == session.success_url

    session = shop.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["payment_intent", "line_items"]}
    )
    intent = session.payment_intent
    assert (session.payment_status, intent.status, intent.amount) == ("paid", "succeeded", 5000)
    assert intent.metadata.to_dict() == {"payment": "7"}
    assert session.line_items.data[0].quantity == 2
    kept = shop.v1.customers.payment_methods.list(alice.id).data
    assert [one.card.last4 for one in kept] == ["3184"]
    assert len(shop.v1.payment_intents.list().data) == 1


def test_a_guest_pays_and_becomes_a_customer_where_that_is_wanted(shop, browser):
    session = shop.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [LINE],
            "success_url": "https://shop.example/done",
            "customer_creation": "always",
        }
    )
    assert "Enter an email" in send(browser, session.url).text
    send(browser, session.url, email="guest@example.com")
    session = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["customer"]})
    assert session.customer.email == "guest@example.com"


def test_a_session_expires_by_its_time_or_by_hand(box, shop, alice, browser):
    by_hand, by_time = shop.checkout(alice), shop.checkout(alice)
    assert shop.v1.checkout.sessions.expire(by_hand.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        shop.v1.checkout.sessions.expire(by_hand.id)
    shop.advance(seconds=24 * 3600)

    assert shop.v1.checkout.sessions.retrieve(by_time.id).status == "expired"
    assert shop.v1.setup_intents.retrieve(by_time.setup_intent).status == "canceled"
    expired = shop.v1.events.list({"type": "checkout.session.expired"}).data
    assert len(expired) == 2
    assert "expired" in browser.get(by_time.url).text
    assert "expired" in send(browser, by_hand.url).text
    at = int(box.clock.now().timestamp())
    for expires_at, words in ((at + 1700, "at least 30 minutes"), (at + 90_000, "24 hours")):
        with pytest.raises(stripe.InvalidRequestError, match=words):
            shop.checkout(alice, expires_at=expires_at)
    assert shop.checkout(alice, expires_at=at + 1800).expires_at == at + 1800


def test_a_session_needs_what_its_mode_needs(shop, alice):
    create = shop.v1.checkout.sessions.create
    good = {"mode": "setup", "currency": "usd", "success_url": "https://shop.example"}
    for params, param in (
        ({"currency": "usd", "success_url": "https://x"}, "mode"),
        ({"mode": "setup", "success_url": "https://x"}, "currency"),
        ({"mode": "payment", "success_url": "https://x"}, "line_items"),
        ({"mode": "setup", "currency": "usd"}, "success_url"),
        ({**good, "success_url": "/done"}, "success_url"),
        ({**good, "line_items": [LINE]}, "line_items"),
        ({**good, "customer_update": {"name": "auto"}}, "customer_update"),
        (
            {**good, "customer": alice.id, "tax_id_collection": {"enabled": True}},
            "customer_update[name]",
        ),
        ({**good, "customer": "cus_nobody"}, "customer"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            create(params)
        assert caught.value.param == param
    assert create({**good, "ui_mode": "hosted_page"}).ui_mode == "hosted_page"


def test_the_portal_changes_the_card_and_who_pays(shop, alice, browser):
    old = shop.card(alice)
    portal = shop.v1.billing_portal.sessions.create(
        {"customer": alice.id, "return_url": "https://shop.example/billing"}
    )
    page = browser.get(portal.url)
    assert "···· 4242" in page.text and "https://shop.example/billing" in page.text

    assert "was declined" in send(browser, portal.url, action="add", number=DECLINED).text
    send(browser, portal.url, action="add", number="5555 5555 5555 4444")
    browser.post(portal.url, data={"action": "delete", "card": old.id})
    browser.post(
        portal.url,
        data={"action": "details", "owner_name": "Alice Ltd", "email": "a@ltd.example", **ADDRESS},
    )

    owner = shop.v1.customers.retrieve(
        alice.id, {"expand": ["invoice_settings.default_payment_method"]}
    )
    assert owner.invoice_settings.default_payment_method.card.brand == "mastercard"
    assert (owner.name, owner.email, owner.address.country) == ("Alice Ltd", "a@ltd.example", "DE")
    assert len(shop.v1.customers.payment_methods.list(alice.id).data) == 1
    assert (
        "not saved any more"
        in browser.post(portal.url, data={"action": "delete", "card": old.id}).text
    )
    shop.box.clock.advance(seconds=3600)
    assert "expired" in browser.get(portal.url).text
    assert browser.get("/p/session/nothing").status_code == 404


def test_the_portal_s_flow_updates_the_card_and_returns(shop, alice, browser):
    portal = shop.v1.billing_portal.sessions.create(
        {
            "customer": alice.id,
            "flow_data": {
                "type": "payment_method_update",
                "after_completion": {
                    "type": "redirect",
                    "redirect": {"return_url": "https://shop.example/back"},
                },
            },
        }
    )
    assert "Your cards" not in browser.get(portal.url).text
    bank = send(browser, portal.url, action="add", number=CONFIRMED_ONCE).headers["Location"]
    back = browser.post(bank, data={"answer": "fail"}).headers["Location"]
    assert "unable to authenticate" in browser.get(back).text
    bank = send(browser, portal.url, action="add", number=CONFIRMED_ONCE).headers["Location"]

    done = browser.post(bank, data={"answer": "pass"})

    assert done.headers["Location"] == "https://shop.example/back"
    assert shop.v1.customers.retrieve(alice.id).invoice_settings.default_payment_method


def test_the_first_page_shows_everything_and_its_buttons_work(box, shop, alice, browser):
    paid = shop.charge(alice, shop.card(alice))
    other = shop.charge(alice, shop.card(alice))
    refund = shop.v1.refunds.create({"payment_intent": other.id, "amount": 100})
    shop.checkout(alice)
    with pytest.raises(stripe.InvalidRequestError):
        shop.charge(alice, "pm_nothing")
    box.tick()
    page = browser.get("/").text
    for words in (
        paid.latest_charge,
        refund.id,
        alice.id,
        "charge.succeeded",
        "POST /v1/payment_intents",
        "resource_missing",
        "http://app/hooks",
        f"{NOW:%Y-%m-%d %H:%M}",
    ):
        assert words in page

    def press(action, value):
        return browser.post("/", data={"action": action, "value": value})

    assert press("dispute", paid.latest_charge).status_code == 303
    dispute = shop.v1.disputes.list().data[0]
    assert press("decide", f"{dispute.id} won").headers["Location"] == "/"
    assert press("inquiry", other.latest_charge).status_code == 303
    assert press("warn", other.latest_charge).status_code == 303
    assert press("fail", refund.id).status_code == 303
    assert press("advance", "24").status_code == 303
    assert press("replay", box.deliveries[0]["id"]).status_code == 303
    assert shop.v1.disputes.retrieve(dispute.id).status == "won"
    assert shop.v1.refunds.retrieve(refund.id).status == "failed"
    assert (box.clock.now() - NOW).total_seconds() == 24 * 3600
    assert press("dispute", paid.latest_charge).status_code == 400
    assert press("dispute", "ch_nothing").status_code == 404
    assert press("nonsense", "").status_code == 404


def test_a_form_of_another_site_is_refused(shop, alice, browser):
    session = shop.checkout(alice)
    headers = {"Origin": "https://evil.example"}
    assert browser.post(session.url, data=CARD, headers=headers).status_code == 403
    assert browser.post("/", data={}, headers=headers).status_code == 403
    assert (
        browser.post(session.url, data=CARD, headers={"Origin": "http://sandbox"}).status_code
        == 200
    )
    assert browser.get("/nothing").status_code == 404
    assert browser.get("/c/pay/cs_test_nothing").status_code == 404
    assert browser.get("/favicon.ico").status_code == 204


def test_pages_stand_at_the_address_that_was_set():
    from stripe_sandbox import Sandbox

    from .world import Shop

    shop = Shop(Sandbox(now=NOW, origin="https://pay.example/"))
    session = shop.checkout(shop.customer())
    assert session.url == f"https://pay.example/c/pay/{session.id}"
