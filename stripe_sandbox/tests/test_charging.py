"""Who can be charged, when, and what a refusal says."""

import pytest
import stripe
from stripe import CardError, InvalidRequestError

from stripe_sandbox.cards import CARDS, NAMES


def test_a_saved_card_is_charged_off_session(shop, alice):
    intent = shop.charge(
        alice,
        shop.card(alice),
        1900,
        description="Creator, November",
        statement_descriptor_suffix="CREATOR",
        metadata={"payment": "7", "attempt": "1"},
        payment_method_options={"card": {"stored_credential_usage": "recurring"}},
        expand=["latest_charge.balance_transaction"],
    )

    assert (intent.status, intent.amount_received) == ("succeeded", 1900)
    charge = intent.latest_charge
    assert (charge.paid, charge.amount, charge.customer) == (True, 1900, alice.id)
    assert charge.payment_method_details.card.last4 == "4242"
    assert charge.outcome.type == "authorized"
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (85, 1815)
    assert intent.metadata.to_dict() == {"payment": "7", "attempt": "1"}
    assert shop.http.get(charge.receipt_url).status_code == 200


def test_a_declined_charge_is_402_and_its_intent_stays(shop, alice):
    card = shop.card(alice, "pm_card_chargeCustomerFail")

    with pytest.raises(CardError) as caught:
        shop.charge(alice, card)

    error = caught.value
    assert (error.http_status, error.code, error.error.type) == (402, "card_declined", "card_error")
    assert (error.error.decline_code, error.error.advice_code) == (
        "generic_decline",
        "try_again_later",
    )
    assert error.error.payment_method.id == card.id
    intent = shop.v1.payment_intents.retrieve(
        error.error.payment_intent.id, {"expand": ["latest_charge"]}
    )
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error.decline_code == "generic_decline"
    assert (intent.latest_charge.status, intent.latest_charge.id) == ("failed", error.error.charge)


def test_the_same_intent_is_paid_with_another_card(shop, alice):
    with pytest.raises(CardError) as caught:
        shop.charge(alice, shop.card(alice, "pm_card_chargeCustomerFail"))
    intent_id = caught.value.error.payment_intent.id

    intent = shop.v1.payment_intents.confirm(intent_id, {"payment_method": shop.card(alice).id})

    assert (intent.status, intent.last_payment_error) == ("succeeded", None)
    with pytest.raises(InvalidRequestError) as caught:
        shop.v1.payment_intents.confirm(intent_id, {"payment_method": shop.card(alice).id})
    assert caught.value.code == "payment_intent_unexpected_state"
    assert caught.value.error.payment_intent.id == intent_id


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("0002", "card_declined", "generic_decline"),
        ("9995", "card_declined", "insufficient_funds"),
        ("9987", "card_declined", "lost_card"),
        ("9979", "card_declined", "stolen_card"),
        ("0069", "expired_card", "expired_card"),
        ("0127", "incorrect_cvc", "incorrect_cvc"),
        ("0119", "processing_error", "processing_error"),
    ],
)
def test_cards_that_refuse_to_be_saved_refuse_to_be_charged_too(
    shop, alice, number, code, decline_code
):
    name = next(name for name, card in NAMES.items() if card == f"400000000000{number}")

    for call in (
        lambda: shop.card(alice, name),
        lambda: shop.v1.setup_intents.create(
            {"customer": alice.id, "payment_method": name, "confirm": True}
        ),
        lambda: shop.charge(alice, name),
    ):
        with pytest.raises(CardError) as caught:
            call()
        assert (caught.value.code, caught.value.error.decline_code) == (code, decline_code)
    assert shop.v1.customers.payment_methods.list(alice.id).data == []


def test_a_card_that_always_asks_is_refused_off_session_and_confirmed_on_session(shop, alice):
    card = shop.set_up(alice, "pm_card_authenticationRequired")
    with pytest.raises(CardError) as caught:
        shop.charge(alice, card)
    assert caught.value.code == "authentication_required"
    intent_id = caught.value.error.payment_intent.id

    intent = shop.v1.payment_intents.confirm(
        intent_id, {"payment_method": card.id, "return_url": "https://shop.example/back?a=1"}
    )
    assert intent.status == "requires_action"
    back = shop.confirm_at_bank(intent)

    assert back.startswith(f"https://shop.example/back?a=1&payment_intent={intent_id}&")
    assert back.endswith("redirect_status=succeeded&source_type=card")
    intent = shop.v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]})
    assert intent.status == "succeeded"
    assert intent.latest_charge.payment_method_details.card.three_d_secure.result == "authenticated"
    assert shop.http.get(f"/bank/{intent_id}/x").status_code == 404


