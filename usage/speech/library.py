"""The house voices as a library: what is known of each, and finding those one looks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .voices import Speaker

SEXES = ("woman", "man")
# By what the library is searched, besides free words.
FILTERS = ("language", "accent", "sex", "tier")


@dataclass(frozen=True, slots=True)
class Entry:
    """One voice of the library, its description taken apart."""

    speaker: Speaker
    language: str  # its name
    accent: str
    sex: str  # "" of a voice that is neither
    character: str

    @property
    def tier(self) -> str:
        return self.speaker.type.value

    @property
    def words(self) -> str:
        """What a search for words looks at."""
        parts = (self.speaker.name, self.speaker.description, self.language, self.tier)
        return " ".join(parts).casefold()

    @property
    def credits_per_thousand(self) -> int:
        """Its price for 1,000 characters."""
        return 1_000 * self.speaker.credits_per_character


def entry(speaker: Speaker) -> Entry:
    accent, *rest = speaker.description.split(", ")
    return Entry(
        speaker,
        language=speaker.language_name,
        accent=accent,
        sex=next((part for part in rest if part in SEXES), ""),
        character=", ".join(part for part in rest if part not in SEXES),
    )


def choices(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """By filter, the values there are to choose from, in the order of the voices."""
    listed = list(entries)
    return {
        name: list(dict.fromkeys(filter(None, (getattr(one, name) for one in listed))))
        for name in FILTERS
    }


def matching(entries: Iterable[Entry], wanted: Mapping[str, str]) -> list[Entry]:
    """The voices that have every value wanted and words that begin so; "" wants nothing."""
    words = wanted.get("words", "").casefold().split()
    return [
        one
        for one in entries
        if all(getattr(one, name) == wanted[name] for name in FILTERS if wanted.get(name))
        and all(f" {word}" in f" {one.words}" for word in words)
    ]
