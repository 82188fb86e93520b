"""The voices to choose from, as the studio shows them."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import Customer
from usage.models import VoiceType
from usage.speech import favourites, library, paces, voices

OWN = "own"
FAVOURITES = "favourites"


@dataclass(frozen=True, slots=True)
class Choice:
    """One voice of the picker."""

    entry: library.Entry
    tier: str  # by which the picker filters: standard, premium, OWN or that of a speech server
    is_favourite: bool

    @property
    def pace(self) -> float:
        """Characters a second at the usual speed."""
        return paces.of(self.entry.speaker)


@dataclass(frozen=True, slots=True)
class Group:
    """Voices of one price, or the favourites, which have several."""

    tier: str
    name: str
    choices: list[Choice]

    @property
    def credits(self) -> int:
        """Its price for a character; 0 of the favourites."""
        if self.tier == FAVOURITES:
            return 0
        return self.choices[0].entry.speaker.credits_per_character


def groups(customer: Customer) -> list[Group]:
    """Favourites first, whatever they cost. Then the customer's own voices, those of the house by
    tier, and those of speech servers by their label."""
    starred = favourites.of(customer)
    house = [library.entry(speaker) for speaker in voices.house()]
    own = [library.entry(speaker) for speaker in voices.of(customer)]
    named: list[tuple[str, str, list[library.Entry]]] = [(OWN, "Yours", own)]
    for tier in (VoiceType.STANDARD, VoiceType.PREMIUM):
        entries = [one for one in house if one.speaker.type == tier and not one.speaker.group]
        named.append((tier.value, str(tier.label), entries))
    for label in dict.fromkeys(one.speaker.group for one in house if one.speaker.group):
        entries = [one for one in house if one.speaker.group == label]
        named.append((f"server-{label}", label, entries))
    first = Group(FAVOURITES, "Favourites", [])
    found = [first]
    for key, name, entries in named:
        choices = [Choice(one, key, one.speaker.id in starred) for one in entries]
        first.choices.extend(one for one in choices if one.is_favourite)
        found.append(Group(key, name, [one for one in choices if not one.is_favourite]))
    return [group for group in found if group.choices]


def tiers(found: list[Group]) -> list[tuple[str, str]]:
    """The tiers to filter by, and their names, of groups that are shown."""
    there = {one.tier for group in found for one in group.choices}
    names = {group.tier: group.name for group in found}
    usual = {OWN: "Yours", **{str(tier.value): str(tier.label) for tier in VoiceType}}
    order = [*usual, *sorted(there - usual.keys())]
    return [(tier, names.get(tier, usual.get(tier, ""))) for tier in order if tier in there]
