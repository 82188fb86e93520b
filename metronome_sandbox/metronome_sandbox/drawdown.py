"""Which commit or credit pays first.

Metronome's published order, commit type before `priority`
(https://docs.metronome.com/guides/pricing-packaging/apply-credits-and-commits/prioritization-rules):
rolled-over postpaid, rolled-over prepaid, prepaid and credits, postpaid; then priority, what cost
nothing, fewest products, fewest specifiers of groups, soonest end, soonest start, fewest contracts.
"""

from decimal import Decimal
from typing import Any

from metronome_sandbox.records import Commit, Segment
from metronome_sandbox.world import World

ZERO = Decimal(0)
ALL = 10**6  # more than anything can have


def order(world: World, commit: Commit, segment: Segment) -> tuple[Any, ...]:
    if commit.rolled_over_from:
        kind = 0 if commit.type == "POSTPAID" else 1
    else:
        kind = 3 if commit.type == "POSTPAID" else 2
    # The cost of a rolled-over commit has no say.
    paid = not commit.rolled_over_from and cost_basis(commit) != 0
    return (
        kind,
        commit.priority,
        paid,
        _products(world, commit),
        *_usage_scope(commit),
        segment.ending_before,
        segment.starting_at,
        len(commit.applicable_contract_ids) or (1 if commit.contract_id else ALL),
        0 if commit.contract_id else 1,
        commit.seq,
    )


def _products(world: World, commit: Commit) -> int:
    """How many products a commit serves, whichever way it names them."""
    named = set(commit.applicable_product_ids)
    if commit.applicable_product_tags:
        named |= _tagged(world, set(commit.applicable_product_tags), any_of=True)
    for one in commit.specifiers:
        product_id, tags = one.get("product_id"), set(one.get("product_tags") or ())
        if not product_id and not tags:
            return ALL  # only values of groups: any product may have them
        found = _tagged(world, tags, any_of=False) if tags else {str(product_id)}
        named |= found & {str(product_id)} if product_id else found
    return len(named) if named or is_restricted(commit) else ALL


def is_restricted(commit: Commit) -> bool:
    return bool(
        commit.applicable_product_ids or commit.applicable_product_tags or commit.specifiers
    )


def _tagged(world: World, tags: set[str], *, any_of: bool) -> set[str]:
    """Ids of the products with any of the tags, or with all."""
    return {
        row.id
        for row in world.store.products
        if row.archived_at is None
        and (
            tags & set(row.current.get("tags") or ())
            if any_of
            else tags <= set(row.current.get("tags") or ())
        )
    }


def _usage_scope(commit: Commit) -> tuple[int, int]:
    """How much usage a commit serves: how many specifiers it has of nothing but group values, and
    their values. A commit without specifiers serves all usage; one of products only has no say."""
    if not commit.specifiers:
        return (0, 0) if is_restricted(commit) else (ALL, ALL)
    scoped = [
        one
        for one in commit.specifiers
        if not one.get("product_id")
        and not one.get("product_tags")
        and (one.get("pricing_group_values") or one.get("presentation_group_values"))
    ]
    return len(scoped), sum(
        len(one.get(name) or ())
        for one in commit.specifiers
        for name in ("pricing_group_values", "presentation_group_values")
    )


def cost_basis(commit: Commit) -> Decimal:
    """Money per unit of access; zero for credits and complimentary commits."""
    access = sum((segment.amount for segment in commit.segments), ZERO)
    paid = sum((item.amount for item in commit.invoice_items), ZERO)
    return paid / access if access and not commit.do_not_invoice else ZERO
