from datetime import timedelta

from django.template import engines

from billing import ledger
from billing.live import balance, feeds
from billing.models import AutoRecharge, CreditGrant, LedgerEntry, Recharge, Subscription, Wallet
from conftest import fund

ZEROS = {
    "balance": 0,
    "reserved": 0,
    "available": 0,
    "version": 0,
    "plan": None,
    "auto_recharge": False,
}


def provision(customer, metronome_id="m-alice"):
    type(customer).objects.filter(pk=customer.pk).update(metronome_id=metronome_id)


def test_the_balance_is_zero_and_without_an_id_until_the_customer_is_provisioned(client, alice):
    client.force_login(alice.user)

    answer = client.get("/api/billing/balance")

    assert answer.status_code == 200
    assert answer.json() == {"customer_id": None, **ZEROS}
    assert answer["Cache-Control"] == "no-store"
    assert not Wallet.objects.exists()


def test_the_balance_shows_wallet_plan_and_whether_auto_recharge_is_on(client, alice, wallet, now):
    provision(alice)
    ledger.reserve(wallet_id=wallet.id, key="k", amount=120, now=now)
    Subscription.objects.create(
        customer=alice, plan="creator", key="1", state="active", created_at=now
    )
    Subscription.objects.create(
        customer=alice, plan="pro", key="2", state="requested", created_at=now
    )
    AutoRecharge.objects.create(
        customer=alice, enabled=True, threshold_credits=1, recharge_to_credits=2
    )
    client.force_login(alice.user)

    assert client.get("/api/billing/balance").json() == {
        "customer_id": "m-alice",
        "balance": 500,
        "reserved": 120,
        "available": 380,
        "version": 2,
        "plan": "creator",
        "auto_recharge": True,
    }


def test_the_balance_takes_one_query_beside_session_and_login(
    client, alice, wallet, django_assert_num_queries
):
    client.force_login(alice.user)
    client.get("/api/billing/balance")  # with the first one the session is noted

    with django_assert_num_queries(4):  # session, user, customer, balance
        client.get("/api/billing/balance")


def test_each_login_sees_its_own_balance(client, alice, bob, wallet):
    client.force_login(bob.user)

    assert client.get("/api/billing/balance").json()["balance"] == 0


def test_an_anonymous_request_for_the_balance_is_refused_in_json(client, db):
    answer = client.get("/api/billing/balance")

    assert answer.status_code == 401
    assert answer.json() == {"error": "Log in to see your balance."}


def test_a_login_without_a_customer_has_no_balance(client, staff):
    client.force_login(staff)

    assert client.get("/api/billing/balance").status_code == 404


def test_the_balance_cannot_be_posted_to(client, alice):
    client.force_login(alice.user)

    assert client.post("/api/billing/balance").status_code == 405


def test_the_header_reads_the_balance_once_and_only_where_it_is_shown(
    rf, alice, wallet, django_assert_num_queries
):
    provision(alice)
    request = rf.get("/")
    request.user = alice.user
    page = engines["django"].from_string(
        "{{ balance.available }} {{ balance.plan }} {{ events_url }}"
    )

    with django_assert_num_queries(0):
        engines["django"].from_string("nothing of it").render({}, request)
    with django_assert_num_queries(1):
        assert page.render({}, request) == "500 None /api/webhooks/events/m-alice"


def test_the_header_is_empty_for_an_anonymous_visitor(rf):
    from django.contrib.auth.models import AnonymousUser

    request = rf.get("/")
    request.user = AnonymousUser()

    assert (
        engines["django"]
        .from_string("[{{ balance.available }}{{ events_url }}]")
        .render({}, request)
        == "[]"
    )


def test_states_reads_many_wallets_in_one_query_and_one_a_feed(
    alice, bob, wallet, now, django_assert_num_queries
):
    other = fund(bob, 70, now)

    with django_assert_num_queries(1 + len(feeds._feeds)):
        states = {state.wallet_id: state for state in balance.states([wallet.id, other.id])}

    assert (states[wallet.id].balance, states[other.id].balance) == (500, 70)
    assert states[wallet.id].recharge_version == 0


def test_states_knows_the_version_of_the_newest_recharge_and_of_no_other_grant(alice, wallet, now):
    CreditGrant.objects.filter(wallet=wallet).update(name="Auto-recharge")
    ledger.reserve(wallet_id=wallet.id, key="k", amount=1, now=now)
    fund(alice, 1_000, now)

    (state,) = balance.states([wallet.id])

    assert (state.recharge_version, state.version) == (1, 3)


def test_a_recharge_is_known_by_its_row_whatever_the_name_of_its_commit(alice, wallet, now):
    Recharge.objects.create(
        customer=alice,
        workflow_id="w",
        invoice_total="1000",
        created_at=now,
        grant=CreditGrant.objects.get(wallet=wallet),
    )

    assert balance.states([wallet.id])[0].recharge_version == 1


def test_marks_differ_when_the_version_or_the_plan_does(alice, wallet, now):
    before = balance.marks([wallet.id])
    Subscription.objects.create(
        customer=alice, plan="trial", key="1", state="active", created_at=now
    )
    with_plan = balance.marks([wallet.id])
    fund(alice, 1, now + timedelta(seconds=1))

    assert before == {wallet.id: (1, None, ())}
    assert with_plan == {wallet.id: (1, "trial", ())}
    assert balance.marks([wallet.id]) == {wallet.id: (2, "trial", ())}
    assert LedgerEntry.objects.count() == 2
