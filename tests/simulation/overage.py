"""What Metronome says of usage beyond the credits: there is none, and it costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.models import Customer
from billing.models import CreditGrant
from metronome_sandbox import invoice_views

if TYPE_CHECKING:
    from .world import World


def nobody_is_billed(world: World) -> None:
    """No draft and no final invoice of any customer bills usage that no credits paid, at any time
    and whatever went wrong. What is final stays so, and is looked at once."""
    books = world.sandbox.world
    for invoice in books.store.invoices:
        if invoice.type != "USAGE" or invoice.id in world.seen_final:
            continue
        if invoice.status == "FINALIZED":
            world.seen_final.add(invoice.id)
        billed = [
            line for line in invoice_views.show(books, invoice)["line_items"] if is_overage(line)
        ]
        assert not billed, f"{invoice.customer_id} is billed beyond the credits: {billed}"


def nobody_used_more(world: World, customer: Customer) -> None:
    """There is no usage beyond the credits, but where some were taken away after they had been
    spent."""
    if CreditGrant.objects.filter(
        wallet__customer=customer, remote_id__in=world.taken_away
    ).exists():
        return
    unpaid = [line for line in world.usage_lines(customer) if is_unpaid(line)]
    assert not unpaid, f"more was used than there was: {unpaid}"


def is_overage(line: dict[str, Any]) -> bool:
    return line["type"] == "cpu_conversion" or (is_unpaid(line) and line["total"] != 0)


def is_unpaid(line: dict[str, Any]) -> bool:
    return line["type"] == "usage" and not line.get("commit_id")
