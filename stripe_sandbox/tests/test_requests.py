"""What a request may say: names, types and values, by the official package's own types."""

import httpx
import pytest
import stripe
from stripe import InvalidRequestError

from stripe_sandbox import Sandbox
from stripe_sandbox.checks import _hints
from stripe_sandbox.routes import ROUTES

from .world import KEY, client_of


@pytest.fixture
def http(shop):
    return shop.http


def post(http, path, form, **headers):
    return http.post(f"/v1/{path}", data=form, headers=headers).json()["error"]


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ({"nonsense": "1"}, "parameter_unknown", "nonsense"),
        ({"address[planet]": "Mars"}, "parameter_unknown", "address[planet]"),
        ({"tax_id_data[0][type]": "eu_vat"}, "parameter_missing", "tax_id_data[0][value]"),
        ({"next_invoice_sequence": "many"}, "parameter_invalid_integer", "next_invoice_sequence"),
        ({"name": ""}, "parameter_invalid_empty", "name"),
        ({"tax_exempt": "maybe"}, None, "tax_exempt"),
        ({"preferred_locales": "en"}, None, "preferred_locales"),
        ({"address": "here"}, None, "address"),
        ({"metadata": "x"}, None, "metadata"),
        ({"email": "nobody"}, "email_invalid", "email"),
        ({"email[at]": "x"}, None, "email"),
        ({"email": "a@b.example", "email[x]": "1"}, None, None),
        ({"]name": "1"}, None, None),
    ],
)
def test_a_wrong_parameter_is_named(http, form, code, param):
    error = post(http, "customers", form)

    assert error["type"] == "invalid_request_error"
    assert (error.get("code"), error.get("param")) == (code, param)


