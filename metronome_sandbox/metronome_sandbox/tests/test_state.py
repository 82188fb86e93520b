"""A sandbox with a state file is the same after a restart, also after one nobody asked for."""

import os
import signal
import subprocess
import sys
from datetime import timedelta

import httpx
import pytest

from metronome_sandbox import Sandbox

from .conftest import client_of
from .world import HOUR, NOW, Shop


@pytest.fixture
def reopen(tmp_path, wire):
    made = []

    def reopen(now=NOW):
        for box in made:
            box.close()
        made.append(
            Sandbox(
                now=now,
                webhooks=[("http://app", "s")],
                sender=wire,
                state_path=tmp_path / "state.sqlite3",
                evaluate_every_seconds=5,
                seed=4,
            )
        )
        return made[-1]

    yield reopen
    for box in made:
        box.close()


def test_everything_is_there_again(reopen, wire):
    box = reopen()
    client = client_of(box)
    shop = Shop(client)
    client.v1.alerts.create(
        alert_type="low_remaining_contract_credit_and_commit_balance_reached",
        name="a",
        threshold=0,
        uniqueness_key="zero",
    )
    alice = shop.customer("alice")
    contract = shop.contract(
        alice,
        shop.commit(100_000),
        prepaid_balance_threshold_configuration=shop.recharge(),
        uniqueness_key="once",
    )
    shop.speak("alice", 80_000, key="same")
    client.post("/_sandbox/webhooks/test", cast_to=object)
    before = client.v2.contracts.retrieve(
        contract_id=contract, customer_id=alice, include_ledgers=True
    ).data

    box = reopen()
    client = client_of(box)
    shop.client = client

    assert (
        client.v2.contracts.retrieve(
            contract_id=contract, customer_id=alice, include_ledgers=True
        ).data
        == before
    )
    shop.speak("alice", 80_000, key="same")
    assert shop.net(alice) == 20_000
    assert client.v1.customers.create(name="new").data.id not in {alice, contract}
    answer = httpx.Client(transport=box.transport()).post(
        "http://sandbox/v1/contracts/create",
        headers={"Authorization": "Bearer sandbox"},
        json={"customer_id": alice, "starting_at": HOUR.isoformat(), "uniqueness_key": "once"},
    )
    assert answer.status_code == 409
    box.clock.advance(seconds=5)
    box.tick()
    assert wire.types == [
        "webhooks.test",
        "payment_gate.threshold_reached",
        "payment_gate.external_initiate",
    ]


def test_what_was_waiting_goes_on_waiting(reopen, wire):
    box = reopen()
    client = client_of(box)
    shop = Shop(client)
    wire.status = OSError("down")
    client.post("/_sandbox/webhooks/test", cast_to=object)
    client.v2.notifications.offset.create(
        name="o", policy={"type": "commit.segment.end", "offset": "-P3D"}
    )
    alice = shop.customer()
    shop.contract(alice, shop.commit(10))
    box.tick()

    box = reopen(NOW + timedelta(days=12))
    wire.status = 200
    box.tick()

    assert wire.types == ["webhooks.test", "webhooks.test", "commit.segment.end"]


def test_the_clock_goes_on_where_it_was(reopen):
    client_of(reopen()).post("/_sandbox/clock", cast_to=object, body={"advance_seconds": 3600})

    assert reopen().clock.now() == NOW + timedelta(hours=1)


def test_a_clock_that_was_reset_to_a_moment_stands_there_again(tmp_path):
    path = tmp_path / "state.sqlite3"
    box = Sandbox(state_path=path)
    box.reset(NOW)
    box.close()

    again = Sandbox(state_path=path)

    assert again.clock.now() == NOW
    again.close()


def test_destinations_that_were_added_are_there_again(tmp_path):
    path = tmp_path / "state.sqlite3"
    for first in ("http://a", "http://b"):
        box = Sandbox(webhooks=[(first, "s")], state_path=path)
        body = {"url": "http://more", "secret": "t"}
        client_of(box).post("/_sandbox/webhooks", cast_to=object, body=body)
        assert box.world.webhooks == [(first, "s"), ("http://more", "t")]
        box.close()


def test_strange_properties_survive(reopen):
    client = client_of(reopen())
    strange = {"$sandbox.at": "x", "nested": {"$sandbox.number": "1"}, "é\u2028": [1, 2.5, None]}
    event = {
        "transaction_id": "t",
        "customer_id": "c",
        "event_type": "e",
        "timestamp": NOW.isoformat(),
    }
    client.v1.usage.ingest(
        usage=[{**event, "properties": strange}, {**event, "transaction_id": "u"}]
    )

    found = client_of(reopen()).v1.usage.search(transaction_ids=["t", "u"])

    assert found[0].properties["é\u2028"] == [1, 2.5, None]
    assert len(found) == 2


def test_reset_empties_the_file_too(reopen):
    box = reopen()
    client_of(box).v1.customers.create(name="a")
    box.reset()

    assert list(client_of(reopen()).v1.customers.list()) == []


@pytest.mark.process
def test_nothing_answered_is_lost_when_the_process_is_killed(tmp_path):
    code = (
        "import os, sys, httpx\n"
        "from metronome_sandbox import Sandbox\n"
        "box = Sandbox(state_path=sys.argv[1])\n"
        "key = {'Authorization': 'Bearer sandbox'}\n"
        "http = httpx.Client(transport=box.transport(), headers=key)\n"
        "for number in range(50):\n"
        "    answer = http.post('http://sandbox/v1/customers', json={'name': str(number)})\n"
        "    answer.raise_for_status()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "state.sqlite3"
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=os.getcwd(), check=False, timeout=60
    )
    assert run.returncode == -signal.SIGKILL

    box = Sandbox(state_path=path)
    assert len(box.world.store.customers) == 50
    box.close()
