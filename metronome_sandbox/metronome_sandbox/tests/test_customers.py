import pytest
from metronome import BadRequestError, ConflictError, NotFoundError

from .world import NOW


def test_a_customer_reads_back_with_its_first_alias_as_external_id(client):
    created = client.v1.customers.create(
        name="Alice", ingest_aliases=["shop_1", "shop_a@example.com"]
    ).data

    detail = client.v1.customers.retrieve(customer_id=created.id).data

    assert detail.external_id == "shop_1"
    assert detail.ingest_aliases == ["shop_1", "shop_a@example.com"]
    assert detail.created_at == NOW


def test_a_taken_alias_is_refused_on_create(client, shop):
    shop.customer("alice")

    with pytest.raises(ConflictError, match="A customer with this ID already exists"):
        client.v1.customers.create(name="Other", ingest_aliases=["new", "alice"])
    assert [one.name for one in client.v1.customers.list()] == ["Alice"]


def test_a_customer_is_found_by_alias_only_exactly(client, shop):
    alice = shop.customer("alice")
    shop.customer("alice2")

    assert [one.id for one in client.v1.customers.list(ingest_alias="alice")] == [alice]
    assert list(client.v1.customers.list(ingest_alias="ali")) == []


def test_setting_aliases_replaces_the_set_and_moves_usage_from_another_customer(client, shop):
    alice, bob = shop.customer("alice"), shop.customer("bob")
    for one in (alice, bob):
        shop.contract(one, shop.commit(1_000))
    shop.speak("alice", 300)
    assert (shop.net(alice), shop.net(bob)) == (700, 1_000)

    client.v1.customers.set_ingest_aliases(customer_id=bob, ingest_aliases=["bob", "alice"])

    assert (shop.net(alice), shop.net(bob)) == (1_000, 700)
    assert client.v1.customers.retrieve(customer_id=alice).data.ingest_aliases == []


def test_an_alias_claimed_later_brings_the_usage_sent_before(client, shop):
    shop.speak("late", 250)
    alice = shop.customer("alice")
    shop.contract(alice, shop.commit(1_000))
    assert shop.net(alice) == 1_000

    client.v1.customers.set_ingest_aliases(customer_id=alice, ingest_aliases=["alice", "late"])

    assert shop.net(alice) == 750


def test_archiving_keeps_the_customer_readable_its_alias_taken_and_its_balance_gone(client, shop):
    alice = shop.customer("alice")
    contract = shop.contract(alice, shop.commit(1_000))

    client.v1.customers.archive(id=alice)

    assert client.v1.customers.retrieve(customer_id=alice).data.archived_at == NOW
    assert list(client.v1.customers.list()) == []
    assert [one.id for one in client.v1.customers.list(only_archived=True)] == [alice]
    assert shop.net(alice) == 0
    assert (
        client.v2.contracts.retrieve(contract_id=contract, customer_id=alice).data.archived_at
        == NOW
    )
    with pytest.raises(ConflictError):
        shop.customer("alice")


def test_names_are_cut_and_aliases_limited(client):
    created = client.v1.customers.create(name="n" * 200).data
    assert len(created.name) == 160
    with pytest.raises(BadRequestError, match="1 to 128"):
        client.v1.customers.create(name="x", ingest_aliases=["a" * 129])


def test_unknown_and_malformed_ids_are_told_apart(client):
    with pytest.raises(NotFoundError, match="Customer not found"):
        client.v1.customers.retrieve(customer_id="0a0a0a0a-0000-4000-8000-000000000000")
    with pytest.raises(BadRequestError, match="UUID"):
        client.v1.customers.retrieve(customer_id="alice")


def test_archiving_a_billing_configuration_switches_recharge_off(client, shop):
    alice = shop.customer("alice")
    contract = shop.contract(
        alice, shop.commit(100_000), prepaid_balance_threshold_configuration=shop.recharge()
    )
    made = client.v1.customers.set_billing_configurations(
        data=[
            {
                "customer_id": alice,
                "billing_provider": "stripe",
                "delivery_method": "direct_to_billing_provider",
            }
        ]
    ).data
    assert [
        one.id
        for one in client.v1.customers.retrieve_billing_configurations(customer_id=alice).data
    ] == [made[0].id]

    client.v1.customers.archive_billing_configurations(
        customer_id=alice, customer_billing_provider_configuration_ids=[made[0].id]
    )

    config = client.v2.contracts.retrieve(contract_id=contract, customer_id=alice).data
    assert config.prepaid_balance_threshold_configuration.is_enabled is False
    assert client.v1.customers.retrieve_billing_configurations(customer_id=alice).data == []


def test_custom_fields_need_a_declared_key(client, shop):
    alice = shop.customer("alice")
    with pytest.raises(BadRequestError, match="does not exist"):
        client.v1.custom_fields.set_values(
            entity="customer", entity_id=alice, custom_fields={"tier": "gold"}
        )

    client.v1.custom_fields.add_key(entity="customer", key="tier", enforce_uniqueness=False)
    client.v1.custom_fields.set_values(
        entity="customer", entity_id=alice, custom_fields={"tier": "gold"}
    )

    assert client.v1.customers.retrieve(customer_id=alice).data.custom_fields == {"tier": "gold"}
    with pytest.raises(BadRequestError, match="Duplicate custom field key"):
        client.v1.custom_fields.add_key(entity="customer", key="tier", enforce_uniqueness=False)
    client.v1.custom_fields.delete_values(entity="customer", entity_id=alice, keys=["tier"])
    assert client.v1.customers.retrieve(customer_id=alice).data.custom_fields == {}
    assert [one.key for one in client.v1.custom_fields.list_keys()] == ["tier"]
    client.v1.custom_fields.remove_key(entity="customer", key="tier")
    with pytest.raises(NotFoundError):
        client.v1.custom_fields.remove_key(entity="customer", key="tier")
