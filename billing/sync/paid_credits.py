"""Whether Metronome has the credits of a payment of which we know none, since a worker that was
granting them may have been killed before it, or another one, had read them."""

from __future__ import annotations

from billing import metronome
from billing.models import Payment, Recharge
from billing.payments import credit_keys


def are_there(payment: Payment) -> bool:
    """Raises MetronomeUnavailable."""
    if not (remote_id := payment.customer.metronome_id):
        return False
    recharge = Recharge.objects.filter(payment=payment).first()
    invoice, key = recharge.invoice_id if recharge else "", credit_keys.of(payment)
    return any(
        (key and one.description == key) or (invoice and invoice in one.invoice_ids)
        for one in metronome.commits(customer_id=remote_id)
    )
