"""Nothing a client sends makes the sandbox answer 500."""

import contextlib
import json
import random
from typing import Any

import httpx
import pytest

from metronome_sandbox.checks import check
from metronome_sandbox.routes import EMULATED
from metronome_sandbox.wire import ApiError

from .conftest import client_of
from .world import HOUR, NOW, Shop

ALICE = "0a0a0a0a-0000-4000-8000-000000000000"
ODD: list[Any] = [
    None,
    True,
    "",
    "x",
    "\x00",
    "2026-03-10T09:00:00Z",
    "0001-01-01T00:00:00+23:00",
    "9999-12-31T23:59:59-23:00",
    "-P99999999999D",
    ALICE,
    -1,
    0,
    1e300,
    10**30,
    [],
    [None],
    {},
    {"a": None},
]


@pytest.fixture
def http(box):
    with httpx.Client(
        transport=box.transport(),
        base_url="http://sandbox",
        headers={"Authorization": "Bearer sandbox"},
    ) as http:
        yield http


@pytest.fixture
def things(box, client, shop):
    """Ids of what there is, by the name of the field that names it."""
    alice = shop.customer("alice")
    seat = client.v1.contracts.products.create(name="Seat", type="SUBSCRIPTION").data.id
    client.v1.contracts.rate_cards.rates.add(
        rate_card_id=shop.card,
        product_id=seat,
        entitled=True,
        rate_type="FLAT",
        price=3_000,
        billing_frequency="MONTHLY",
        starting_at="2026-01-01T00:00:00Z",
    )
    contract = shop.contract(
        alice,
        shop.commit(100_000, cents=100),
        prepaid_balance_threshold_configuration=shop.recharge(),
        subscriptions=[
            {
                "collection_schedule": "ADVANCE",
                "initial_quantity": 2,
                "proration": {},
                "subscription_rate": {"billing_frequency": "MONTHLY", "product_id": seat},
            }
        ],
    )
    found = client.v2.contracts.retrieve(customer_id=alice, contract_id=contract).data
    schedule = shop.commit(10)["access_schedule"]
    credit = client.v1.customers.credits.create(
        customer_id=alice, priority=1, product_id=shop.credits, access_schedule=schedule
    ).data.id
    shop.speak("alice", 10)
    commit = shop.balances(alice)[0]
    alert = client.v1.alerts.create(
        alert_type="spend_threshold_reached", name="a", threshold=5
    ).data.id
    offset = client.v2.notifications.offset.create(
        name="o", policy={"type": "contract.start", "offset": "P1D"}
    ).data.id
    box.tick()
    return {
        "customer_id": alice,
        "contract_id": contract,
        "from_contract_id": contract,
        "commit_id": commit.id,
        "credit_id": credit,
        "segment_id": commit.access_schedule.schedule_items[0].id,
        "product_id": shop.credits,
        "billable_metric_id": shop.speech_metric,
        "rate_card_id": shop.card,
        "alert_id": alert,
        "subscription_id": found.subscriptions[0].id,
        "id": offset,
        "credit_type_id": schedule["credit_type_id"],
    }


