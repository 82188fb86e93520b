"""Customers, payment methods, lists, search, tax: what is kept and found again."""

import pytest
import stripe
from stripe import InvalidRequestError

from .world import NOW


def test_a_deleted_customer_is_known_and_unusable(shop, alice):
    card = shop.card(alice)
    assert shop.v1.customers.delete(alice.id).deleted

    assert shop.v1.customers.retrieve(alice.id).deleted
    assert shop.v1.customers.list().data == []
    for call in (
        lambda: shop.v1.customers.update(alice.id, {"name": "A"}),
        lambda: shop.v1.customers.delete(alice.id),
        lambda: shop.charge(alice, card),
        lambda: shop.checkout(alice),
        lambda: shop.card(alice),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            call()
        assert caught.value.code == "resource_missing"
    types = [event.type for event in shop.v1.events.list({"limit": 2}).data]
    assert types == ["customer.deleted", "payment_method.detached"]


def test_a_customer_is_made_with_card_address_and_tax_id(shop):
    owner = shop.v1.customers.create(
        {
            "email": "a@example.com",
            "address": {"country": "FR", "city": "Paris"},
            "payment_method": "pm_card_mastercard",
            "tax_id_data": [{"type": "eu_vat", "value": "FR1"}],
            "expand": ["tax_ids"],
        }
    )
    assert (owner.address.city, owner.address.line1) == ("Paris", None)
    assert owner.tax_ids.data[0].country == "FR"
    assert len(shop.v1.customers.payment_methods.list(owner.id).data) == 1


def test_only_a_customer_s_own_card_becomes_the_default(shop, alice, bob):
    card = shop.card(alice)
    settings = {"invoice_settings": {"default_payment_method": card.id}}
    with pytest.raises(InvalidRequestError, match="must be attached to the customer"):
        shop.v1.customers.update(bob.id, settings)
    owner = shop.v1.customers.update(alice.id, settings)
    assert owner.invoice_settings.default_payment_method == card.id
    shop.v1.payment_methods.detach(card.id)
    assert shop.v1.customers.retrieve(alice.id).invoice_settings.default_payment_method is None
    with pytest.raises(InvalidRequestError, match="detachment is impossible"):
        shop.v1.payment_methods.detach(card.id)


def test_a_card_is_updated_by_us_and_by_its_network(shop, alice):
    card = shop.card(alice)
    changed = shop.v1.payment_methods.update(
        card.id, {"card": {"exp_month": 3, "exp_year": 2031}, "billing_details": {"name": "Al"}}
    )
    assert (changed.card.exp_month, changed.card.exp_year, changed.card.last4) == (3, 2031, "4242")
    shop.control(f"payment_methods/{card.id}/renew")
    assert shop.v1.payment_methods.retrieve(card.id).card.exp_year == 2033
    types = [event.type for event in shop.v1.events.list({"limit": 2}).data]
    assert types == ["payment_method.automatically_updated", "payment_method.updated"]


def test_methods_are_listed_by_customer(shop, alice, bob):
    card = shop.card(alice)
    assert [one.id for one in shop.v1.payment_methods.list({"customer": alice.id}).data] == [
        card.id
    ]
    assert shop.v1.payment_methods.list({"customer": alice.id, "type": "link"}).data == []
    assert shop.v1.payment_methods.list().data == []
    assert shop.v1.customers.payment_methods.retrieve(alice.id, card.id).id == card.id
    with pytest.raises(InvalidRequestError, match="No such PaymentMethod"):
        shop.v1.customers.payment_methods.retrieve(bob.id, card.id)


def test_lists_page_newest_first_both_ways(shop, alice):
    ids = [
        shop.v1.payment_intents.create({"amount": 500, "currency": "usd", "customer": alice.id}).id
        for _ in range(5)
    ][::-1]
    listed = shop.v1.payment_intents.list
    first = listed({"limit": 2})

    assert ([one.id for one in first.data], first.has_more) == (ids[:2], True)
    assert [one.id for one in first.auto_paging_iter()] == ids
    assert [one.id for one in listed({"starting_after": ids[3]}).data] == ids[4:]
    newer = listed({"ending_before": ids[3], "limit": 2})
    assert ([one.id for one in newer.data], newer.has_more) == (ids[1:3], True)
    for params in (
        {"limit": 0},
        {"limit": 101},
        {"starting_after": "pi_nothing"},
        {"starting_after": ids[0], "ending_before": ids[1]},
    ):
        with pytest.raises(InvalidRequestError):
            listed(params)


def test_lists_filter_by_customer_and_by_when(shop, alice, bob):
    mine = shop.charge(alice, shop.card(alice))
    shop.advance(seconds=100)
    later = shop.charge(alice, shop.card(alice))
    shop.charge(bob, shop.card(bob))
    listed, at = shop.v1.payment_intents.list, int(NOW.timestamp())

    for created, expected in (
        ({"gte": at}, [later.id, mine.id]),
        ({"gt": at}, [later.id]),
        ({"lte": at}, [mine.id]),
        ({"gte": at, "lt": at + 100}, [mine.id]),
        (at + 100, [later.id]),
    ):
        found = listed({"customer": alice.id, "created": created}).data
        assert [one.id for one in found] == expected
    assert [one.email for one in shop.v1.customers.list({"email": bob.email}).data] == [bob.email]


def test_search_lags_behind_lists(shop, alice):
    paid = shop.charge(alice, shop.card(alice), metadata={"payment": "it's 7"})

    def found(query):
        return [one.id for one in shop.v1.payment_intents.search({"query": query}).data]

    query = "metadata['payment']:'it\\'s 7' AND status:'succeeded'"
    assert found(query) == []
    shop.advance(seconds=60)
    assert found(query) == [paid.id]
    for query, is_found in (
        (f'customer:"{alice.id}" AND -status:"canceled"', True),
        ("amount>4899 AND amount<=4900", True),
        ("amount>4900 OR currency:'usd'", True),
        ("-metadata['payment']:null", True),
        ("metadata['other']:null", True),
        ("status:'canceled'", False),
    ):
        assert found(query) == ([paid.id] if is_found else [])
    for query in ("", "what", "secret:'x'", "amount:1 AND amount:2 OR amount:3", "status>'a'"):
        with pytest.raises(InvalidRequestError):
            found(query)
    people = shop.v1.customers.search({"query": "email~'alice'"}).data
    assert [one.id for one in people] == [alice.id]


def test_search_pages(shop, alice):
    ids = [shop.customer(f"{number}@example.com").id for number in range(5)][::-1]
    shop.advance(seconds=60)
    result = shop.v1.customers.search({"query": "email~'example'", "limit": 2})
    assert [one.id for one in result.auto_paging_iter()] == [*ids, alice.id]


def test_a_setup_intent_is_canceled_or_done_once(shop, alice):
    intent = shop.v1.setup_intents.create({"customer": alice.id, "usage": "off_session"})
    assert (intent.status, intent.usage) == ("requires_payment_method", "off_session")
    shop.v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    for call in (shop.v1.setup_intents.confirm, shop.v1.setup_intents.cancel):
        with pytest.raises(InvalidRequestError) as caught:
            call(intent.id)
        assert caught.value.code == "setup_intent_unexpected_state"
    other = shop.v1.setup_intents.create({})
    canceled = shop.v1.setup_intents.cancel(other.id, {"cancellation_reason": "abandoned"})
    assert canceled.status == "canceled"


@pytest.mark.parametrize(
    ("address", "tax_ids", "tax", "reason"),
    [
        ({"country": "DE"}, [], 931, "standard_rated"),
        ({"country": "DE"}, [{"type": "eu_vat", "value": "DE1"}], 0, "reverse_charge"),
        ({"country": "US", "state": "CA"}, [], 355, "standard_rated"),
        ({"country": "BR"}, [], 0, "not_collecting"),
    ],
)
def test_tax_is_by_country(shop, address, tax_ids, tax, reason):
    calculation = shop.v1.tax.calculations.create(
        {
            "currency": "usd",
            "line_items": [{"amount": 4900, "reference": "plan"}],
            "customer_details": {
                "address": address,
                "address_source": "billing",
                "tax_ids": tax_ids,
            },
            "expand": ["line_items"],
        }
    )
    assert (calculation.tax_amount_exclusive, calculation.amount_total) == (tax, 4900 + tax)
    assert calculation.tax_breakdown[0].taxability_reason == reason
    assert calculation.line_items.data[0].amount_tax == tax


def test_a_calculation_is_charged_whole_and_lasts_90_days(shop, alice):
    shop.v1.customers.update(alice.id, {"address": {"country": "DE"}})
    calculation = shop.v1.tax.calculations.create(
        {
            "currency": "usd",
            "customer": alice.id,
            "line_items": [{"amount": 1190, "tax_behavior": "inclusive"}],
        }
    )
    assert (calculation.tax_amount_inclusive, calculation.amount_total) == (190, 1190)
    hooks = {"inputs": {"tax": {"calculation": calculation.id}}}
    card = shop.card(alice)
    with pytest.raises(InvalidRequestError, match="not the amount_total"):
        shop.charge(alice, card, 1000, hooks=hooks)
    assert shop.charge(alice, card, 1190, hooks=hooks).hooks.inputs.tax.calculation
    shop.advance(seconds=90 * 24 * 3600)
    for call in (
        lambda: shop.charge(alice, card, 1190, hooks=hooks),
        lambda: shop.v1.tax.calculations.retrieve(calculation.id),
    ):
        with pytest.raises(InvalidRequestError, match="expired"):
            call()


def test_tax_needs_to_know_where_the_customer_is(shop, alice):
    with pytest.raises(InvalidRequestError) as caught:
        shop.v1.tax.calculations.create(
            {"currency": "usd", "customer": alice.id, "line_items": [{"amount": 1}]}
        )
    assert caught.value.code == "customer_tax_location_invalid"


def test_the_clock_moves_forward_only(box, shop):
    for body in ({"advance_seconds": -1}, {"advance_seconds": "x"}, {}, {"now": "never"}):
        assert shop.http.post("/_sandbox/clock", json=body).status_code == 400
    assert shop.control("clock", {"now": "2027-01-01T00:00:00Z"})["now"] == "2027-01-01T00:00:00Z"
    assert shop.control("clock", {"advance_seconds": 60})["now"] == "2027-01-01T00:01:00Z"


def test_settings_keys_faults_and_state_are_read_and_changed(box, shop, alice):
    assert shop.control("settings", {"search_lag_seconds": 0})["search_lag_seconds"] == 0
    key = shop.control("keys", {"key": "rk_test_shop", "rights": {"customer": "read"}})
    assert key["rights"] == {"customer": "read"}
    shop.control("faults", {"match": "/v1/refunds", "kind": "status", "status": 500})
    shop.control("declines", {"decline_code": "lost_card"})
    state = shop.http.get("/_sandbox/state").json()
    assert state["counts"]["customers"] == 1
    assert state["calls"] == {"POST /v1/customers": 1}
    assert [one["key"] for one in state["keys"]] == ["sk_test_sandbox", "rk_test_shop"]
    assert len(state["faults"]) == len(state["declines"]) == 1
    for path in ("faults", "declines"):
        assert len(shop.http.get(f"/_sandbox/{path}").json()["data"]) == 1
        assert shop.http.delete(f"/_sandbox/{path}").json() == {"data": []}
    for path, body in (
        ("settings", {"nonsense": 1}),
        ("settings", {"search_lag_seconds": "x"}),
        ("keys", {"key": 1}),
        ("keys", {"key": "rk_test_x", "rights": {"gold": "read"}}),
        ("faults", {"match": "*", "kind": "nonsense"}),
        ("faults", {"nonsense": 1}),
        ("declines", {"decline_code": "x", "times": 0}),
        ("declines", {"nonsense": 1}),
    ):
        answer = shop.http.post(f"/_sandbox/{path}", json=body)
        assert (path, body, answer.status_code) == (path, body, 400)
    assert shop.http.post("/_sandbox/settings", content=b"[1]").status_code == 400
    assert shop.http.post("/_sandbox/settings", content=b"{").status_code == 400
    assert shop.http.get("/_sandbox/nothing").status_code == 404
    shop.control("reset")
    assert shop.v1.customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.customers.retrieve(alice.id)
