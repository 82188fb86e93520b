"""Who asks for a text, and what comes of asking: between `speak` and whoever makes it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from billing import ledger
from usage.models import Generation

from .voices import Speaker


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a text to be spoken, and how the answer is given.

    `answer` is what else belongs to the body of a request: a key with another one is refused.
    `is_streamed`: it is spoken while somebody listens, and never queued, however long it is.
    """

    api_key_id: UUID | None = None
    answer: str = ""
    is_streamed: bool = False

    @property
    def keys(self) -> str:
        """What the keys of its requests begin with: each API key has keys of its own."""
        return f"{self.api_key_id.hex[:12]}/" if self.api_key_id else ""


ON_THE_SITE = Asked()


@dataclass(frozen=True, slots=True)
class Begun:
    """A generation that is done (`replayed`), or queued, or pending with its credits reserved."""

    generation: Generation
    speaker: Speaker
    wallet_id: int
    reservation: ledger.Reserved | None = None
