import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from metronome_sandbox import Sandbox
from metronome_sandbox.delivery import sign
from metronome_sandbox.version import VERSION

from .world import HOUR, NOW


@pytest.fixture
def control(box):
    with httpx.Client(
        transport=box.transport(),
        base_url="http://sandbox/_sandbox",
        headers={"Authorization": "Bearer sandbox"},
    ) as http:
        yield http


def test_the_control_calls_need_the_bearer(control):
    assert control.get("/state", headers={"Authorization": ""}).status_code == 401


def test_the_clock_is_read_advanced_and_set_and_things_happen(control, client, shop):
    alice = shop.customer()
    shop.contract(alice, shop.commit(100))
    assert control.get("/clock").json() == {
        "now": "2026-03-10T09:30:00.000Z",
        "virtual": True,
        "offset_seconds": 0,
    }

    control.post("/clock", json={"advance_seconds": 1800.5})
    assert control.get("/clock").json()["now"] == "2026-03-10T10:00:00.500Z"
    control.post("/clock", json={"now": (HOUR + timedelta(days=14)).isoformat()})
    assert shop.net(alice) == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"advance_seconds": -1},
        {"advance_seconds": "x"},
        {"now": "2020-01-01T00:00:00Z"},
        {"now": "soon"},
    ],
)
def test_time_does_not_go_back_or_sideways(box, control, body):
    assert control.post("/clock", json=body).status_code == 400
    assert box.clock.now() == NOW


def test_state_counts_what_there_is(control, client, shop):
    shop.contract(shop.customer(), prepaid_balance_threshold_configuration=shop.recharge())
    state = control.get("/state").json()

    assert state["counts"]["customers"] == state["counts"]["contracts"] == 1
    assert state["calls"]["POST /v1/customers"] == 1
    assert state["open_workflows"][0]["amount"] == 200_000
    assert state["webhooks"] == ["http://app/hooks"]


def test_reset_forgets_everything_but_the_units(control, client, shop):
    shop.contract(shop.customer(), shop.commit(100))
    control.post("/reset")

    counts = control.get("/state").json()["counts"]
    assert {name: count for name, count in counts.items() if count} == {"credit_types": 19}


def test_settings_change_while_it_runs(control, box):
    assert (
        control.post("/settings", json={"page_size": 3, "latency_seconds": 2}).json()["page_size"]
        == 3
    )
    assert (box.world.settings.page_size, box.world.settings.latency_seconds) == (3, 2)
    for wrong in ({"colour": "red"}, {"strict": "yes"}, {"page_size": 0}):
        assert control.post("/settings", json=wrong).status_code == 400
    assert control.get("/settings").json()["latency_seconds"] == 2


def test_the_start_page_shows_a_person_what_there_is(box, control, client, shop):
    alice = client.v1.customers.create(name="<b>Alice</b>", ingest_aliases=["alice"]).data.id
    shop.contract(alice, shop.commit(50_000, cents=100, name="Trial"))
    control.post("/webhooks/test")
    box.tick()
    answer = httpx.Client(transport=box.transport()).get("http://sandbox/")

    assert answer.status_code == 200
    assert "text/html" in answer.headers["Content-Type"]
    for shown in (
        "&lt;b&gt;Alice&lt;/b&gt;",
        "Trial",
        "50,000",
        "webhooks.test",
        "FINALIZED",
        "Bearer",
    ):
        assert shown in answer.text
    assert "<b>Alice" not in answer.text


def test_the_page_shows_both_kinds_of_thresholds(box, client, shop):
    shop.contract(
        shop.customer("alice"),
        shop.commit(50_000),
        prepaid_balance_threshold_configuration=shop.recharge(25_000, 200_000),
        spend_threshold_configuration={
            "commit": {"product_id": shop.credits},
            "is_enabled": False,
            "payment_gate_config": {"payment_gate_type": "EXTERNAL"},
            "threshold_amount": 1_250,
        },
    )
    shop.contract(shop.customer("bob"))
    text = httpx.Client(transport=box.transport()).get("http://sandbox/").text

    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in text.split("<tr>")]
    assert [row[4:] for row in rows if row[-1:] == ["active"]] == [
        ["none", "none", "active"],
        ["on: 25,000 → 200,000", "off: 1,250", "active"],
    ]


def test_the_dashboard_of_a_customer_is_a_page_too(box, client, shop):
    alice = shop.customer("alice")
    url = client.v1.dashboards.get_embeddable_url(customer_id=alice, dashboard="invoices").data.url
    http = httpx.Client(transport=box.transport())

    assert "Alice" in http.get(url).text
    assert http.get("http://sandbox/dashboard/nobody").status_code == 404


