"""`among` on every kind of primary key we have, on both databases."""

from __future__ import annotations

import uuid

from django.db import connection

from accounts.models import Customer
from billing.models import InboundWebhook
from conftest import make_customer


def test_finds_what_in_finds_by_number(db, now):
    rows = InboundWebhook.objects.bulk_create(
        InboundWebhook(event_id=f"event-{at}", type="test", payload={}, received_at=now)
        for at in range(3)
    )

    found = InboundWebhook.objects.filter(pk__among=[rows[0].pk, rows[2].pk, rows[2].pk, 10**12])

    assert set(found) == {rows[0], rows[2]}


def test_finds_what_in_finds_by_uuid_and_by_text(db):
    ann, ben = make_customer("ann@example.com", "ann"), make_customer("ben@example.com", "ben")

    assert set(Customer.objects.filter(id__among=[ann.id, ben.id, uuid.uuid4()])) == {ann, ben}
    assert set(Customer.objects.filter(user__email__among=["ann@example.com", 'a"{},'])) == {ann}


def test_of_nothing_is_nothing(db):
    make_customer("ann@example.com", "ann")

    assert not Customer.objects.filter(id__among=[]).exists()


def test_is_one_parameter_where_the_database_has_arrays(db):
    _, parameters = InboundWebhook.objects.filter(pk__among=range(500)).query.sql_with_params()

    assert len(parameters) == (1 if connection.vendor == "postgresql" else 500)
