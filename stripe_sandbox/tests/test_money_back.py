"""Refunds, disputes and warnings."""

import pytest
from stripe import InvalidRequestError

from .world import VISA


@pytest.fixture
def paid(shop, alice):
    return shop.charge(alice, shop.card(alice), 4900)


def charge_of(shop, intent):
    return shop.v1.charges.retrieve(intent.latest_charge)


def types(shop, *skipped):
    """The types of events since the payment, oldest first."""
    events = shop.v1.events.list({"limit": 100}).data[::-1]
    names = [event.type for event in events]
    return names[names.index("payment_intent.succeeded") + 1 :]


def test_refunds_add_up_to_the_charge_and_no_further(shop, paid):
    create = shop.v1.refunds.create
    first = create(
        {
            "payment_intent": paid.id,
            "amount": 900,
            "reason": "requested_by_customer",
            "metadata": {"row": "1"},
        }
    )
    assert (first.status, first.amount, first.charge) == ("succeeded", 900, paid.latest_charge)
    with pytest.raises(InvalidRequestError, match=r"\$40.01.*greater than.*\$40.00"):
        create({"payment_intent": paid.id, "amount": 4001})
    assert create({"charge": paid.latest_charge}).amount == 4000
    for more in ({}, {"amount": 1}):
        with pytest.raises(InvalidRequestError) as caught:
            create({"payment_intent": paid.id, **more})
        assert caught.value.code == "charge_already_refunded"

    charge = charge_of(shop, paid)
    assert (charge.amount_refunded, charge.refunded) == (4900, True)
    listed = shop.v1.refunds.list({"payment_intent": paid.id}).data
    assert [one.amount for one in listed] == [4000, 900]
    assert types(shop) == ["refund.created", "charge.refunded"] * 2


def test_only_a_payment_can_be_refunded(shop, alice):
    intent = shop.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    with pytest.raises(InvalidRequestError, match="does not have a successful charge"):
        shop.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(InvalidRequestError, match="payment_intent or charge"):
        shop.v1.refunds.create({"amount": 5})
    with pytest.raises(InvalidRequestError, match="must be one of duplicate, fraudulent, or"):
        shop.v1.refunds.create({"payment_intent": intent.id, "reason": "because"})


def test_a_refund_may_fail_days_later(shop, alice):
    paid = shop.charge(alice, shop.card(alice, "pm_card_refundFail"))
    refund = shop.v1.refunds.create({"payment_intent": paid.id})
    assert refund.status == "succeeded"

    shop.advance(seconds=60)

    refund = shop.v1.refunds.retrieve(refund.id)
    assert (refund.status, refund.failure_reason) == ("failed", "expired_or_canceled_card")
    charge = charge_of(shop, paid)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert types(shop)[2:] == ["refund.updated", "charge.refund.updated", "refund.failed"]
    assert shop.v1.refunds.create({"payment_intent": paid.id}).amount == 4900


def test_a_refund_may_pend_and_be_failed_by_hand(shop, alice, paid):
    slow = shop.charge(alice, shop.card(alice, "pm_card_pendingRefund"))
    pending = shop.v1.refunds.create({"payment_intent": slow.id})
    assert pending.status == "pending"
    shop.advance(seconds=60)
    assert shop.v1.refunds.retrieve(pending.id).status == "succeeded"

    refund = shop.v1.refunds.create({"payment_intent": paid.id, "amount": 100})
    shop.control(f"refunds/{refund.id}/fail", {"reason": "lost_or_stolen_card"})
    assert shop.v1.refunds.retrieve(refund.id).failure_reason == "lost_or_stolen_card"
    assert shop.http.post(f"/_sandbox/refunds/{refund.id}/fail").status_code == 400
    assert shop.http.post("/_sandbox/refunds/re_nothing/fail").status_code == 404


