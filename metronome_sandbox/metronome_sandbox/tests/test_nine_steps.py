"""The whole product once, as a careful client would check it."""

from datetime import timedelta

import pytest
from metronome import BadRequestError, ConflictError

from metronome_sandbox.delivery import sign

from .world import HOUR, NOW, VC


def test_a_customer_signs_up_speaks_recharges_fails_recovers_and_expires(box, client, wire, shop):
    # 2. An alert at zero, system notifications, an offset three days before a segment ends
    client.v1.alerts.create(
        alert_type="low_remaining_contract_credit_and_commit_balance_reached",
        name="Out of credits",
        threshold=0,
        credit_type_id=VC,
    )
    for type_ in ("commit.create", "contract.start"):
        client.post(
            "/v2/notifications/edit",
            cast_to=object,
            body={"policy": {"type": type_}, "is_enabled": True},
        )
    client.v2.notifications.offset.create(
        name="Ends soon", policy={"type": "commit.segment.end", "offset": "-P3D"}
    )

    # 3. Customer and trial
    alice = shop.customer("alice")
    contract = shop.contract(alice, shop.commit(50_000))
    assert shop.net(alice) == 50_000
    box.tick()
    url, body, headers = wire.received[0]
    date = headers["X-Metronome-Date"]
    assert headers["Metronome-Webhook-Signature"] == sign("secret", date, body)
    assert {"contract.start", "commit.create"} <= set(wire.types)
    assert wire.of("contract.start")[0]["contract_id"] == contract

    # 4. Usage by alias, sent twice
    batch = [shop.event("alice", 10_000), shop.event("alice", 5_000, voice="premium")]
    client.v1.usage.ingest(usage=batch)
    client.v1.usage.ingest(usage=batch)
    assert shop.net(alice) == 30_000

    # 5. A plan bought, twice by mistake
    purchase = shop.commit(250_000, days=30, cents=4_900)
    edit = {
        "contract_id": contract,
        "customer_id": alice,
        "add_commits": [purchase],
        "uniqueness_key": "creator",
    }
    added = client.v2.contracts.edit(**edit).data.edit.add_commits[0]
    with pytest.raises(ConflictError, match="This uniqueness key has already been used"):
        client.v2.contracts.edit(**edit)
    assert shop.net(alice) == 280_000
    invoice = client.v1.customers.invoices.list(customer_id=alice, type="SCHEDULED").data[0]
    assert (invoice.status, invoice.total, invoice.line_items[0].commit_id) == (
        "FINALIZED",
        4_900,
        added.id,
    )

    # 6. Recharge: burn to the threshold, release
    client.v2.contracts.edit(
        contract_id=contract,
        customer_id=alice,
        add_prepaid_balance_threshold_configuration=shop.recharge(),
    )
    shop.speak("alice", 255_000)
    box.tick()
    initiate = wire.of("payment_gate.external_initiate")[0]["properties"]
    assert len(wire.of("payment_gate.threshold_reached")) == 1
    assert initiate["invoice_total"] == (200_000 - 25_000) * 0.025
    assert initiate["invoice_currency"] == "USD"
    assert shop.release(initiate["workflow_id"], "paid").content == b""
    assert shop.net(alice) == 200_000
    with pytest.raises(
        BadRequestError, match="not in COMMITTING state, already in state COMMITTED"
    ):
        shop.release(initiate["workflow_id"], "paid")

    # 7. A recharge that fails, the end of the balance, and the way back
    shop.speak("alice", 180_000)
    box.tick()
    failing = wire.of("payment_gate.external_initiate")[1]["properties"]
    shop.release(failing["workflow_id"], "failed")
    void = client.v1.customers.invoices.retrieve(
        customer_id=alice, invoice_id=failing["invoice_id"]
    ).data
    config = client.v2.contracts.retrieve(contract_id=contract, customer_id=alice).data
    assert void.status == "VOID"
    assert config.prepaid_balance_threshold_configuration.is_enabled is False
    shop.speak("alice", 20_000)
    box.tick()
    alert = wire.of("alerts.low_remaining_contract_credit_and_commit_balance_reached")
    assert [one["properties"]["remaining_balance"] for one in alert] == [0]
    client.v2.contracts.edit(
        contract_id=contract,
        customer_id=alice,
        update_prepaid_balance_threshold_configuration={"is_enabled": True},
    )
    box.tick()
    third = wire.of("payment_gate.external_initiate")[2]["properties"]
    assert third["invoice_total"] == 5_000
    shop.release(third["workflow_id"], "paid")

    # 8. The end of the month, the offset, the expiry
    shop.speak("alice", 1_000)
    box.clock.move_to(HOUR + timedelta(days=14 - 3, seconds=1))
    box.tick()
    offset = [one for one in wire.of("commit.segment.end") if "offset_duration" in one]
    assert offset[0]["offset_duration"] == "-P3D"
    assert offset[0]["timestamp"] == "2026-03-24T09:00:00.000Z"
    box.clock.move_to(NOW.replace(month=4, day=2, hour=0, minute=0))
    box.tick()
    usage = client.v1.customers.invoices.list(customer_id=alice, type="USAGE").data[0]
    assert usage.status == "FINALIZED"
    assert {line.type for line in usage.line_items} == {"usage", "applied_commit_or_credit"}
    assert usage.total == 0
    box.clock.move_to(HOUR.replace(year=2027, month=4, day=1, hour=0))
    box.tick()
    ledgers = {one.id: one.ledger for one in shop.balances(alice, include_ledgers=True)}
    last = [
        ledger[-1].type for ledger in ledgers.values() if sum(entry.amount for entry in ledger) == 0
    ]
    assert len(ledgers) == 4 and "PREPAID_COMMIT_EXPIRATION" in last
    assert shop.net(alice) == 0

    # 9. Pages, PDF, the default unit
    box.world.settings.page_size = 2
    listed = list(client.v1.customers.invoices.list(customer_id=alice))
    assert len(listed) > 4 and len({one.id for one in listed}) == len(listed)
    pdf = client.v1.customers.invoices.retrieve_pdf(customer_id=alice, invoice_id=usage.id)
    assert pdf.read().startswith(b"%PDF-")
    assert client.v1.contracts.get_net_balance(customer_id=alice).data.balance == 0
