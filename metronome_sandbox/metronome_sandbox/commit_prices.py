"""What usage costs when a given commit or credit pays for it.

A commit pays the list price or, with `rate_type` COMMIT_RATE, the rate card's commit rate where
there is one. Overrides that are commit-specific change the one they target. Where none does, the
commit rate stays as it is, and the list price is what it is without a commit: other overrides are
for that only. So with a list price (or a multiplier) of 0 and a price for commits, usage is drawn
at that price as long as there are credits, and costs nothing beyond: zero overage
(https://docs.metronome.com/guides/pricing-packaging/apply-credits-and-commits/guarantee-zero-overages).
"""

from decimal import Decimal
from typing import Any

from metronome_sandbox import overrides
from metronome_sandbox.pricing import Charge
from metronome_sandbox.records import Commit, Contract


class CommitPrices:
    """The prices of one contract, each worked out once."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._is_specific = any(one.get("is_commit_specific") for one in contract.overrides)
        self._found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}

    def of(self, charge: Charge, commit: Commit) -> tuple[Decimal, str]:
        """The price of one, and its unit. A fee has one price, whatever pays it."""
        if charge.fee is not None:
            return charge.price, charge.credit_type_id
        at_commit_rate = commit.rate_type == "COMMIT_RATE" and charge.commit_price is not None
        if self._is_specific:
            target = "COMMIT_RATE" if at_commit_rate else "LIST_RATE"
            found = [
                one
                for one in self._in_force(charge)
                if (one.get("target") or "LIST_RATE") == target and _names(one, charge, commit)
            ]
            override = overrides.chosen(self._contract, found)
            if override.prices:
                base = charge.commit_price if at_commit_rate else charge.list_price
                return override.applied(base or Decimal(0), charge.card_credit_type_id, charge.used)
        if at_commit_rate and charge.commit_price is not None:
            return charge.commit_price, charge.card_credit_type_id
        return charge.price, charge.credit_type_id

    def highest(self, charge: Charge, commits: list[Commit]) -> Decimal:
        """The highest price that usage may be drawn at, or left at."""
        prices = [charge.price]
        if self._is_specific or charge.commit_price is not None:
            prices += [self.of(charge, commit)[0] for commit in commits]
        return max(prices)

    def _in_force(self, charge: Charge) -> list[dict[str, Any]]:
        key = (charge.hour, charge.product.id, charge.groups, charge.presentation)
        if key not in self._found:
            self._found[key] = [
                one
                for one in overrides.in_force(
                    self._contract, charge.product, charge.groups, charge.presentation, charge.hour
                )
                if one.get("is_commit_specific")
            ]
        return self._found[key]


def _names(override: dict[str, Any], charge: Charge, commit: Commit) -> bool:
    """Whether one of an override's specifiers is for this usage and this commit."""
    specifiers = override.get("override_specifiers")
    if not specifiers:
        return True
    groups, presentation = dict(charge.groups), dict(charge.presentation)
    return any(
        overrides.fits(one, charge.product, groups, presentation, charge.hour)
        and _is_named(one, commit)
        for one in specifiers
    )


def _is_named(specifier: dict[str, Any], commit: Commit) -> bool:
    """Commits and credits by id, or by the recurring one they come from; nobody named: all."""
    if not any(specifier.get(name) for name in overrides.OF_COMMITS):
        return True
    of_any = specifier.get("any_commit_or_credit_ids") or ()
    return (
        commit.id in of_any
        or commit.recurring_id in of_any
        or (not commit.is_credit and commit.id in (specifier.get("commit_ids") or ()))
        or (
            not commit.is_credit
            and commit.recurring_id in (specifier.get("recurring_commit_ids") or ())
        )
    )
