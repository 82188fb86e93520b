"""The bounds of the customer's numbers, and what is said about those outside."""

from __future__ import annotations

from collections.abc import Callable

from billing import plans

TO_CREDITS_MAX = 40_000_000  # $10,000 in one charge: more is probably a typing error
LIMIT_CENTS_MAX = plans.RECHARGE_LIMIT_RECHARGES * 1_000_000  # three of the largest recharges


def errors_of(
    threshold: int | None,
    recharge_to: int | None,
    limit_cents: int | None = None,
    with_tax: Callable[[int], int] = int,
) -> dict[str, str]:
    """Errors of the numbers (credits, cents) for the customer, by field. None: not a number.

    `with_tax` says what a price in cents comes to, which the limit counts.

    A customer who enters the numbers that the errors name is not refused again: the bounds of each
    number are computed from allowed ones before it, even if those entered are refused.
    """
    errors: dict[str, str] = {}
    lowest, smallest = plans.RECHARGE_THRESHOLD_CREDITS_MIN, plans.RECHARGE_CREDITS_MIN
    highest = TO_CREDITS_MAX - smallest
    if threshold is not None and not lowest <= threshold <= highest:
        bound, limit = ("least", lowest) if threshold < lowest else ("most", highest)
        errors["threshold_credits"] = f"The threshold is at {bound} {_credits(limit)}."
    allowed = min(max(threshold or lowest, lowest), highest)
    if recharge_to is not None and recharge_to < allowed + smallest:
        errors["recharge_to_credits"] = (
            f"At least {allowed + smallest:,} credits: {smallest:,} (${_dollars(smallest)}) above "
            f"a threshold of {allowed:,}, the smallest payment there is."
        )
    elif recharge_to is not None and recharge_to > TO_CREDITS_MAX:
        errors["recharge_to_credits"] = f"At most {_credits(TO_CREDITS_MAX)}."
    target = min(max(recharge_to or 0, allowed + smallest), TO_CREDITS_MAX)
    once_cents, most_cents = with_tax(plans.cents_of(target - allowed)), with_tax(LIMIT_CENTS_MAX)
    if limit_cents is not None and limit_cents < once_cents:
        errors["limit"] = (
            f"At least ${once_cents / 100:,.2f}: one recharge from {allowed:,} to {target:,}."
        )
    elif limit_cents is not None and limit_cents > most_cents:
        errors["limit"] = f"At most ${most_cents / 100:,.0f}."
    return errors


def _credits(credits: int) -> str:
    return f"{credits:,} credits (${_dollars(credits)})"


def _dollars(credits: int) -> str:
    return f"{credits / plans.CREDITS_PER_CENT / 100:,.0f}"
