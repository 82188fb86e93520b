"""Zero overage: on our contracts, usage beyond the last credit costs nothing at Metronome.

Our gate lets nobody use more than they have. If it ever failed, Metronome would bill what no
credits paid. Two overrides on each contract keep it from that: all usage is priced at nothing, and
at the rate card's price while a commit or credit pays for it. Metronome puts commit-specific
overrides before all others:
https://docs.metronome.com/guides/pricing-packaging/apply-credits-and-commits/discounting-on-commits

Its guide for zero overage writes prices instead: as commit rates beside list prices of 0, or as
overwrites. With commit rates, a commit that somebody made without COMMIT_RATE would pay nothing,
and all contracts would change at once. Overwrites would be a second copy of our prices on each
contract. A factor of 1 leaves prices on the rate card, so a new price needs no change of contracts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .client import reader, require_id, translate_errors, writer


def overrides(starts_at: datetime) -> list[dict[str, Any]]:
    """The two overrides of a contract that starts then."""
    free: dict[str, Any] = {"type": "MULTIPLIER", "multiplier": 0, "starting_at": starts_at}
    return [free, free | {"multiplier": 1, "is_commit_specific": True}]


def is_guaranteed(contract: Any) -> bool:
    """Whether the overrides of a contract, as Metronome shows it, price usage as above for all its
    time. An overwrite for usage without a commit goes before a multiplier, so there may be none
    but of 0; one of tiers or a percentage has no price and is none of 0."""
    lasting = [
        one
        for one in contract.overrides
        if one.starting_at <= contract.starting_at and one.ending_before is None
    ]
    overwrites = [
        one.overwrite_rate.price
        for one in contract.overrides
        if one.overwrite_rate and not one.is_commit_specific
    ]
    return (
        any(_multiplies_all(one, 0, of_commits=False) for one in lasting)
        and any(_multiplies_all(one, 1, of_commits=True) for one in lasting)
        and all(price == 0 for price in overwrites)
    )


def _multiplies_all(override: Any, factor: int, *, of_commits: bool) -> bool:
    is_narrow = override.product or override.applicable_product_tags
    return (
        override.multiplier == factor
        and bool(override.is_commit_specific) is of_commits
        and override.target in (None, "LIST_RATE")
        and not is_narrow
        and not override.override_specifiers
    )


def guarantee(*, customer_id: str, contract_id: str) -> bool:
    """Give an existing contract its two overrides unless it has them. Safe to repeat.

    Returns whether usage beyond the credits costs nothing now; not so, an overwrite that somebody
    made is in the way. Usage of months that are final stays as it was billed.
    """
    ids: dict[str, Any] = {"customer_id": customer_id, "contract_id": contract_id}
    with translate_errors("guarantee zero overage"):
        found = reader().v2.contracts.retrieve(**ids).data
        if is_guaranteed(found):
            return True
        added: Any = overrides(found.starting_at)
        # Without a uniqueness key: twice the same is the same, and a key could be used only once.
        require_id(writer().v2.contracts.edit(**ids, add_overrides=added).data)
        return is_guaranteed(reader().v2.contracts.retrieve(**ids).data)