def test_who_fails_at_the_bank_pays_nothing(shop, alice):
    intent = shop.v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "usd",
            "customer": alice.id,
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "https://shop.example/back",
        }
    )

    assert "redirect_status=failed" in shop.confirm_at_bank(intent, "fail")

    intent = shop.v1.payment_intents.retrieve(intent.id)
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.code == "payment_intent_authentication_failure"
    assert shop.v1.charges.list({"payment_intent": intent.id}).data == []


def test_a_card_that_asks_unless_set_up_passes_off_session_once_it_is(shop, alice):
    with pytest.raises(CardError) as caught:
        shop.charge(alice, shop.card(alice, "pm_card_authenticationRequiredOnSetup"))
    assert caught.value.error.decline_code == "authentication_required"

    card = shop.set_up(alice, "pm_card_authenticationRequiredOnSetup")
    assert shop.charge(alice, card).status == "succeeded"


def test_a_card_set_up_elsewhere_passes_off_session_and_asks_on_session(shop, alice):
    card = shop.card(alice, "pm_card_authenticationRequiredSetupForOffSession")

    assert shop.charge(alice, card).status == "succeeded"
    asked = shop.v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "usd",
            "customer": alice.id,
            "payment_method": card.id,
            "confirm": True,
        }
    )
    assert (asked.status, asked.next_action.type) == ("requires_action", "use_stripe_sdk")


def test_a_card_may_authenticate_and_still_have_no_funds(shop, alice):
    name = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"
    card = shop.set_up(alice, name)

    with pytest.raises(CardError) as caught:
        shop.charge(alice, card)

    assert caught.value.error.decline_code == "insufficient_funds"


def test_radar_blocks_before_the_bank_is_asked(shop, alice):
    with pytest.raises(CardError) as caught:
        shop.charge(alice, shop.card(alice, "pm_card_radarBlock"))

    charge = shop.v1.charges.retrieve(caught.value.error.charge)
    assert (charge.outcome.type, charge.outcome.reason) == ("blocked", "highest_risk_level")
    assert charge.outcome.network_status == "not_sent_to_network"


def test_a_detached_card_and_one_of_another_customer_are_refused(shop, alice, bob):
    mine, gone = shop.card(alice), shop.card(alice)
    shop.v1.payment_methods.detach(gone.id)

    for customer, card, words in (
        (bob, mine, "does not have a payment method with the ID"),
        (alice, gone, "may not be used again"),
    ):
        with pytest.raises(InvalidRequestError, match=words):
            shop.charge(customer, card)
    with pytest.raises(InvalidRequestError, match="may not be used again"):
        shop.v1.payment_methods.attach(gone.id, {"customer": alice.id})
    with pytest.raises(InvalidRequestError, match="already been attached"):
        shop.v1.payment_methods.attach(mine.id, {"customer": bob.id})
    with pytest.raises(InvalidRequestError, match="Please include the Customer"):
        shop.v1.payment_intents.create(
            {"amount": 500, "currency": "usd", "payment_method": mine.id, "confirm": True}
        )
    assert shop.v1.payment_intents.list({"limit": 100}).data == []


def test_a_card_nobody_kept_pays_once(shop):
    method = shop.v1.payment_methods.create(
        {
            "type": "card",
            "card": {"number": "4242424242424242", "exp_month": 1, "exp_year": 2030, "cvc": "123"},
        }
    )
    params = {"amount": 500, "currency": "usd", "payment_method": method.id, "confirm": True}

    assert shop.v1.payment_intents.create(params).status == "succeeded"
    with pytest.raises(InvalidRequestError, match="previously used"):
        shop.v1.payment_intents.create(params)


