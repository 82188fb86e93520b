"""Invoices as Metronome has them, read for the page and for papers.

They are read after a webhook about one, after a purchase, when their page is looked at, and every
six hours. In between, and while Metronome is away, the page says since when it knows what it shows.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.models import Customer
from billing import metronome
from billing.metronome.invoices import FoundInvoice
from billing.models import CreditGrant, Invoice, InvoiceReading, Payment, Recharge
from billing.papers import issue
from jobs.errors import Snooze
from jobs.models import due
from jobs.worker import RowJob

AGAIN_SECONDS = 21_600
# Whoever looks at the page again within this time is shown what was read then.
FRESH_SECONDS = 60
# After the first time, only what was issued so long ago, or since: a final invoice changes only by
# becoming void, of which a webhook tells.
LOOK_BACK = timedelta(days=70)
NOT_YET_SECONDS = 60


def run_now(customer_id: UUID, now: datetime, *, whole: bool = False) -> None:
    """Read the customer's invoices as soon as a worker is free; with `whole` the old ones too."""
    rows: Any = InvoiceReading.objects.filter(customer_id=customer_id)
    if not rows.run_now(now, **({"is_whole": False} if whole else {})):
        InvoiceReading.objects.get_or_create(customer_id=customer_id, defaults=due(now))


def look(customer: Customer, now: datetime) -> datetime | None:
    """Since when the mirror is as Metronome has it, None if it never was.

    Called by the page: has them read again, unless that was done a moment ago.
    """
    reading = InvoiceReading.objects.filter(customer=customer).first()
    is_fresh = (
        reading and reading.read_at and now - reading.read_at < timedelta(seconds=FRESH_SECONDS)
    )
    if reading is None:
        if customer.metronome_id:
            run_now(customer.pk, now)
    elif not is_fresh and reading.dead_at is None:
        rows: Any = InvoiceReading.objects.filter(pk=reading.pk, last_error="")
        rows.schedule_by(now)
    return reading.read_at if reading else None


def read(reading: InvoiceReading, now: datetime) -> datetime:
    """Bring the mirror in line with Metronome. Returns when to do so again.

    Raises Unavailable or Rejected.
    """
    customer = reading.customer
    if not customer.metronome_id:
        raise Snooze("the customer is not at Metronome yet", seconds=NOT_YET_SECONDS)
    since = now - LOOK_BACK if reading.is_whole else None
    for found in metronome.invoices(customer_id=customer.metronome_id, issued_since=since):
        _store(customer, found, now)
    InvoiceReading.objects.filter(pk=reading.pk).update(read_at=now, is_whole=True)
    return now + timedelta(seconds=AGAIN_SECONDS)


def _store(customer: Customer, found: FoundInvoice, now: datetime) -> None:
    dated_at = found.issued_at or found.ends_at or found.starts_at or now
    values = {
        "customer_id": customer.pk,
        "kind": found.kind[:40],
        "status": found.status[:10],
        "total_cents": found.total_cents,
        "lines": [asdict(line) for line in found.lines],
        "starts_at": found.starts_at,
        "ends_at": found.ends_at,
        "dated_at": dated_at,
        "payment_id": _payment_of(customer, found),
    }
    with transaction.atomic():
        invoice, _ = Invoice.objects.update_or_create(remote_id=found.id, defaults=values)
        if invoice.status == Invoice.Status.FINALIZED and invoice.total_cents:
            issue.invoice(invoice, now=now)


def _payment_of(customer: Customer, found: FoundInvoice) -> UUID | None:
    """The charge that paid it: that of the recharge it is for, or of the credits it is for."""
    recharge = Recharge.objects.filter(invoice_id=found.id, customer=customer).first()
    if recharge and recharge.payment_id:
        return recharge.payment_id
    commit_ids = [line.commit_id for line in found.lines if line.commit_id]
    if not commit_ids:
        return None
    grants = CreditGrant.objects.filter(wallet__customer=customer, remote_id__in=commit_ids)
    return Payment.objects.filter(grant__in=grants).values_list("pk", flat=True).first()


READ = RowJob("invoices.read", InvoiceReading, read)
