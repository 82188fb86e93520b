"""The adapter: whatever Metronome answers, callers get plain values or one of two exceptions."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import httpx
import pytest

from billing import metronome
from billing.hours import floor_hour
from billing.metronome import (
    AlreadyDone,
    MetronomeRejected,
    MetronomeUnavailable,
    contracts,
    customers,
    notifications,
    setup,
    usage,
)

CUSTOMER = "5f794d50-085a-4db6-8d15-286e518b7225"
EVENT = {
    "transaction_id": "t",
    "customer_id": "c",
    "event_type": "e",
    "timestamp": "2026-01-01T00:00:00Z",
}


@pytest.fixture
def answering(monkeypatch):
    """`answering(response or exception)`: the production client, which always gets this."""
    production = metronome.client.client.__wrapped__()

    def set_up(answer):
        requests = []

        def handle(request):
            requests.append(request)
            if isinstance(answer, Exception):
                raise answer
            return answer

        client = production.with_options(
            bearer_token="secret-key",
            base_url="http://metronome",
            http_client=httpx.Client(transport=httpx.MockTransport(handle)),
        )
        monkeypatch.setattr(metronome.client, "client", lambda: client)
        return requests

    return set_up


def calls(now):
    """One of every call, reads and writes."""
    hour = floor_hour(now)
    ids = {"customer_id": CUSTOMER, "contract_id": CUSTOMER}
    metric = setup.Metric("", "m", "COUNT", "", ("e",), ())
    rate = setup.Rate(CUSTOMER, {}, Decimal(1), CUSTOMER)
    metronome.client._cache.setdefault(metronome.client.client(), {}).update(
        {"rate card": CUSTOMER, "credits product": CUSTOMER}
    )
    grant = {
        "key": "k",
        "name": "n",
        "credits": 1,
        "starts_at": hour,
        "ends_at": hour,
        "priority": 1,
    }
    return {
        "find_customer": lambda: metronome.find_customer(alias="a"),
        "create_customer": lambda: metronome.create_customer(name="n", alias="a"),
        "set_aliases": lambda: metronome.set_aliases(customer_id=CUSTOMER, aliases=["a"]),
        "create_contract": lambda: metronome.create_contract(
            customer_id=CUSTOMER, key="k", name="n", starts_at=hour
        ),
        "find_contract": lambda: metronome.find_contract(customer_id=CUSTOMER, name="n"),
        "recharge_configuration": lambda: metronome.recharge_configuration(**ids),
        "set_recharge": lambda: metronome.set_recharge(
            **ids, enabled=True, threshold_credits=1, recharge_to_credits=2
        ),
        "release": lambda: metronome.release(workflow_id="w", outcome="paid"),
        "add_grant": lambda: metronome.add_grant(**ids, **grant, invoiced_at=now),
        "commits": lambda: metronome.commits(customer_id=CUSTOMER),
        "net_balance": lambda: metronome.net_balance(customer_id=CUSTOMER),
        "ingest": lambda: metronome.ingest([EVENT]),
        "create_product": lambda: setup.create_product(name="n", type="FIXED"),
        "usage": lambda: usage.usage(
            customer_ids=[CUSTOMER], group_keys={CUSTOMER: ""}, starting_on=hour, ending_before=hour
        ),
        "find_events": lambda: usage.find_events(["t"]),
        "invoice_status": lambda: contracts.invoice_status(
            customer_id=CUSTOMER, invoice_id=CUSTOMER
        ),
        "rename_customer": lambda: customers.rename_customer(customer_id=CUSTOMER, name="n"),
        "pricing_units": setup.pricing_units,
        "create_pricing_unit": lambda: setup.create_pricing_unit(name="n"),
        "metrics": setup.metrics,
        "create_metric": lambda: setup.create_metric(metric),
        "products": setup.products,
        "rate_cards": setup.rate_cards,
        "create_rate_card": lambda: setup.create_rate_card(
            name="n", unit_id=CUSTOMER, cents_per_unit=Decimal("0.025")
        ),
        "add_conversion": lambda: setup.add_conversion(
            rate_card_id=CUSTOMER, unit_id=CUSTOMER, cents_per_unit=Decimal("0.025")
        ),
        "rates": lambda: setup.rates(rate_card_id=CUSTOMER, at=now),
        "add_rate": lambda: setup.add_rate(rate_card_id=CUSTOMER, rate=rate, starts_at=hour),
        "any_customer_id": notifications.any_customer_id,
        "alerts": lambda: notifications.alerts(customer_id=CUSTOMER),
        "create_alert": lambda: notifications.create_alert(
            key="k", name="n", type="t", threshold=0, unit_id="u"
        ),
        "enabled_notifications": notifications.enabled_notifications,
        "enable_notification": lambda: notifications.enable_notification("commit.create"),
        "offset_notifications": notifications.offset_notifications,
        "create_offset_notification": lambda: notifications.create_offset_notification(
            key="k", name="n", type="t", offset="-P3D"
        ),
    }


ODD_ANSWERS = {
    "a page of HTML": lambda: httpx.Response(200, html="<h1>Log in to the hotel's Wi-Fi</h1>"),
    "a list": lambda: httpx.Response(200, json=[1, "two", None]),
    "a number": lambda: httpx.Response(200, json=7),
    "no data": lambda: httpx.Response(200, json={"message": "all good"}),
    "data of the wrong kind": lambda: httpx.Response(200, json={"data": "soon"}),
    "a list of the wrong kind": lambda: httpx.Response(200, json={"data": [1, 2]}),
    "broken JSON": lambda: httpx.Response(
        200, content=b'{"data": [', headers={"content-type": "application/json"}
    ),
}
NO_CONTENT = {"set_aliases", "release", "ingest"}  # any JSON, or no content, means success


@pytest.mark.parametrize("kind", ODD_ANSWERS)
def test_an_unreadable_answer_is_unavailable(answering, now, kind):
    answering(ODD_ANSWERS[kind]())
    for name, call in calls(now).items():
        if name in NO_CONTENT and kind != "a page of HTML":
            continue
        with pytest.raises(MetronomeUnavailable):
            call()


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ReadError("cut")]
)
def test_no_answer_is_unavailable(answering, now, error):
    answering(error)
    for call in calls(now).values():
        with pytest.raises(MetronomeUnavailable):
            call()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_error_is_unavailable(answering, now, status):
    answering(httpx.Response(status, json={"message": "not now"}, headers={"Retry-After": "7"}))
    for call in calls(now).values():
        with pytest.raises(MetronomeUnavailable) as caught:
            call()
        assert (caught.value.retry_after_seconds, caught.value.pause_seconds) == (7, 0)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_pauses_the_job_and_is_not_shown(answering, now, status):
    answering(httpx.Response(status, json={"message": "who are you"}))
    for call in calls(now).values():
        with pytest.raises(MetronomeUnavailable) as caught:
            call()
        assert caught.value.pause_seconds == 60
        assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_client_error_is_rejected(answering, now, status):
    answering(httpx.Response(status, json={"message": "on the hour, please"}))
    for call in calls(now).values():
        with pytest.raises(MetronomeRejected, match="on the hour, please") as caught:
            call()
        assert caught.value.status == status
        assert not isinstance(caught.value, AlreadyDone)


def test_a_used_key_is_already_done(answering, now):
    answering(
        httpx.Response(
            409, json={"code": "Conflict", "message": "This uniqueness key has already been used."}
        )
    )
    keyed = (
        "create_customer",
        "create_contract",
        "add_grant",
        "create_alert",
        "create_offset_notification",
    )
    for name in keyed:
        with pytest.raises(AlreadyDone):
            calls(now)[name]()


@pytest.mark.parametrize(
    "name", ["net_balance", "commits", "ingest", "release", "recharge_configuration"]
)
def test_any_other_conflict_is_unavailable(answering, now, name):
    answering(httpx.Response(409, json={"message": "another request is in progress"}))
    with pytest.raises(MetronomeUnavailable):
        calls(now)[name]()


def test_no_call_is_repeated_when_metronome_sends_retry_after(answering, now):
    requests = answering(httpx.Response(503, headers={"Retry-After": "60"}))
    for name, call in calls(now).items():
        requests.clear()
        with pytest.raises(MetronomeUnavailable):
            call()
        assert len(requests) == 1, name


def test_call_timeout_limits_each_call(answering):
    requests = answering(httpx.Response(500))
    with metronome.call_timeout(0.5), pytest.raises(MetronomeUnavailable):
        metronome.net_balance(customer_id=CUSTOMER)
    assert len(requests) == 1
    assert requests[0].extensions["timeout"]["read"] == 0.5


def test_without_a_key_nothing_is_sent(settings):
    settings.METRONOME_API_KEY = ""
    with pytest.raises(MetronomeUnavailable, match="METRONOME_API_KEY"):
        metronome.client.client.__wrapped__()


# --- Release --------------------------------------------------------------------------------------

COMMITTED = "Workflow w is not in COMMITTING state, already in state COMMITTED"
CANCELED = "Workflow w is not in COMMITTING state, already in state CANCELED"


@pytest.mark.parametrize(("outcome", "message"), [("paid", COMMITTED), ("failed", CANCELED)])
def test_a_repeated_release_succeeds(answering, outcome, message):
    answering(httpx.Response(400, json={"message": message}))
    assert metronome.release(workflow_id="w", outcome=outcome) is True


@pytest.mark.parametrize("outcome", ["paid", "failed"])
def test_a_release_of_a_workflow_that_ended_somehow_is_false(answering, outcome):
    answering(httpx.Response(400, json={"message": "Workflow w is not in COMMITTING state"}))
    assert metronome.release(workflow_id="w", outcome=outcome) is False


@pytest.mark.parametrize(
    ("outcome", "message"),
    [("paid", CANCELED), ("failed", COMMITTED), ("paid", "no such workflow")],
)
def test_a_release_with_the_other_outcome_is_rejected(answering, outcome, message):
    answering(httpx.Response(400, json={"message": message}))
    with pytest.raises(MetronomeRejected):
        metronome.release(workflow_id="w", outcome=outcome)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_release_may_have_no_content(answering, status):
    requests = answering(httpx.Response(status))
    metronome.release(workflow_id="w", outcome="paid")
    assert requests[0].url.path == "/v1/contracts/commits/threshold-billing/release"
    assert requests[0].headers["authorization"] == "Bearer secret-key"


# --- Against the sandbox --------------------------------------------------------------------------


@pytest.fixture
def account(stage):
    """(customer id, contract id) of a bare contract."""
    customer_id = metronome.create_customer(name="Alice", alias="alice")
    hour = floor_hour(stage.now())
    return customer_id, metronome.create_contract(
        customer_id=customer_id, key="c", name="vocalis:a", starts_at=hour
    )


def add(account, stage, key="k", credits=1_000, paid_cents=None):
    customer_id, contract_id = account
    hour = floor_hour(stage.now())
    return metronome.add_grant(
        customer_id=customer_id,
        contract_id=contract_id,
        key=key,
        name="ComplimentaryGrant",
        credits=credits,
        starts_at=hour,
        ends_at=hour + timedelta(days=1),
        priority=10,
        paid_cents=paid_cents,
        invoiced_at=stage.now(),
    )


def test_a_paid_grant_is_a_commit_with_its_invoice_in_cents(stage, account):
    commit = add(account, stage, paid_cents=4_900)

    assert (commit.kind, commit.is_free, commit.description, commit.priority) == (
        "commit",
        False,
        "k",
        10,
    )
    assert [segment.amount for segment in commit.segments] == [1_000]
    (listed,) = metronome.commits(customer_id=account[0])
    assert (listed.id, listed.segments, listed.is_free) == (commit.id, commit.segments, False)
    invoices = (
        metronome.client.client()
        .v1.customers.invoices.list(customer_id=account[0], type="SCHEDULED")
        .data
    )
    assert [(invoice.id, invoice.total) for invoice in invoices] == [(listed.invoice_ids[0], 4_900)]


def test_a_free_grant_is_a_credit_without_invoice(stage, account):
    credit = add(account, stage)

    assert (credit.kind, credit.is_free, credit.invoice_ids) == ("credit", True, ())
    assert metronome.net_balance(customer_id=account[0]) == 1_000


def test_the_same_key_twice_is_already_done(stage, account):
    add(account, stage)
    with pytest.raises(AlreadyDone):
        add(account, stage)
    assert metronome.net_balance(customer_id=account[0]) == 1_000


def test_all_pages_of_a_list_are_read(stage, account):
    stage.sandbox.world.settings.page_size = 2
    for number in range(5):
        add(account, stage, key=f"k{number}")

    assert {commit.description for commit in metronome.commits(customer_id=account[0])} == {
        f"k{n}" for n in range(5)
    }


def test_credits_in_another_unit_are_left_out(stage, account):
    customer_id, contract_id = account
    unit_id = setup.create_pricing_unit(name="Apples")
    hour = floor_hour(stage.now())
    schedule = {
        "credit_type_id": unit_id,
        "schedule_items": [
            {"amount": 5, "starting_at": hour, "ending_before": hour + timedelta(days=1)}
        ],
    }
    metronome.client.client().v2.contracts.edit(
        customer_id=customer_id,
        contract_id=contract_id,
        add_credits=[{"product_id": metronome.credits_product_id(), "access_schedule": schedule}],
    )
    assert metronome.commits(customer_id=customer_id) == []


def test_the_recharge_configuration_is_added_once_and_then_updated(stage, account):
    customer_id, contract_id = account
    ids = {"customer_id": customer_id, "contract_id": contract_id}
    assert metronome.recharge_configuration(**ids) is None

    metronome.set_recharge(
        **ids, enabled=False, threshold_credits=25_000, recharge_to_credits=200_000
    )
    metronome.set_recharge(
        **ids, enabled=False, threshold_credits=30_000, recharge_to_credits=300_000
    )

    assert metronome.recharge_configuration(**ids) == metronome.RechargeConfiguration(
        False, 30_000, 300_000
    )


def test_a_lost_answer_is_unavailable_though_the_call_took_effect(stage, account):
    stage.sandbox.faults.add("/v2/contracts/edit", "timeout_after")
    with pytest.raises(MetronomeUnavailable):
        add(account, stage)
    assert [commit.description for commit in metronome.commits(customer_id=account[0])] == ["k"]


def test_the_credits_product_is_created_on_demand(sandbox):
    made = metronome.credits_product_id()
    (product,) = setup.products()
    assert (product.id, product.name, product.type) == (made, "Vocalis Credits", "FIXED")
    assert metronome.credits_product_id() == made


def test_the_pricing_unit_is_found_by_name_when_no_id_is_set(sandbox, settings):
    expected = settings.VOCALIS_CREDIT_TYPE_ID
    settings.VOCALIS_CREDIT_TYPE_ID = ""
    assert metronome.credit_type_id() == expected


def test_a_missing_rate_card_says_what_to_do(sandbox):
    with pytest.raises(MetronomeUnavailable, match="run bootstrap_metronome"):
        metronome.rate_card_id()
