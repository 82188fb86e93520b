from datetime import timedelta

import pytest
from metronome import BadRequestError, ConflictError, NotFoundError

from .world import HOUR, NOW


def switch(client, type_, on=True):
    body = {"policy": {"type": type_}, "is_enabled": on}
    return client.post("/v2/notifications/edit", cast_to=object, body=body)


def test_system_notifications_are_off_until_switched_on(box, wire, client, shop):
    alice = shop.customer()
    shop.contract(alice, shop.commit(10))
    box.tick()
    assert wire.bodies == []

    switch(client, "contract.create")
    shop.contract(alice)
    box.tick()

    assert wire.types == ["contract.create"]
    states = {one.policy.type: one.is_enabled for one in client.v2.notifications.system.list().data}
    assert states["contract.create"] is True
    assert sum(states.values()) == 1


def test_they_are_flat_and_name_everything_they_are_about(box, wire, client, shop):
    switch(client, "commit.segment.end")
    alice = shop.customer()
    contract = shop.contract(alice, shop.commit(10))
    box.clock.move_to(HOUR + timedelta(days=14))
    box.tick()

    (one,) = wire.bodies
    commit = shop.balances(alice)[0]
    assert one == {
        "id": one["id"],
        "type": "commit.segment.end",
        "timestamp": "2026-03-24T09:00:00.000Z",
        "environment_type": "SANDBOX",
        "customer_id": alice,
        "customer_custom_fields": {},
        "commit_id": commit.id,
        "commit_custom_fields": {},
        "contract_id": contract,
        "contract_custom_fields": {},
        "parent_recurring_commit_id": None,
        "segment_index": 0,
        "segment_count": 1,
        "segment_id": commit.access_schedule.schedule_items[0].id,
    }


def test_the_life_of_a_contract_is_told_in_order(box, wire, client, shop):
    for verb in ("create", "start", "edit", "end", "archive"):
        switch(client, f"contract.{verb}")
    alice = shop.customer()
    contract = shop.contract(
        alice, starting_at=HOUR + timedelta(hours=2), ending_before=HOUR + timedelta(hours=4)
    )
    client.v2.contracts.edit(
        contract_id=contract, customer_id=alice, update_contract_name="renamed"
    )
    box.clock.advance(seconds=5 * 3600)
    box.tick()
    client.v1.contracts.archive(contract_id=contract, customer_id=alice, void_invoices=False)
    box.tick()

    assert wire.types == [
        f"contract.{verb}" for verb in ("create", "edit", "start", "end", "archive")
    ]


def test_an_offset_fires_before_the_end_with_the_time_of_the_end(box, wire, client, shop):
    offset = client.v2.notifications.offset.create(
        name="Three days", policy={"type": "commit.segment.end", "offset": "-P3D"}
    ).data
    shop.contract(shop.customer(), shop.commit(10))
    box.clock.move_to(HOUR + timedelta(days=11) - timedelta(seconds=1))
    box.tick()
    assert wire.bodies == []

    box.clock.advance(seconds=1)
    box.tick()

    (one,) = wire.bodies
    assert (one["type"], one["timestamp"]) == ("commit.segment.end", "2026-03-24T09:00:00.000Z")
    assert (one["offset_id"], one["offset_duration"]) == (offset.id, "-P3D")


def test_an_offset_made_later_covers_what_is_there_but_never_the_past(box, wire, client, shop):
    alice = shop.customer()
    shop.contract(alice, shop.commit(10, days=2, name="too late"), shop.commit(10, name="in time"))

    client.v2.notifications.offset.create(
        name="o", policy={"type": "commit.segment.end", "offset": "-P3D"}
    )
    box.clock.advance(timedelta(days=20))
    box.tick()

    assert [one["timestamp"] for one in wire.bodies] == ["2026-03-24T09:00:00.000Z"]


def test_an_offset_follows_the_segment_when_it_moves(box, wire, client, shop):
    client.v2.notifications.offset.create(
        name="o", policy={"type": "commit.segment.end", "offset": "-P3D"}
    )
    alice = shop.customer()
    shop.contract(alice, shop.commit(10))
    commit = shop.balances(alice)[0]
    client.v2.contracts.edit_commit(
        commit_id=commit.id,
        customer_id=alice,
        access_schedule={
            "update_schedule_items": [
                {
                    "id": commit.access_schedule.schedule_items[0].id,
                    "ending_before": HOUR + timedelta(days=28),
                }
            ]
        },
    )
    box.clock.advance(timedelta(days=40))
    box.tick()

    assert [one["timestamp"] for one in wire.bodies] == ["2026-04-07T09:00:00.000Z"]


def test_a_positive_offset_fires_after_an_action(box, wire, client, shop):
    client.v2.notifications.offset.create(
        name="o", policy={"type": "contract.create", "offset": "PT3M"}
    )
    shop.contract(shop.customer())
    box.clock.advance(seconds=180)
    box.tick()

    assert [(one["type"], one["timestamp"]) for one in wire.bodies] == [
        ("contract.create", "2026-03-10T09:30:00.000Z")
    ]


def test_archived_or_changed_offsets_do_not_fire_the_old_way(box, wire, client, shop):
    offsets = client.v2.notifications.offset
    gone = offsets.create(name="gone", policy={"type": "contract.end", "offset": "-P1D"}).data
    moved = offsets.create(name="moved", policy={"type": "contract.end", "offset": "-P2D"}).data
    shop.contract(shop.customer(), ending_before=HOUR + timedelta(days=10))
    offsets.archive(id=gone.id)
    client.v2.notifications.offset.edit(
        id=moved.id, policy={"type": "contract.end", "offset": "-PT6H"}
    )
    box.clock.advance(timedelta(days=20))
    box.tick()

    assert [one["offset_duration"] for one in wire.bodies] == ["-PT6H"]
    assert offsets.retrieve(id=gone.id).data.archived_at == NOW
    assert [one.name for one in offsets.list()] == ["moved"]
    assert [one.name for one in offsets.list(archive_filter="ARCHIVED")] == ["gone"]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"type": "commit.create", "offset": "-P1D"}, "negative offset"),
        ({"type": "contract.end", "offset": "three days"}, "ISO 8601"),
        ({"type": "contract.rename", "offset": "P1D"}, "policy.type"),
    ],
)
def test_impossible_policies_are_refused(client, policy, message):
    with pytest.raises(BadRequestError, match=message) as caught:
        client.v2.notifications.offset.create(name="o", policy=policy)
    assert caught.value.body["code"] == "BadRequest"


def test_keys_and_unknown_ids(client):
    policy = {"type": "contract.end", "offset": "-P1D"}
    client.v2.notifications.offset.create(name="o", policy=policy, uniqueness_key="k")
    with pytest.raises(ConflictError):
        client.v2.notifications.offset.create(name="o", policy=policy, uniqueness_key="k")
    with pytest.raises(NotFoundError) as caught:
        client.v2.notifications.offset.retrieve(id="0a0a0a0a-0000-4000-8000-000000000000")
    assert caught.value.body["code"] == "NotificationConfigNotFound"
