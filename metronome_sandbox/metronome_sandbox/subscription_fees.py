"""Fees of subscriptions as charges: which invoice has them, and that balances may pay them."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from metronome_sandbox.pricing import Charge, billing_period
from metronome_sandbox.records import Contract, Fee, Subscription
from metronome_sandbox.world import World

# Of a scheduled invoice its id, of a usage invoice its contract and start
Key = str | tuple[str, datetime]
HOUR = timedelta(hours=1)


def of_contract(world: World, contract: Contract) -> list[Subscription]:
    return [
        row
        for row in world.store.subscriptions.of_customer(contract.customer_id)
        if row.contract_id == contract.id
    ]


def usage_invoice_ends(contract: Contract, at: datetime) -> bool:
    """Whether a usage invoice of the contract that is not final ends at a moment."""
    if at <= contract.starting_at:
        return False
    start, end = billing_period(contract, at - HOUR)
    return end == at and start not in contract.frozen_periods


def key(world: World, contract: Contract, fee: Fee) -> Key | None:
    """The draft invoice that has a fee; None: it is on a final one, or on a void one."""
    if fee.invoice_id is not None:
        invoice = world.store.invoices.get(fee.invoice_id)
        return fee.invoice_id if invoice and invoice.status == "DRAFT" else None
    start = billing_period(contract, fee.billed_at - HOUR)[0]
    return None if start in contract.frozen_periods else (contract.id, start)


def charges(world: World, contract: Contract) -> Iterator[tuple[Key, Charge]]:
    """What drafts charge for subscriptions. Balances pay it as of the time it begins."""
    for subscription in of_contract(world, contract):
        product = world.store.products[subscription.product_id]
        for fee in subscription.fees:
            invoice = key(world, contract, fee)
            if invoice is None:
                continue
            yield (
                invoice,
                Charge(
                    hour=fee.starting_at,
                    product=product,
                    groups=(),
                    presentation=(),
                    quantity=fee.quantity,
                    price=fee.unit_price,
                    credit_type_id=fee.credit_type_id,
                    list_price=fee.unit_price,
                    commit_price=None,
                    card_credit_type_id=fee.credit_type_id,
                    fee=fee,
                ),
            )
