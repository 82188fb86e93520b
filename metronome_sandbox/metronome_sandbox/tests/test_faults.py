import httpx
import pytest
from metronome import APITimeoutError, InternalServerError, RateLimitError

from .conftest import client_of


@pytest.fixture
def control(box):
    with httpx.Client(
        transport=box.transport(),
        base_url="http://sandbox/_sandbox",
        headers={"Authorization": "Bearer sandbox"},
    ) as http:
        yield http


def customers(client):
    return [one.name for one in client.v1.customers.list()]


def test_a_status_happens_before_the_effect_as_often_as_asked(client, control):
    rule = {"match": "/v1/customers", "kind": "status", "status": 503, "times": 2}
    assert control.post("/faults", json=rule).status_code == 200

    for _ in range(2):
        with pytest.raises(InternalServerError) as caught:
            client.v1.customers.create(name="a")
        assert caught.value.status_code == 503
    assert customers(client) == []
    assert control.get("/faults").json() == {"data": []}


def test_429_says_whose_limit_it_was(client, box):
    box.faults.add("*", "status", status=429)
    with pytest.raises(RateLimitError) as caught:
        client.v1.customers.list()
    assert caught.value.response.headers["X-Metronome-Rate-Limit-Type"] == "client"


@pytest.mark.parametrize(
    ("kind", "error", "left"),
    [
        ("timeout_before", APITimeoutError, []),
        ("timeout_after", APITimeoutError, ["a"]),
        ("error_after", InternalServerError, ["a"]),
    ],
)
def test_the_effect_is_there_or_not_as_the_kind_says(client, box, kind, error, left):
    box.faults.add("/v1/customers", kind, times=1)

    with pytest.raises(error):
        client.v1.customers.create(name="a")

    assert customers(client) == left


def test_the_sdks_own_retry_gets_over_a_lost_answer(box):
    box.faults.add("/v1/ingest", "timeout_before", times=1)
    client = client_of(box, max_retries=1)
    client.v1.usage.ingest(
        usage=[
            {
                "transaction_id": "t",
                "customer_id": "c",
                "event_type": "e",
                "timestamp": box.clock.now().isoformat(),
            }
        ]
    )
    assert len(box.world.store.events) == 1


def test_a_delay_longer_than_the_clients_patience_is_a_timeout(client, box):
    box.faults.add("/v1/customers", "delay", seconds=5, times=2)

    client.v1.customers.create(name="patient")
    with pytest.raises(APITimeoutError):
        client.with_options(timeout=1).v1.customers.create(name="hasty")

    assert customers(client) == ["patient", "hasty"]


def test_every_third_call_can_fail_for_ever(client, box, control):
    box.faults.add("/v1/customers", "status", every=3, times=None)
    results = []
    for _ in range(9):
        try:
            client.v1.customers.list()
            results.append("ok")
        except InternalServerError:
            results.append("500")

    assert results == ["ok", "ok", "500"] * 3
    control.delete("/faults")
    assert customers(client) == []


def test_a_fault_of_another_path_does_not_strike(client, box):
    box.faults.add("/v1/ingest", "status")
    assert customers(client) == []
    assert len(box.faults.show()) == 1


def test_a_lost_answer_over_plain_wsgi_is_a_broken_connection_for_the_server_to_close(box):
    box.faults.add("*", "timeout_after")
    seen = {}
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/v1/customers",
        "HTTP_AUTHORIZATION": "Bearer sandbox",
    }

    body = b"".join(
        box(environ | {"wsgi.input": None}, lambda status, headers: seen.update(headers))
    )

    assert len(body) < int(seen["Content-Length"])


@pytest.mark.parametrize(
    "rule",
    [
        {"match": "*", "kind": "explode"},
        {"match": "webhook", "kind": "status"},
        {"match": "*"},
        {"match": "*", "kind": "status", "times": 0},
        {"match": "*", "kind": "status", "colour": "red"},
    ],
)
def test_a_wrong_rule_is_refused(control, rule):
    assert control.post("/faults", json=rule).status_code == 400


def test_reset_clears_faults(client, box, control):
    box.faults.add("*", "status", times=None)
    control.post("/reset")
    assert customers(client) == []
