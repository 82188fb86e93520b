"""What somebody needs, and what the cheapest way to it costs: characters, credits, hours, plan.

Everything is computed: prices from `billing.plans`, hours from the measured paces of the voices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from billing import plans
from usage.models import VoiceType
from usage.speech import paces, pricing

CHARACTERS_MAX = 100_000_000
HOURS_MAX = 10_000
AMOUNT_DIGITS_MAX = 20  # of what is typed
DEFAULT = {"amount": "240,000", "unit": "characters", "tier": "standard"}
REFUSED = f"Write a number, up to {CHARACTERS_MAX:,} characters or {HOURS_MAX:,} hours."


@dataclass(frozen=True, slots=True)
class Way:
    """A way to the credits of a month: a plan (None: top-ups alone) and what is bought on top."""

    plan: plans.Plan | None
    price_cents: int  # a month
    extra_credits: int  # bought beyond the plan's
    spare_credits: int


@dataclass(frozen=True, slots=True)
class Need:
    """What is needed in a month, and the cheapest way to it."""

    characters: int
    credits: int
    seconds: float
    way: Way


def of(fields: Mapping[str, str]) -> tuple[dict[str, str], Need | None]:
    """What stands in the form, and what follows; None if the amount is no number in its bounds.

    A number gets separators, however it was typed; what is none stays as it was typed.
    """
    typed = {name: fields.get(name, value) for name, value in DEFAULT.items()}
    tier = typed["tier"] if typed["tier"] in VoiceType.values else DEFAULT["tier"]
    is_hours = typed["unit"] == "hours"
    typed |= {"tier": tier, "unit": "hours" if is_hours else "characters"}
    typed["amount"] = typed["amount"][:AMOUNT_DIGITS_MAX]
    amount = _number(typed["amount"])
    if amount is None or not 0 < amount <= (HOURS_MAX if is_hours else CHARACTERS_MAX):
        return typed, None
    typed["amount"] = _written(typed["amount"])
    characters = paces.characters_in(3_600 * amount, tier) if is_hours else math.ceil(amount)
    credits = pricing.credits(characters, tier)
    seconds = paces.seconds_of_credits(credits, tier)
    return typed, Need(characters, credits, seconds, cheapest(credits))


def cheapest(credits: int) -> Way:
    """The cheapest way to so many credits each month; of two that cost the same, the plan."""
    monthly = [plan for plan in plans.PLANS.values() if plan.price_cents]
    return min((_way(plan, credits) for plan in (*monthly, None)), key=lambda way: way.price_cents)


def _way(plan: plans.Plan | None, credits: int) -> Way:
    included, price = (plan.credits, plan.price_cents or 0) if plan else (0, 0)
    extra = max(0, credits - included)
    extra_cents = max(plans.PACK_CENTS_MIN, math.ceil(extra / plans.CREDITS_PER_CENT))
    bought = extra_cents * plans.CREDITS_PER_CENT if extra else 0
    total = price + (extra_cents if extra else 0)
    return Way(plan, total, bought, included + bought - credits)


def _written(text: str) -> str:
    """A number as it is shown: “30,000” or “1.5”."""
    whole, _, fraction = _digits(text).partition(".")
    fraction = fraction.rstrip("0")
    return f"{int(whole or 0):,}" + (f".{fraction}" if fraction else "")


def _number(text: str) -> float | None:
    """“30,000”, “1.5” or “30 000”; None of anything else."""
    digits = _digits(text)
    if not digits.isascii() or digits.count(".") > 1 or not digits.replace(".", "").isdigit():
        return None
    return float(digits)


def _digits(text: str) -> str:
    return text.replace(",", "").replace(" ", "").replace("\N{NO-BREAK SPACE}", "")
