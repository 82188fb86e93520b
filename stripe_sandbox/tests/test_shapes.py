"""Every object has the keys and types of Stripe's own published examples (`fixtures3.json`)."""

import json
from pathlib import Path

import pytest
import stripe

FIXTURES = json.loads((Path(__file__).parent / "fixtures3.json").read_text())
CLASSES = {
    "balance_transaction": stripe.BalanceTransaction,
    "billing_portal.session": stripe.billing_portal.Session,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "item": stripe.LineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "radar.early_fraud_warning": stripe.radar.EarlyFraudWarning,
    "refund": stripe.Refund,
    "review": stripe.Review,
    "setup_intent": stripe.SetupIntent,
    "tax.calculation": stripe.tax.Calculation,
    "tax.calculation_line_item": stripe.tax.CalculationLineItem,
}
FREE = {"metadata", "fraud_details", "data"}  # whatever keys they like


@pytest.fixture(scope="module")
def objects():
    """One of each, from a day in a shop."""
    from stripe_sandbox import Sandbox

    from .test_pages import LINE
    from .world import CARD, NOW, VISA, Shop

    shop = Shop(Sandbox(now=NOW, seed=1))
    v1 = shop.v1
    alice = shop.customer(address={"country": "DE"})
    paid = shop.charge(alice, shop.card(alice))
    charge = v1.charges.retrieve(paid.latest_charge)
    refund = v1.refunds.create({"payment_intent": paid.id, "amount": 100})
    warning = shop.control(f"charges/{charge.id}/warning")
    review = shop.control(f"charges/{charge.id}/review")
    dispute = shop.control(f"charges/{charge.id}/dispute")
    session = shop.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "customer": alice.id,
            "success_url": "https://shop.example",
            "line_items": [LINE],
        }
    )
    shop.http.post(session.url, data={"number": VISA, **CARD})
    calculation = v1.tax.calculations.create(
        {"currency": "usd", "customer": alice.id, "line_items": [{"amount": 1000}]}
    )
    plain = [
        alice,
        paid,
        charge,
        refund,
        v1.checkout.sessions.retrieve(session.id),
        v1.checkout.sessions.line_items.list(session.id).data[0],
        v1.payment_methods.retrieve(paid.payment_method),
        v1.setup_intents.create({"customer": alice.id}),
        v1.events.list().data[0],
        v1.billing_portal.sessions.create(
            {
                "customer": alice.id,
                "return_url": "https://shop.example",
                "flow_data": {"type": "payment_method_update"},
            }
        ),
        calculation,
        v1.tax.calculations.line_items.list(calculation.id).data[0],
        v1.charges.retrieve(charge.id, {"expand": ["balance_transaction"]}).balance_transaction,
    ]
    found = [one.to_dict(for_json=True) for one in plain] + [warning, review, dispute]
    deleted = v1.customers.delete(alice.id).to_dict(for_json=True)
    return {one["object"]: one for one in found} | {"deleted_customer": deleted}


def kind(value):
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
    )


def differences(ours, theirs, path):
    """Keys that only one side has, and values of another type; null fits everything."""
    for key in theirs.keys() - ours.keys():
        yield f"{path}.{key} is missing"
    for key in ours.keys() & theirs.keys():
        one, other, here = ours[key], theirs[key], f"{path}.{key}"
        if one is None or other is None:
            continue
        if kind(one) is not kind(other):
            yield f"{here} is {one!r}, not like {other!r}"
        elif isinstance(one, dict) and key not in FREE:
            yield from differences(one, other, here)
        elif isinstance(one, list) and one and other and isinstance(one[0], dict):
            yield from differences(one[0], other[0], here)


# Keys of examples that stand for other payment methods, other flows, or only when set.
NOT_OURS = {
    "customer.address",
    "payment_intent.processing",
}


@pytest.mark.parametrize("name", sorted(FIXTURES))
def test_an_object_has_the_keys_and_types_of_its_example(objects, name):
    found = [
        line
        for line in differences(objects[name], FIXTURES[name], name)
        if not line.startswith(tuple(NOT_OURS))
    ]

    assert found == []


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_object_has_no_key_that_the_official_package_does_not_know(objects, name):
    known = set(CLASSES[name].__annotations__) | {"id", "object"}

    assert set(objects[name]) - known == set()
