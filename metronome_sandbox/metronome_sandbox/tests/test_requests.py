"""The bearer, errors, idempotency, unknown fields: what holds for every call."""

import httpx
import pytest
from metronome import APIStatusError, AuthenticationError, ConflictError, Metronome

from metronome_sandbox import Sandbox

from .conftest import client_of
from .world import NOW


@pytest.fixture
def http(box):
    with httpx.Client(
        transport=box.transport(),
        base_url="http://sandbox",
        headers={"Authorization": "Bearer sandbox"},
    ) as http:
        yield http


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic sandbox", "Bearer"])
def test_without_the_right_bearer_nothing_is_told(http, header):
    answer = http.get("/v1/customers", headers={"Authorization": header})
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})


def test_the_sdk_sees_its_authentication_error(box):
    http_client = httpx.Client(transport=box.transport())
    client = Metronome(
        bearer_token="wrong", base_url="http://sandbox", http_client=http_client, max_retries=0
    )
    with pytest.raises(AuthenticationError):
        client.v1.customers.list()


def test_unknown_paths_wrong_methods_and_unsupported_calls_are_told_apart(http):
    assert http.get("/v1/nothing").status_code == 404
    assert http.get("/v2/nothing").json()["code"] == "NotFound"
    assert http.delete("/v1/customers").status_code == 405
    answer = http.post("/v1/contracts/amend", json={})
    assert (answer.status_code, answer.json()["message"]) == (
        501,
        "The sandbox does not support POST /v1/contracts/amend: "
        "the older way to change a contract: use POST /v2/contracts/edit.",
    )


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"nonsense", b'{"name": NaN}', b"\xff", b"[" * 100_000]
)
def test_malformed_json_is_400(http, body):
    answer = http.post("/v1/customers", content=body)
    assert answer.status_code == 400
    assert answer.json().keys() == {"message"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "name is required"),
        ({"name": 5}, "name must be a string"),
        ({"name": "a", "ingest_aliases": "a"}, "ingest_aliases must be a list"),
        ({"name": "a", "ingest_aliases": [5]}, "ingest_aliases[0] must be a string"),
    ],
)
def test_wrong_types_name_the_field(http, body, message):
    answer = http.post("/v1/customers", json=body)
    assert (answer.status_code, answer.json()) == (400, {"message": message})


def test_enums_are_read_in_any_case_and_written_in_upper(http, client, shop):
    answer = http.post("/v1/contract-pricing/products/create", json={"name": "p", "type": "fixed"})
    product = client.v1.contracts.products.retrieve(id=answer.json()["data"]["id"]).data
    assert product.type == "FIXED"


def test_unknown_fields_are_ignored_and_counted(http):
    assert http.post("/v1/customers", json={"name": "a", "nickname": "b"}).status_code == 200
    assert http.get("/_sandbox/state").json()["unknown_fields"] == {"/v1/customers nickname": 1}


def test_unknown_fields_are_refused_when_strict():
    client = client_of(Sandbox(now=NOW, strict=True))
    with pytest.raises(APIStatusError, match="Unknown fields: nickname"):
        client.v1.customers.create(name="a", extra_body={"nickname": "b"})
    with pytest.raises(APIStatusError, match="Unknown fields: text"):
        client.v1.usage.ingest(
            usage=[
                {
                    "transaction_id": "t",
                    "customer_id": "c",
                    "event_type": "e",
                    "timestamp": NOW.isoformat(),
                    "text": "secret",
                }
            ]
        )


def test_an_idempotency_key_replays_the_answer(client):
    headers = {"Idempotency-Key": "k"}
    first = client.v1.customers.create(name="a", extra_headers=headers).data.id
    again = client.v1.customers.create(name="a", extra_headers=headers).data.id

    assert first == again
    assert len(list(client.v1.customers.list())) == 1
    with pytest.raises(ConflictError, match="Idempotency-Key"):
        client.v1.customers.create(name="b", extra_headers=headers)


def test_an_idempotency_key_replays_errors_too_and_is_free_after_a_day(box, client):
    headers = {"Idempotency-Key": "k"}
    client.v1.customers.create(name="a", ingest_aliases=["x"])
    with pytest.raises(ConflictError, match="already exists"):
        client.v1.customers.create(name="b", ingest_aliases=["x"], extra_headers=headers)
    (owner,) = client.v1.customers.list()
    client.v1.customers.set_ingest_aliases(customer_id=owner.id, ingest_aliases=[])
    with pytest.raises(ConflictError, match="already exists"):
        client.v1.customers.create(name="b", ingest_aliases=["x"], extra_headers=headers)

    box.clock.advance(seconds=86_400)

    client.v1.customers.create(name="b", ingest_aliases=["x"], extra_headers=headers)


def test_the_same_seed_gives_the_same_ids():
    ids = [
        client_of(Sandbox(now=NOW, seed=3)).v1.customers.create(name="a").data.id for _ in range(2)
    ]
    assert ids[0] == ids[1]


def test_an_error_of_the_sandbox_itself_is_500_and_does_not_kill_it(box, http, caplog):
    box.world.store.customers.rows["x"] = object()
    assert http.get("/v1/customers").status_code == 500
    assert "the call /v1/customers failed" in caplog.text
    del box.world.store.customers.rows["x"]
    assert http.get("/v1/customers").status_code == 200
