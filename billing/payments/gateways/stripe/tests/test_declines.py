"""What a decline says about trying again: what the bank advises first, then its code."""

from __future__ import annotations

import pytest

from billing.payments.gateways.stripe.declines import kind_of, words_of


@pytest.mark.parametrize(
    "code, kind",
    [
        ("authentication_required", "customer"),
        ("authentication_not_handled", "customer"),
        ("expired_card", "new_card"),
        ("incorrect_number", "new_card"),
        ("invalid_expiry_year", "new_card"),
        ("currency_not_supported", "new_card"),
        ("lost_card", "never"),
        ("pickup_card", "never"),
        ("fraudulent", "never"),
        ("revocation_of_all_authorizations", "never"),
        ("transaction_not_allowed", "never"),
        ("insufficient_funds", "later"),
        ("generic_decline", "later"),
        ("do_not_honor", "later"),
        ("what_nobody_has_heard_of", "later"),
    ],
)
def test_a_code_is_of_one_kind_wherever_it_stands(code, kind):
    assert kind_of({"code": "card_declined", "decline_code": code}) == kind
    assert kind_of({"code": code}) == kind


@pytest.mark.parametrize(
    "advice, kind",
    [
        ("do_not_try_again", "never"),
        ("try_again_later", "later"),
        ("confirm_card_data", "new_card"),
    ],
)
def test_what_the_bank_advises_counts_before_its_code(advice, kind):
    for code in ("insufficient_funds", "lost_card", "expired_card"):
        assert kind_of({"decline_code": code, "advice_code": advice}) == kind


def test_what_stripe_itself_blocked_is_never_tried_again():
    charge = {"outcome": {"type": "blocked", "reason": "highest_risk_level"}}
    assert kind_of({"code": "card_declined", "payment_intent": {"latest_charge": charge}}) == (
        "never"
    )


def test_nobody_is_told_that_a_card_was_reported_stolen():
    error = {"decline_code": "stolen_card", "message": "Your card was reported stolen."}
    assert words_of(error, kind_of(error)) == "Your card was declined."

    error = {"code": "expired_card", "message": "Your card has expired."}
    assert words_of(error, kind_of(error)) == "Your card has expired."
    assert words_of({}, kind_of({})) == "Your card was declined."
