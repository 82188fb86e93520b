"""Billing provider configurations of customers, and the one that a contract names."""

import pytest
from metronome import BadRequestError

from .world import HOUR


def configure(client, customer, provider="stripe", delivery="direct_to_billing_provider", **extra):
    data = {
        "customer_id": customer,
        "billing_provider": provider,
        "delivery_method": delivery,
        "configuration": {"stripe_customer_id": "cus_1"},
        **extra,
    }
    return client.v1.customers.set_billing_configurations(data=[data]).data[0].id


def contract(client, customer, **wanted):
    made = client.v1.contracts.create(
        customer_id=customer, starting_at=HOUR, billing_provider_configuration=wanted
    ).data
    shown = client.v2.contracts.retrieve(customer_id=customer, contract_id=made.id).data
    return shown.customer_billing_provider_configuration


def test_a_contract_shows_the_configuration_it_names(client, shop):
    alice = shop.customer("alice")
    stripe = configure(client, alice)
    netsuite = configure(client, alice, provider="netsuite")

    named = contract(client, alice, billing_provider_configuration_id=netsuite)
    found = contract(
        client, alice, billing_provider="stripe", delivery_method="direct_to_billing_provider"
    )

    assert (named.id, named.billing_provider) == (netsuite, "netsuite")
    assert (found.id, found.configuration) == (stripe, {"stripe_customer_id": "cus_1"})
    assert found.customer_id == alice
    listed = client.v1.customers.retrieve_billing_configurations(customer_id=alice).data
    assert {one.id for one in listed} == {stripe, netsuite}


def test_a_contract_that_names_none_shows_none(client, shop):
    alice = shop.customer("alice")
    configure(client, alice)
    made = shop.contract(alice)
    shown = client.v2.contracts.retrieve(customer_id=alice, contract_id=made).data
    assert shown.customer_billing_provider_configuration is None


def test_one_that_is_not_the_customers_or_not_the_only_one_is_refused(client, shop):
    alice, bob = shop.customer("alice"), shop.customer("bob")
    others = configure(client, bob)
    with pytest.raises(BadRequestError, match="no such"):
        contract(client, alice, billing_provider_configuration_id=others)
    first = configure(client, alice)
    configure(client, alice)
    with pytest.raises(BadRequestError, match="several"):
        contract(client, alice, billing_provider="stripe")
    with pytest.raises(BadRequestError, match="not both"):
        contract(client, alice, billing_provider_configuration_id=first, billing_provider="stripe")
    client.v1.customers.archive_billing_configurations(
        customer_id=alice, customer_billing_provider_configuration_ids=[first]
    )
    assert contract(client, alice, billing_provider="stripe").id != first
