"""What a benchmark measures the ledger against must do the same work, or the ratio says nothing."""

import pytest
from django.db import connection

from bench import gate
from billing.models import LedgerEntry, Reservation
from conftest import fund


@pytest.mark.skipif(connection.vendor != "postgresql", reason="the gate is measured on PostgreSQL")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", [gate.through_ledger, gate.straight])
def test_both_ways_through_the_gate_leave_the_same(alice, now, way):
    wallet = fund(alice, 100, now)

    with way([wallet.pk])(0) as once:
        once()

    wallet.refresh_from_db()
    assert (wallet.balance, wallet.reserved, wallet.version) == (90, 0, 3)
    assert wallet.grants.get().remaining == 90
    entry = LedgerEntry.objects.get(kind="capture")
    assert (entry.amount, entry.balance_after, entry.consumptions) == (
        -10,
        90,
        [[wallet.grants.get().pk, 10]],
    )
    assert entry.reservation == Reservation.objects.get(state="captured", captured=10)