def test_services_are_listed(client):
    assert client.v1.services.list().services[0].usage == "makes_connections_from"


def test_a_reset_begins_where_the_clock_began(box, control, client):
    control.post("/clock", json={"advance_seconds": 86_400})
    client.v1.customers.create(name="Alice")

    assert control.post("/reset").json() == {"reset": True}

    assert box.clock.now() == NOW
    assert list(client.v1.customers.list()) == []


def test_a_reset_may_begin_elsewhere_and_the_next_one_begins_where_it_was_started(box, control):
    control.post("/reset", json={"now": "2025-01-01T00:00:00Z"})
    assert control.get("/clock").json()["now"] == "2025-01-01T00:00:00.000Z"
    assert control.post("/reset", json={"now": "soon"}).status_code == 400
    assert control.get("/clock").json()["now"] == "2025-01-01T00:00:00.000Z"

    control.post("/reset")

    assert box.clock.now() == NOW


def test_a_reset_makes_a_running_clock_stand_or_run_again():
    box = Sandbox()
    box.clock.advance(timedelta(days=400))
    box.reset(NOW)
    assert (box.clock.now(), box.clock.virtual) == (NOW, True)

    box.reset()

    assert abs(datetime.now(UTC) - box.clock.now()) < timedelta(hours=1)
    assert not box.clock.virtual


def test_destinations_come_and_go_while_it_runs(box, control, wire):
    more = {"url": "http://other/hooks", "secret": "s"}
    assert control.post("/webhooks", json=more).json() == control.get("/webhooks").json()
    control.post("/webhooks/test")
    control.post("/webhooks", json={**more, "secret": "t"})
    box.tick()
    assert [url for url, _, _ in wire.received] == ["http://app/hooks", "http://other/hooks"]
    _, body, headers = wire.received[1]
    assert headers["Metronome-Webhook-Signature"] == sign("t", headers["Date"], body)

    left = control.delete("/webhooks", params={"url": "http://app/hooks"}).json()

    assert left == {"data": [{"url": "http://other/hooks"}]}
    assert control.delete("/webhooks", params={"url": "http://app/hooks"}).status_code == 404
    control.post("/reset")
    assert control.get("/webhooks").json() == left
    assert control.delete("/webhooks").json() == {"data": []}


@pytest.mark.parametrize(
    "body",
    [{}, {"url": "app/hooks"}, {"url": 5}, {"url": "http://"}, {"url": "http://a", "secret": 5}],
)
def test_a_destination_is_an_address(control, body):
    assert control.post("/webhooks", json=body).status_code == 400
    assert len(control.get("/webhooks").json()["data"]) == 1


def test_without_a_destination_what_would_be_sent_is_listed(control, box, wire):
    control.delete("/webhooks")
    control.post("/webhooks/test")
    box.tick()
    [row] = control.get("/deliveries").json()["data"]
    assert (row["url"], row["status"], row["note"]) == ("", None, "no destination")
    assert json.loads(row["body"])["type"] == "webhooks.test"
    assert "no destination" in control.get("http://sandbox/").text
    replay = f"/deliveries/{row['id']}/replay"
    answer = control.post(replay)
    assert (answer.status_code, "POST /_sandbox/webhooks" in answer.json()["message"]) == (
        400,
        True,
    )
    assert wire.received == []

    control.post("/webhooks", json={"url": "http://app/hooks", "secret": "secret"})
    control.post(replay)
    box.tick()

    assert [body.decode() for _, body, _ in wire.received] == [row["body"]]


def test_every_answer_names_the_version(box, control):
    box.faults.add("/v1/customers", "status", status=503)
    answers = [
        control.get("/clock"),
        control.get("http://sandbox/v1/customers"),
        control.get("http://sandbox/v1/nothing"),
        control.get("/clock", headers={"Authorization": ""}),
        control.get("http://sandbox/"),
    ]

    assert [answer.status_code for answer in answers] == [200, 503, 404, 401, 200]
    assert {answer.headers["Metronome-Sandbox-Version"] for answer in answers} == {VERSION}
    assert control.get("/state").json()["version"] == VERSION


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    assert project["version"] == VERSION


def test_the_start_page_says_what_it_is_told(wire):
    box = Sandbox(unit="Tokens", page_text="Ours & <nobody's>")
    page = httpx.Client(transport=box.transport()).get("http://sandbox/").text

    assert "Ours &amp; &lt;nobody" in page
    units = box.world.store.credit_types
    assert [unit.name for unit in units if not unit.is_currency] == ["Tokens"]
