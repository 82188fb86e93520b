"""Clients of earlier SDK versions and hand-made ones: the same calls with fewer fields."""

import httpx
import pytest

from .world import HOUR, NOW, VC


@pytest.fixture
def http(box):
    with httpx.Client(
        transport=box.transport(),
        base_url="http://sandbox",
        headers={"Authorization": "Bearer sandbox"},
    ) as http:
        yield http


def test_lists_answer_with_no_body_an_empty_one_and_null(http, shop):
    for content in (None, b"{}", b"null"):
        answer = http.post("/v1/contract-pricing/rate-cards/list", content=content)
        assert [one["id"] for one in answer.json()["data"]] == [shop.card]
    assert len(http.post("/v1/contract-pricing/products/list").json()["data"]) == 3


def test_cursors_are_taken_from_the_query_or_the_body(http, shop):
    path = "/v1/contract-pricing/products/list"
    first = http.post(path, params={"limit": 2}).json()
    by_query = http.post(path, params={"limit": 2, "next_page": first["next_page"]}).json()
    by_body = http.post(path, json={"limit": 2, "next_page": first["next_page"]}).json()

    assert len(by_query["data"]) == 1
    assert by_query == by_body
    assert by_query["next_page"] is None


def test_a_customer_of_the_first_days_has_an_external_id(http):
    made = http.post("/v1/customers", json={"name": "Old", "external_id": "old"}).json()["data"]
    assert made["ingest_aliases"] == ["old"]


def test_minimal_bodies_suffice_for_the_whole_way(http, shop):
    customer = http.post("/v1/customers", json={"name": "A", "ingest_aliases": ["a"]}).json()[
        "data"
    ]["id"]
    contract = http.post(
        "/v1/contracts/create",
        json={
            "customer_id": customer,
            "starting_at": HOUR.isoformat(),
            "rate_card_id": shop.card,
            "commits": [
                {
                    "product_id": shop.credits,
                    "type": "prepaid",
                    "access_schedule": {
                        "credit_type_id": VC,
                        "schedule_items": [
                            {
                                "amount": 500,
                                "starting_at": HOUR.isoformat(),
                                "ending_before": "2027-01-01T00:00:00Z",
                            }
                        ],
                    },
                }
            ],
        },
    ).json()["data"]["id"]
    event = {
        "transaction_id": "t",
        "customer_id": "a",
        "event_type": "voice_generation",
        "timestamp": "2026-03-10T09:29:00+00:00",
        "properties": {"text_length": 120, "voice_type": "standard"},
    }
    ingested = http.post("/v1/ingest", json=[event])
    assert (ingested.status_code, ingested.content) == (200, b"")

    body = {"customer_id": customer, "include_balance": True, "include_contract_balances": True}
    (row,) = http.post("/v1/contracts/customerBalances/list", json=body).json()["data"]
    assert (row["balance"], row["contract"]["id"]) == (380, contract)
    (without,) = http.post(
        "/v1/contracts/customerBalances/list",
        json={"customer_id": customer, "include_contract_balances": True},
    ).json()["data"]
    assert "balance" not in without
    assert (
        http.post("/v1/contracts/list", json={"customer_id": customer}).json()["data"][0]["id"]
        == contract
    )


def test_a_paged_contract_list_has_both_shapes_of_end(http, shop):
    customer = shop.customer()
    shop.contract(customer)
    answer = http.post("/v2/contracts/list", json={"customer_id": customer}).json()
    assert (len(answer["data"]), answer["cursor"]) == (1, None)


def test_dates_without_a_zone_are_utc(http, shop):
    customer = shop.customer()
    made = http.post(
        "/v1/contracts/create",
        json={"customer_id": customer, "starting_at": NOW.strftime("%Y-%m-%dT%H:00:00")},
    ).json()["data"]["contract"]
    assert made["starting_at"] == "2026-03-10T09:00:00.000Z"
