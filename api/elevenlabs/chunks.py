"""Text that comes in bits over a socket, and when there is enough of it to be spoken.

Enough is what the schedule says: so many characters for the first chunk, so many for the second,
and so on. It is cut where a sentence ends, else between two words, so that no word is torn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from usage.text import MAX_CHARACTERS

from .errors import invalid

SCHEDULE = (120, 160, 250, 290)  # characters, for the first chunk, the second …; then the last
LEAST, MOST = 5, 500  # of a schedule that a client may ask for
TRIGGER_CHARACTERS = 50  # that are enough when a client asks to try
SENTENCE_END = re.compile(r"[.!?…]['\")\]”’]*\s+|\n+")
BLANK = re.compile(r"\s+")


class Chunks:
    """The text of one context that is not spoken yet."""

    def __init__(self, schedule: Sequence[int] = SCHEDULE, *, is_auto: bool = False) -> None:
        self._schedule, self._is_auto = schedule, is_auto
        self._count = 0  # of chunks taken
        self.text = ""

    def add(self, text: str, *, tries: bool = False) -> list[str]:
        """Add a bit. Returns the chunks that are to be spoken now, often none.

        `tries`: the client would like to hear what there is, if it is not too little.
        """
        is_begun = self.text or self._count
        self.text = self.text + text if is_begun else text.lstrip()
        if self._is_auto:
            return self.flush()
        found = []
        while len(self.text) >= self._needed(tries) and (chunk := self._cut()):
            found.append(chunk)
        return found

    def flush(self) -> list[str]:
        """All there is."""
        found = []
        while self.text.strip():
            found.append(self._take(self.text[:MAX_CHARACTERS]))
        self.text = ""
        return found

    def _needed(self, tries: bool) -> int:
        needed = self._schedule[min(self._count, len(self._schedule) - 1)]
        return min(needed, TRIGGER_CHARACTERS) if tries else needed

    def _cut(self) -> str:
        """The text up to its last sentence's end, else to its last blank; "" if there is none yet.

        Of a text without any, such as a long number, all that can be spoken at once.
        """
        for ends in (SENTENCE_END, BLANK):
            places = [found.end() for found in ends.finditer(self.text[:MAX_CHARACTERS])]
            if places and self.text[: places[-1]].strip():
                return self._take(self.text[: places[-1]])
        is_full = len(self.text) >= MAX_CHARACTERS
        return self._take(self.text[:MAX_CHARACTERS]) if is_full else ""

    def _take(self, chunk: str) -> str:
        self._count += 1
        self.text = self.text[len(chunk) :]
        return chunk


def schedule_of(config: object) -> Sequence[int]:
    """The schedule that a client asks for in `generation_config`. Raises Failure."""
    wanted = config.get("chunk_length_schedule") if isinstance(config, dict) else None
    if wanted is None:
        return SCHEDULE
    is_right = isinstance(wanted, list) and 1 <= len(wanted) <= 50
    if not is_right or not all(
        isinstance(each, int | float) and LEAST <= each <= MOST for each in wanted
    ):
        raise invalid(
            "generation_config/chunk_length_schedule",
            f"This must be a list of numbers of characters, each from {LEAST} to {MOST}.",
        )
    return [int(each) for each in wanted]