@pytest.mark.parametrize(
    ("name", "reason", "status"),
    [
        ("pm_card_createDispute", "fraudulent", "needs_response"),
        ("pm_card_createDisputeProductNotReceived", "product_not_received", "needs_response"),
        ("pm_card_createDisputeInquiry", "general", "warning_needs_response"),
    ],
)
def test_some_cards_dispute_what_they_paid(shop, alice, name, reason, status):
    paid = shop.charge(alice, shop.card(alice, name))

    dispute = shop.v1.disputes.list({"payment_intent": paid.id}).data[0]
    assert (dispute.reason, dispute.status, dispute.amount) == (reason, status, 4900)
    assert charge_of(shop, paid).disputed
    told = [name for name in types(shop) if name.startswith("charge.dispute")]
    is_inquiry = status.startswith("warning")
    assert told == ["charge.dispute.created", "charge.dispute.funds_withdrawn"][: 2 - is_inquiry]
    refund = {"payment_intent": paid.id}
    if is_inquiry:
        assert shop.v1.refunds.create(refund).status == "succeeded"
        return
    with pytest.raises(InvalidRequestError) as caught:
        shop.v1.refunds.create(refund)
    assert caught.value.code == "charge_disputed"


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        (["under_review", "won"], ["updated", "closed", "funds_reinstated"]),
        (["lost"], ["closed"]),
        (["won", "lost"], ["closed", "funds_reinstated", "closed", "funds_withdrawn"]),
    ],
)
def test_a_dispute_is_decided_by_hand(shop, paid, statuses, told):
    dispute = shop.control(f"charges/{paid.latest_charge}/dispute", {"reason": "unrecognized"})
    for status in statuses:
        assert shop.control(f"disputes/{dispute['id']}", {"status": status})["status"] == status

    names = [name.removeprefix("charge.dispute.") for name in types(shop)]
    assert names[-len(told) :] == told
    lines = shop.v1.disputes.retrieve(dispute["id"]).balance_transactions
    assert [line.amount for line in lines] == [-4900, 4900, -4900][: len(lines)]
    assert (
        shop.http.post(
            f"/_sandbox/disputes/{dispute['id']}", json={"status": "needs_response"}
        ).status_code
        == 400
    )
    again = shop.http.post(f"/_sandbox/charges/{paid.latest_charge}/dispute")
    assert "disputed already" in again.json()["error"]["message"]


def test_an_inquiry_may_become_a_dispute(shop, paid):
    inquiry = shop.control(f"charges/{paid.latest_charge}/dispute", {"inquiry": True})
    assert (inquiry["status"], inquiry["balance_transactions"]) == ("warning_needs_response", [])

    shop.control(f"disputes/{inquiry['id']}", {"status": "needs_response"})

    dispute = shop.v1.disputes.retrieve(inquiry["id"])
    assert (dispute.is_charge_refundable, len(dispute.balance_transactions)) == (False, 1)
    assert types(shop)[-2:] == ["charge.dispute.updated", "charge.dispute.funds_withdrawn"]


def test_a_warning_is_actionable_until_the_money_is_back(shop, alice, paid):
    warned = shop.charge(alice, shop.card(alice, "pm_card_createIssuerFraudRecord"))
    by_hand = shop.control(f"charges/{paid.latest_charge}/warning")
    listed = shop.v1.radar.early_fraud_warnings.list({"charge": warned.latest_charge}).data
    assert [one.actionable for one in listed] == [True]

    shop.v1.refunds.create({"payment_intent": paid.id})

    warning = shop.v1.radar.early_fraud_warnings.retrieve(by_hand["id"])
    assert not warning.actionable
    assert types(shop)[-1] == "radar.early_fraud_warning.updated"


def test_a_review_opens_and_closes(shop, paid):
    review = shop.control(f"charges/{paid.latest_charge}/review")
    closed = shop.control(f"reviews/{review['id']}/close", {"reason": "refunded_as_fraud"})

    assert (review["open"], closed["open"], closed["reason"]) == (True, False, "refunded_as_fraud")
    assert shop.v1.reviews.retrieve(review["id"]).closed_reason == "refunded_as_fraud"
    assert types(shop) == ["review.opened", "review.closed"]
    assert shop.http.post(f"/_sandbox/reviews/{review['id']}/close").status_code == 400


def test_a_receipt_shows_its_refunds(shop, paid):
    shop.v1.refunds.create({"payment_intent": paid.id, "amount": 900})
    text = shop.http.get(charge_of(shop, paid).receipt_url).text
    assert "$49.00" in text and "$9.00" in text and VISA[-4:] in text
    assert shop.http.get("/receipts/ch_nothing").status_code == 404
