"""The billing profile at Stripe: name, address and one tax id, told by a worker."""

from __future__ import annotations

import pytest
import stripe as sdk

import stripe_sandbox
from billing.models import BillingProfile, GatewayCustomer, GatewayRemoval
from billing.papers.tests.test_profiles import save
from billing.payments import profiles
from billing.payments.gateways.stripe import checkout, customers
from billing.payments.gateways.stripe import client as stripe_client
from jobs.worker import Worker

pytestmark = pytest.mark.django_db
KEY = "sk_test_sandbox"


@pytest.fixture
def stripe(monkeypatch, now):
    """Stripe's sandbox in this process, in use as the gateway, by its own client."""
    box = stripe_sandbox.Sandbox(api_keys={KEY: None}, now=now, seed=1)
    client = sdk.StripeClient(
        KEY,
        stripe_version=stripe_client.API_VERSION,
        http_client=box.http_client(),
        base_addresses={"api": "http://sandbox"},
    )
    monkeypatch.setattr(stripe_client, "_client", lambda timeout: client)
    yield client.v1
    box.close()


def push(now) -> None:
    Worker([profiles.PUSH], clock=lambda: now).drain()


def there(stripe, customer) -> dict:
    reference = GatewayCustomer.objects.get(customer=customer).reference
    found = stripe.customers.retrieve(reference, {"expand": ["tax_ids"]})
    return stripe_client.plain(found)


def tax_ids(found: dict) -> list[tuple[str, str]]:
    return [(one["type"], one["value"]) for one in found["tax_ids"]["data"]]


def test_name_address_and_tax_id_are_there_as_here(stripe, alice, now):
    save(alice, now)
    push(now)

    found = there(stripe, alice)
    assert found["name"] == "Łukasz Ångström Sp. z o.o."
    assert found["address"] == {
        "line1": "ul. Świętokrzyska 36",
        "line2": None,
        "postal_code": "00-116",
        "city": "Warszawa",
        "state": None,
        "country": "PL",
    }
    assert tax_ids(found) == [("eu_vat", "PL8567346215")]
    row = BillingProfile.objects.get()
    assert (row.pushed_at, row.due_at, row.last_error) == (now, None, "")


def test_another_tax_id_takes_the_place_of_the_former(stripe, alice, now):
    save(alice, now)
    push(now)
    save(alice, now, country="DE", tax_id="DE136695976", postal_code="10969")
    push(now)
    assert tax_ids(there(stripe, alice)) == [("eu_vat", "DE136695976")]

    save(alice, now, tax_id="")
    push(now)
    assert tax_ids(there(stripe, alice)) == []


def test_two_workers_may_remove_the_same_tax_id(stripe, alice, now, monkeypatch):
    save(alice, now)
    push(now)
    remove = customers._remove_tax_id

    def twice(*which):
        remove(*which)
        remove(*which)

    monkeypatch.setattr(customers, "_remove_tax_id", twice)
    save(alice, now, tax_id="")
    push(now)

    assert tax_ids(there(stripe, alice)) == []
    assert BillingProfile.objects.get().last_error == ""


def test_telling_it_twice_is_telling_it_once(stripe, alice, now):
    save(alice, now)
    push(now)
    BillingProfile.objects.all().run_now(now)
    push(now)

    assert tax_ids(there(stripe, alice)) == [("eu_vat", "PL8567346215")]
    assert len(stripe.customers.list().data) == 1


def test_a_customer_who_was_deleted_meanwhile_is_forgotten_there_again(
    stripe, alice, now, monkeypatch
):
    save(alice, now)
    tell = checkout.tell_profile

    def slowly(customer, profile):
        tell(customer, profile)
        BillingProfile.objects.all().delete()

    monkeypatch.setattr(checkout, "tell_profile", slowly)
    push(now)

    assert {row.kind for row in GatewayRemoval.objects.all()} == {"customer", "person"}
    assert not GatewayCustomer.objects.exists()


def test_nothing_is_told_of_a_closed_account(stripe, alice, now):
    save(alice, now)
    alice.user.is_active = False
    alice.user.save(update_fields=["is_active"])
    push(now)

    assert stripe.customers.list().data == []
