"""The draws of a final invoice, kept with it: what is final is not rated any more."""

from typing import Any

from metronome_sandbox.pricing import ZERO, Charge
from metronome_sandbox.rating import Draw, rate
from metronome_sandbox.records import Invoice
from metronome_sandbox.world import World


def invoice_draws(world: World, invoice: Invoice) -> list[Draw]:
    """What a usage invoice consists of, a draft as it is rated now."""
    if invoice.status != "DRAFT":
        return [_load(world, row) for row in invoice.draws]
    assert invoice.start_at is not None
    draws = rate(world, invoice.customer_id).draws
    return draws.get((invoice.contract_id, invoice.start_at), [])


def keep(draw: Draw) -> dict[str, Any]:
    charge = draw.charge
    return {
        "hour": charge.hour,
        "product_id": charge.product.id,
        "groups": charge.groups,
        "presentation": charge.presentation,
        "price": draw.price,
        "credit_type_id": draw.credit_type_id,
        "amount": draw.amount,
        "quantity": draw.quantity,
        "commit_id": draw.commit.id if draw.commit else None,
        "segment_id": draw.segment.id if draw.segment else None,
        "converted": draw.converted,
    }


def _load(world: World, row: dict[str, Any]) -> Draw:
    commit = world.store.commits[row["commit_id"]] if row["commit_id"] else None
    segments = {one.id: one for one in commit.segments} if commit else {}
    charge = Charge(
        hour=row["hour"],
        product=world.store.products[row["product_id"]],
        groups=tuple((key, value) for key, value in row["groups"]),
        presentation=tuple((key, value) for key, value in row["presentation"]),
        quantity=row["quantity"],
        price=row["price"],
        credit_type_id=row["credit_type_id"],
        list_price=ZERO,
        commit_price=None,
        card_credit_type_id=row["credit_type_id"],
    )
    return Draw(
        charge,
        row["price"],
        row["credit_type_id"],
        row["amount"],
        row["quantity"],
        commit,
        segments.get(row["segment_id"]),
        row["converted"],
    )
