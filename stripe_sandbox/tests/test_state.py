"""What a restart finds again."""

import pytest
import stripe

from stripe_sandbox import Sandbox

from .world import NOW, Shop, Wire


def test_everything_is_there_after_a_restart(tmp_path):
    def start(wire, now=NOW):
        return Sandbox(
            now=now,
            webhooks=[("http://app", "whsec_x")],
            sender=wire,
            state_path=tmp_path / "state.sqlite3",
            seed=1,
        )

    wire = Wire()
    wire.status = 503
    box = start(wire)
    shop = Shop(box)
    alice = shop.customer()
    paid = shop.charge(alice, shop.card(alice, "pm_card_pendingRefund"), key="k")
    refund = shop.v1.refunds.create({"payment_intent": paid.id})
    session = shop.checkout(alice)
    shop.control("declines", {"decline_code": "lost_card"})
    shop.control("clock", {"advance_seconds": 5})
    box.tick()
    box.close()

    wire = Wire()
    box = start(wire)
    shop = Shop(box)
    assert (box.clock.now() - NOW).total_seconds() == 5
    assert shop.charge(alice, paid.payment_method, key="k").id == paid.id
    with pytest.raises(stripe.CardError):
        shop.charge(alice, paid.payment_method)
    shop.advance(seconds=60)
    assert shop.v1.refunds.retrieve(refund.id).status == "succeeded"
    assert "customer.created" in wire.types
    shop.advance(seconds=24 * 3600)
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert shop.customer().id != alice.id
    box.close()