class Guesser:
    """Bodies of a parameter type: mostly plausible, now and then odd."""

    def __init__(self, seed, things):
        self.dice = random.Random(seed)
        self.things = things

    def value(self, schema: dict[str, Any], name: str = "", depth: int = 0) -> Any:
        if self.dice.random() < 0.04:
            return self.dice.choice(ODD)
        if "anyOf" in schema:
            return self.value(self.dice.choice(schema["anyOf"]), name, depth)
        if "enum" in schema:
            return self.dice.choice(schema["enum"])
        if "properties" in schema:
            return self.body(schema, depth)
        if "additionalProperties" in schema:
            return {"k": self.value(schema["additionalProperties"], name, depth)}
        if "items" in schema:
            return [
                self.value(schema["items"], name, depth) for _ in range(self.dice.randint(0, 2))
            ]
        return self.scalar(schema.get("format") or schema.get("type"), name)

    def body(self, schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
        return {
            name: self.value(inner, name, depth + 1)
            for name, inner in schema["properties"].items()
            if name in schema.get("required", ())
            or self.dice.random() < (0.5 if depth == 0 else 0.7)
        }

    def when(self):
        hours = self.dice.choice([-2000, -24, -1, 0, 0, 1, 24, 2000])
        return HOUR.replace(day=max(1, min(28, HOUR.day + hours // 200))).isoformat()

    def scalar(self, kind: str | None, name: str) -> Any:
        if kind == "date-time":
            return self.when()
        if kind == "string":
            return self.things.get(name) or self.dice.choice(["text", ALICE, *self.things.values()])
        if kind == "boolean":
            return self.dice.random() < 0.5
        if kind in ("integer", "number"):
            return self.dice.choice([0, 1, 2, 12, 0.5, 1000, 100_000])
        return None if kind == "null" else self.dice.choice(ODD)


def calls():
    return [pytest.param(route, id=f"{route.method} {route.path}") for route in EMULATED]


def test_most_guesses_are_bodies_that_calls_take(things):
    """Without this the next test could pass on refusals alone."""
    taken = {}
    for route in EMULATED:
        guesser = Guesser(route.path, things)
        for _ in range(40 if route.params else 0):
            with contextlib.suppress(ApiError):
                check(guesser.body(route.params.schema), route.params)
                taken[route.path] = taken.get(route.path, 0) + 1
    assert sum(taken.values()) > 40 * len(taken) / 2
    assert {route.path for route in EMULATED if route.params} - set(taken) == set()


@pytest.mark.parametrize("route", calls())
def test_no_body_makes_a_500(http, things, route):
    path = route.path
    for name in ("customer_id", "billable_metric_id"):
        path = path.replace("{" + name + "}", things[name])
    path = path.replace("{invoice_id}", things["contract_id"])
    guesser = Guesser(route.path, things)
    bodies: list[Any] = [*ODD, {"customer_id": things["customer_id"]}]
    bodies += [guesser.body(route.params.schema) for _ in range(40)] if route.params else []
    for body in bodies:
        content = json.dumps(body).encode()
        answer = http.request(route.method, path, content=content)
        assert answer.status_code != 500, (route.path, body, answer.text)


@pytest.mark.parametrize(
    "path", [route.path for route in EMULATED if route.method == "GET" and "{id" not in route.path]
)
@pytest.mark.parametrize(
    "query",
    [
        "next_page=WzAsN10=",
        "next_page=W251bGwsMV0=",
        "next_page=WyJhIiwxXQ==",
        "next_page=%ff",
        "limit=x",
        "limit=-1",
        "limit=" + "9" * 5000,
        "starting_on=nonsense",
        "ending_before=9999-12-31T23:59:59-23:00",
        "sort=date_desc&status=x&type=y&contract_id=z",
    ],
)
def test_no_query_makes_a_500(http, things, path, query):
    path = path.replace("{customer_id}", things["customer_id"])
    assert http.get(f"{path}?{query}").status_code != 500


def test_a_cursor_of_another_list_is_400(http, client, shop, things):
    path = f"/v1/customers/{things['customer_id']}/invoices"
    answer = http.get(f"{path}?next_page=WzAsN10=")
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "The page cursor is of another list",
    )


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v2/contracts/commits/archive", {"customer_id": ALICE}, "commit_id is required"),
        ("/v2/contracts/credits/archive", {"customer_id": ALICE}, "credit_id is required"),
        ("/v2/notifications/edit", [None], "The request body must be a JSON object"),
        ("/v1/contracts/commits/threshold-billing/release", {}, "is required"),
        (
            "/v1/alerts/create",
            {
                "alert_type": "spend_threshold_reached",
                "name": "a",
                "threshold": 1,
                "customer_id": "",
            },
            "customer_id must not be empty",
        ),
        (
            "/v1/contract-pricing/rate-cards/create",
            {"name": "a", "fiat_credit_type_id": ""},
            "fiat_credit_type_id must not be empty",
        ),
        (
            "/v1/contract-pricing/rate-cards/create",
            {"name": "a", "fiat_credit_type_id": "8b1f0a52-6f0f-4f7e-9d5e-3f0c1c8a7b11"},
            "must be a currency",
        ),
        ("/v1/customers", {"name": "\ud800"}, "not valid JSON"),
        (
            "/v1/contracts/create",
            {"customer_id": ALICE, "starting_at": "9999-12-31T23:59:59-23:00"},
            "starting_at must be",
        ),
    ],
)
def test_what_is_wrong_is_told(http, path, body, message):
    answer = http.post(path, content=json.dumps(body).encode())
    assert answer.status_code == 400
    assert message in answer.json()["message"]


def test_a_wrong_method_says_which_are_possible(http):
    answer = http.delete("/v2/contracts/get")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["code"] == "MethodNotAllowed"


def test_a_path_with_a_fixed_part_goes_before_one_with_an_id(http, things):
    answer = http.get(f"/v1/customers/{things['customer_id']}/invoices/breakdowns")
    assert (answer.status_code, answer.json()["message"]) == (400, "starting_on is required")


def test_a_spent_commit_cannot_be_archived_until_its_invoices_are_void(box, client):
    shop = Shop(client)
    alice = shop.customer("alice")
    shop.contract(alice, shop.commit(100, days=60))
    shop.speak("alice", 10)
    box.clock.move_to(NOW.replace(month=4, day=3))
    (commit,) = shop.balances(alice)
    body = {"customer_id": alice, "commit_id": commit.id}
    strict = client_of(box)
    with pytest.raises(Exception, match="void them first"):
        strict.post("/v2/contracts/commits/archive", cast_to=object, body=body)

    final = client.v1.customers.invoices.list(customer_id=alice, status="FINALIZED").data[0]
    client.v1.invoices.void(id=final.id)
    strict.post("/v2/contracts/commits/archive", cast_to=object, body=body)
    assert shop.balances(alice) == []