def test_the_words_are_those_of_stripe(shop, alice):
    intents = shop.v1.payment_intents
    for params, message in (
        ({"amount": 500, "currency": "usd", "foo": 1}, "Received unknown parameter: foo"),
        (
            {"amount": 500, "currency": "usd", "foo": 1, "payment_method_options": {"gold": {}}},
            "Received unknown parameter: foo",
        ),
        ({"currency": "usd"}, "Missing required param: amount."),
        ({"amount": "x", "currency": "usd"}, "Invalid integer: x"),
        ({"amount": 500, "currency": "usd", "confirm": "maybe"}, "Invalid boolean: maybe"),
        (
            {"amount": 500, "currency": "usd", "setup_future_usage": "never"},
            "Invalid setup_future_usage: must be one of off_session, or on_session",
        ),
        (
            {"amount": 500, "currency": "usd", "customer": "cus_nobody"},
            "No such customer: 'cus_nobody'",
        ),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            intents.create(params)
        assert (caught.value.user_message, caught.value.http_status) == (message, 400)
    with pytest.raises(InvalidRequestError) as caught:
        intents.retrieve("pi_nobody")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


@pytest.mark.parametrize("path", ["payment_intents", "setup_intents", "checkout/sessions"])
def test_payment_method_types_is_gone(http, path):
    error = post(http, path, {"payment_method_types[0]": "card"})

    assert error["code"] == "payment_method_types_no_longer_supported"
    assert error["param"] == "payment_method_types"


def test_what_is_not_emulated_is_refused_and_not_ignored(shop, alice):
    for params, param in (
        ({"transfer_group": "x"}, "transfer_group"),
        (
            {"payment_method_options": {"card": {"moto": True}}},
            "payment_method_options[card][moto]",
        ),
    ):
        with pytest.raises(stripe.APIError) as caught:
            shop.charge(alice, shop.card(alice), **params)
        error = caught.value
        assert (error.http_status, error.error.code) == (501, "not_emulated")
        assert error.error.param == param
    with pytest.raises(stripe.APIError, match="subscriptions"):
        shop.checkout(alice, mode="subscription")


def test_lists_come_indexed_or_with_empty_brackets(http):
    for form in ({"preferred_locales[0]": "de", "preferred_locales[1]": "en"},):
        assert http.post("/v1/customers", data=form).json()["preferred_locales"] == ["de", "en"]
    form = {"preferred_locales[]": ["de", "en"]}
    assert http.post("/v1/customers", data=form).json()["preferred_locales"] == ["de", "en"]


def test_expand_takes_what_can_be_expanded(shop, alice):
    intent = shop.charge(alice, shop.card(alice))
    full = shop.v1.payment_intents.retrieve(
        intent.id, {"expand": ["customer", "latest_charge.refunds", "payment_method.customer"]}
    )

    assert (full.customer.email, full.payment_method.customer.id) == (alice.email, alice.id)
    assert full.latest_charge.refunds.data == []
    listed = shop.v1.payment_intents.list({"expand": ["data.latest_charge"]})
    assert listed.data[0].latest_charge.paid
    for path in ("nonsense", "amount", "latest_charge.nonsense", "data.customer"):
        with pytest.raises(InvalidRequestError, match="This property cannot be expanded"):
            shop.v1.payment_intents.retrieve(intent.id, {"expand": [path]})


def test_metadata_is_merged_and_bounded(shop, alice):
    update = shop.v1.customers.update
    update(alice.id, {"metadata": {"a": "1", "b": "2"}})
    assert update(alice.id, {"metadata": {"a": "", "c": "3"}}).metadata.to_dict() == {
        "b": "2",
        "c": "3",
    }
    assert update(alice.id, {"metadata": ""}).metadata.to_dict() == {}
    for metadata in (
        {"k" * 41: "v"},
        {"k": "v" * 501},
        {f"k{number}": "v" for number in range(51)},
    ):
        with pytest.raises(InvalidRequestError, match="Metadata"):
            update(alice.id, {"metadata": metadata})


def test_only_this_version_is_spoken_and_no_other_account(http):
    assert (
        "API version" in post(http, "customers", {}, **{"Stripe-Version": "2020-08-27"})["message"]
    )
    assert post(http, "customers", {}, **{"Stripe-Account": "acct_1"})["code"] == "not_emulated"
    answer = http.get("/v1/customers")
    assert answer.headers["Stripe-Version"] == "2026-10-28.endive"
    assert answer.headers["Request-Id"].startswith("req_")


def test_an_unknown_address_and_an_unknown_key_are_told(box, http):
    assert "Unrecognized request URL" in http.get("/v1/subscriptions").json()["error"]["message"]
    assert http.get("/v2/core/events").status_code == 404
    with pytest.raises(
        stripe.AuthenticationError, match=r"Invalid API Key provided: sk_test_\*+ongs"
    ):
        client_of(box, "sk_test_wrongs").v1.customers.list()
    with httpx.Client(transport=box.transport(), base_url="http://sandbox") as nobody:
        assert nobody.get("/v1/customers").status_code == 401
        assert nobody.get("/_sandbox/state").status_code == 401


def test_a_restricted_key_may_do_what_it_lists(box, alice):
    box.keys.add("rk_test_shop", {"customer": "write", "payment_intent": "read"})
    key = client_of(box, "rk_test_shop").v1

    assert key.customers.create({"email": "x@example.com"}).email == "x@example.com"
    assert key.payment_intents.list().data == []
    for call in (
        lambda: key.payment_intents.create({"amount": 500, "currency": "usd"}),
        lambda: key.events.list(),
        lambda: key.refunds.list(),
    ):
        with pytest.raises(stripe.PermissionError, match="does not have the required permissions"):
            call()
    box.keys.add("rk_test_shop", {"*": "read", "refund": "none"})
    assert len(key.events.list().data) == 2
    with pytest.raises(stripe.PermissionError, match="rak_refund_read"):
        key.refunds.list()
    for secret, rights in (
        ("mine", None),
        ("rk_test_x", {"gold": "read"}),
        ("rk_test_x", {"charge": "all"}),
    ):
        with pytest.raises(ValueError, match="right|key"):
            box.keys.add(secret, rights)


def test_every_route_honours_only_what_its_type_knows():
    for route in ROUTES:
        if route.params is None:
            continue
        for name in route.honours:
            assert name.split(".")[0] in _hints(route.params), f"{route.method} {route.path} {name}"


def test_a_seed_makes_a_run_repeatable():
    boxes = [Sandbox(seed=1), Sandbox(seed=1), Sandbox()]
    ids = [client_of(box, KEY).v1.customers.create({}).id for box in boxes]
    assert ids[0] == ids[1] != ids[2]