def test_amounts_have_a_least_and_a_most(shop, alice):
    card = shop.card(alice)
    for amount, code in (
        (49, "amount_too_small"),
        (0, "parameter_invalid_integer"),
        (-500, "parameter_invalid_integer"),
        (100_000_000, "amount_too_large"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            shop.charge(alice, card, amount)
        assert (caught.value.code, caught.value.param) == (code, "amount")
    assert shop.charge(alice, card, 50).status == "succeeded"
    assert shop.charge(alice, card, 99_999_999).status == "succeeded"
    with pytest.raises(InvalidRequestError, match="Invalid currency"):
        shop.charge(alice, card, currency="xyz")


def test_what_only_makes_sense_together_is_refused_alone(shop, alice):
    for more in (
        {"off_session": True},
        {"return_url": "https://shop.example"},
        {"error_on_requires_action": True},
    ):
        with pytest.raises(InvalidRequestError, match="when `confirm` is `true`"):
            shop.v1.payment_intents.create({"amount": 500, "currency": "usd", **more})
    with pytest.raises(InvalidRequestError, match="cannot be used together"):
        shop.charge(
            alice,
            shop.card(alice),
            setup_future_usage="off_session",
            payment_method_options={"card": {"stored_credential_usage": "recurring"}},
        )
    with pytest.raises(InvalidRequestError, match="missing a payment method"):
        shop.v1.payment_intents.create({"amount": 500, "currency": "usd", "confirm": True})


def test_an_intent_is_canceled_once_and_only_unpaid(shop, alice):
    intent = shop.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "customer": alice.id}
    )
    canceled = shop.v1.payment_intents.cancel(
        intent.id, {"cancellation_reason": "requested_by_customer"}
    )
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "requested_by_customer")
    for one in (intent.id, shop.charge(alice, shop.card(alice)).id):
        with pytest.raises(InvalidRequestError) as caught:
            shop.v1.payment_intents.cancel(one)
        assert caught.value.code == "payment_intent_unexpected_state"


def test_declines_can_be_ordered_for_any_reason(shop, alice, bob):
    mine, other = shop.card(alice), shop.card(bob)
    shop.control("declines", {"decline_code": "do_not_honor", "customer": alice.id, "times": 2})
    shop.control(
        "declines", {"decline_code": "call_issuer", "advice_code": "do_not_try_again", "times": 1}
    )

    for customer, card, code in (
        (alice, mine, "do_not_honor"),
        (bob, other, "call_issuer"),
        (alice, mine, "do_not_honor"),
    ):
        with pytest.raises(CardError) as caught:
            shop.charge(customer, card)
        assert caught.value.error.decline_code == code
    assert shop.charge(alice, mine).status == "succeeded"
    assert shop.http.post("/_sandbox/declines", json={}).status_code == 400


def test_live_keys_have_their_own_objects_and_refuse_test_cards(box, shop, alice):
    from .world import client_of

    box.keys.add("sk_live_shop")
    live = client_of(box, "sk_live_shop").v1
    owner = live.customers.create({"email": "l@example.com"})
    method = live.payment_methods.create(
        {
            "type": "card",
            "card": {"number": "4242424242424242", "exp_month": 1, "exp_year": 2030, "cvc": "123"},
        }
    )

    assert owner.livemode
    with pytest.raises(InvalidRequestError, match="a similar object exists in test mode"):
        live.customers.retrieve(alice.id)
    assert [one.id for one in live.customers.list().data] == [owner.id]
    with pytest.raises(InvalidRequestError, match="No such PaymentMethod"):
        live.payment_methods.attach("pm_card_visa", {"customer": owner.id})
    with pytest.raises(CardError) as caught:
        live.payment_intents.create(
            {"amount": 500, "currency": "usd", "payment_method": method.id, "confirm": True}
        )
    assert caught.value.error.decline_code == "live_mode_test_card"


def test_every_name_is_a_card_and_every_number_passes_for_one():
    assert set(NAMES.values()) <= set(CARDS)
    assert len({card.fingerprint for card in CARDS.values()}) == len(CARDS)


def test_the_same_number_has_the_same_fingerprint_in_any_payment_method(shop, alice, bob):
    first, second = shop.card(alice), shop.card(bob)
    assert first.id != second.id
    assert first.card.fingerprint == second.card.fingerprint
    assert isinstance(first, stripe.PaymentMethod)
