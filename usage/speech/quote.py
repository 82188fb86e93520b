"""What a text would cost, and whether it could be spoken now. Reserves nothing.

It is checked and priced by the code that speaks (`speak.check`, `pricing`), so a quote is what is
charged. What is available may be spent by somebody else a moment later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.models import Customer
from billing import ledger

from . import pricing, speak, voices


@dataclass(frozen=True, slots=True)
class Quote:
    """Credits and characters of a text.

    `key_remaining` is what the API key's budget leaves, None without one. `is_sufficient`: it would
    not be refused for its price now.
    """

    speaker: voices.Speaker
    characters: int
    credits: int
    available: int
    key_remaining: int | None

    @property
    def is_sufficient(self) -> bool:
        within_budget = self.key_remaining is None or self.credits <= self.key_remaining
        return self.credits <= self.available and within_budget


def quote(
    *,
    customer: Customer,
    text: str,
    voice_id: str,
    now: datetime,
    manner: Mapping[str, object] | None = None,
    api_key_id: UUID | None = None,
) -> Quote:
    """The price of a text in a voice. Raises Refused, as speaking it would."""
    text, speaker, _ = speak.check(customer, text, voice_id, "quote", manner)
    state = ledger.spendable(customer_id=customer.id, now=now)
    remaining = ledger.budgets.budget(api_key_id, now).remaining if api_key_id else None
    return Quote(
        speaker=speaker,
        characters=len(text),
        credits=pricing.credits(len(text), speaker.type),
        available=state.usable,
        key_remaining=remaining,
    )
