"""The same key never charges twice, and what a key remembers."""

import threading
import time

import pytest
import stripe

from stripe_sandbox import Sandbox

from .world import Shop

DAY = 24 * 3600


@pytest.fixture
def card(shop, alice):
    return shop.card(alice)


def charges(shop):
    return len(shop.v1.charges.list({"limit": 100}).data)


def test_the_same_key_and_parameters_get_the_first_answer(shop, alice, card):
    first = shop.charge(alice, card, key="k")
    again = shop.charge(alice, card, key="k")

    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.request_id
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert charges(shop) == 1


def test_the_same_key_with_other_parameters_is_refused(shop, alice, card):
    shop.charge(alice, card, key="k")

    with pytest.raises(stripe.IdempotencyError) as caught:
        shop.charge(alice, card, 5000, key="k")

    assert caught.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        shop.v1.customers.create({}, options={"idempotency_key": "k"})
    assert charges(shop) == 1


def test_a_key_is_forgotten_after_a_day_of_the_sandbox_s_clock(shop, alice, card):
    first = shop.charge(alice, card, key="k")
    shop.advance(seconds=DAY - 1)
    assert shop.charge(alice, card, key="k").id == first.id
    shop.advance(seconds=1)

    assert shop.charge(alice, card, key="k").id != first.id
    assert charges(shop) == 2


def test_a_decline_is_remembered_even_if_the_card_would_pay_now(shop, alice, card):
    shop.control("declines", {"decline_code": "insufficient_funds"})
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            shop.charge(alice, card, key="k")
        assert caught.value.error.decline_code == "insufficient_funds"
    assert caught.value.headers["Idempotent-Replayed"] == "true"
    assert shop.charge(alice, card, key="k-2").status == "succeeded"


def test_a_request_that_was_wrong_leaves_its_key_free(box, shop, alice, card):
    with pytest.raises(stripe.InvalidRequestError):
        shop.charge(alice, card, nonsense="1", key="k")
    for status in (401, 429, 409, 503):
        box.faults.add("/v1/payment_intents", "status", status=status)
        with pytest.raises(stripe.StripeError):
            shop.charge(alice, card, key="k")

    assert shop.charge(alice, card, key="k").status == "succeeded"
    assert charges(shop) == 1


@pytest.mark.parametrize("kind", ["error_after", "status"])
def test_a_500_is_remembered_whether_or_not_the_money_moved(box, shop, alice, card, kind):
    box.faults.add("/v1/payment_intents", kind, status=500)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            shop.charge(alice, card, key="k", metadata={"payment": "7"})
        assert caught.value.http_status == 500

    found = shop.v1.payment_intents.list({"customer": alice.id}).data
    assert [one.status for one in found] == (["succeeded"] if kind == "error_after" else [])


def test_an_answer_lost_on_the_way_is_found_by_the_same_key(box, shop, alice, card):
    box.faults.add("/v1/payment_intents", "timeout_after")
    with pytest.raises(stripe.APIConnectionError):
        shop.charge(alice, card, key="k")
    box.faults.add("/v1/payment_intents", "error_after", status=502, body="<h1>Bad gateway</h1>")
    with pytest.raises(stripe.APIError):
        shop.charge(alice, card, key="k-2")

    assert shop.charge(alice, card, key="k").status == "succeeded"
    assert shop.charge(alice, card, key="k-2").status == "succeeded"
    assert charges(shop) == 2


def test_a_request_lost_before_it_arrived_charges_nothing(box, shop, alice, card):
    box.faults.add("/v1/payment_intents", "timeout_before")
    with pytest.raises(stripe.APIConnectionError):
        shop.charge(alice, card, key="k")
    assert charges(shop) == 0
    assert shop.charge(alice, card, key="k").status == "succeeded"


def test_a_key_in_use_is_409_and_twice_at_once_charges_once():
    box = Sandbox()  # in real time, so that a delay takes its time
    shop = Shop(box)
    customer = shop.customer()
    card = shop.card(customer)
    request = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v1/payment_intents",
        "HTTP_AUTHORIZATION": "Bearer sk_test_sandbox",
        "HTTP_IDEMPOTENCY_KEY": "k",
    }
    form = f"amount=500&currency=usd&customer={customer.id}&payment_method={card.id}&confirm=true"
    statuses = []

    def send():
        from io import BytesIO

        body = form.encode()
        environ = {**request, "CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}
        list(box(environ, lambda status, headers: statuses.append(status[:3])))

    box.faults.add("/v1/payment_intents", "delay", seconds=0.5)
    slow = threading.Thread(target=send)
    slow.start()
    time.sleep(0.2)
    send()
    slow.join()
    send()

    assert statuses == ["409", "200", "200"]
    assert len(shop.v1.charges.list().data) == 1


def test_a_key_in_use_is_a_plain_api_error_with_its_code_inside(box, shop, alice, card):
    body = {"error": {"code": "idempotency_key_in_use", "message": "…", "type": "api_error"}}
    box.faults.add("/v1/payment_intents", "status", status=409, body=body)
    with pytest.raises(stripe.APIError) as caught:
        shop.charge(alice, card, key="k")
    assert (caught.value.http_status, caught.value.error.code) == (409, "idempotency_key_in_use")
    box.faults.add("/v1/payment_intents", "status", status=429)
    with pytest.raises(stripe.RateLimitError):
        shop.charge(alice, card, key="k")


def test_a_key_of_test_mode_means_nothing_in_live_mode(box, shop):
    from .world import client_of

    box.keys.add("sk_live_shop")
    live = client_of(box, "sk_live_shop").v1
    first = shop.v1.customers.create({}, options={"idempotency_key": "k"})
    assert live.customers.create({}, options={"idempotency_key": "k"}).id != first.id


def test_a_get_ignores_its_key(shop, alice):
    shop.v1.customers.update(alice.id, {"name": "A"}, options={"idempotency_key": "k"})
    assert shop.v1.customers.retrieve(alice.id, options={"idempotency_key": "k"}).name == "A"


def test_a_slow_answer_is_a_time_out_for_who_waits_less(box, alice):
    box.faults.add("/v1/customers", "delay", seconds=30, times=2)
    from .world import client_of

    with pytest.raises(stripe.APIConnectionError):
        client_of(box, timeout_seconds=25).v1.customers.retrieve(alice.id)
    assert client_of(box, timeout_seconds=80).v1.customers.retrieve(alice.id).id == alice.id
