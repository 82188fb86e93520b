from datetime import timedelta

import httpx
import pytest

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
    assert {name: count for name, count in counts.items() if count} == {"credit_types": 2}


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


def test_the_dashboard_of_a_customer_is_a_page_too(box, client, shop):
    alice = shop.customer("alice")
    url = client.v1.dashboards.get_embeddable_url(customer_id=alice, dashboard="invoices").data.url
    http = httpx.Client(transport=box.transport())

    assert "Alice" in http.get(url).text
    assert http.get("http://sandbox/dashboard/nobody").status_code == 404


def test_services_are_listed(client):
    assert client.v1.services.list().services[0].usage == "makes_connections_from"
