"""A customer's texts as a library: found, named, put into folders, deleted.

What was deleted is not in it; its receipt stays on the site. Texts of programs are in it, too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from accounts import typed
from accounts.models import Customer
from usage.models import Folder, Generation
from usage.models.speech import GenerationQuerySet
from usage.text import FORBIDDEN

from .problems import Refused

PAGE = 25
TITLE_CHARACTERS_MAX = 120
SEARCH_CHARACTERS_MAX = 100
SEARCH_WORDS_MAX = 8
SEARCHED_MAX = 2_000  # texts that one request looks through


@dataclass(frozen=True, slots=True)
class Found:
    """A page of texts, newest first. `after` is the id that the next page begins after, if there is
    one; `searched_to`: so far back it was searched, and there are older texts."""

    rows: list[Generation]
    after: UUID | None
    searched_to: datetime | None = None


def of(customer: Customer) -> GenerationQuerySet:
    """Their texts, newest first."""
    rows = Generation.objects.filter(customer=customer, text_deleted_at=None)
    return rows.defer("body_hash").without_words().order_by("-created_at", "-id")


def find(
    customer: Customer, *, words: str = "", folder: Folder | None = None, after: str = ""
) -> Found:
    """The texts whose title or text has all these words, in any case, in the folder if there is one
    given; those after the text of this id.

    A search looks through SEARCHED_MAX texts at a time. Nothing is counted: one row more than shown
    tells whether there is more.
    """
    rows = of(customer)
    if folder:
        rows = rows.filter(folder=folder)
    if last := _place(customer, after):
        rows = _older(rows, last)
    try:
        wanted = _patterns(words)
    except typed.Unfit:
        return Found([], None)  # no text has so many accents
    horizon = None
    if wanted:
        places = rows.values_list("created_at", "id")
        horizon = next(iter(places[SEARCHED_MAX - 1 : SEARCHED_MAX]), None)
        if horizon:
            rows = rows.filter(created_at__gte=horizon[0])
    for pattern in wanted:
        rows = rows.filter(Q(title__iregex=pattern) | Q(text__iregex=pattern))
    found = list(rows[: PAGE + 1])
    if len(found) > PAGE:
        return Found(found[:PAGE], found[PAGE - 1].id)
    return Found(found, *((horizon[1], horizon[0]) if horizon else (None, None)))


def rename(*, customer: Customer, generation_id: UUID, title: str) -> None:
    """Give a text a title, or with "" none. Raises Refused."""
    title = checked(title, field="title", characters_max=TITLE_CHARACTERS_MAX)
    of(customer).filter(id=generation_id).update(title=title)


def move(*, customer: Customer, generation_ids: Iterable[UUID], folder: Folder | None) -> int:
    """Put texts into a folder, or with None into none. Returns how many there were."""
    rows = Generation.objects.filter(customer=customer, text_deleted_at=None)
    return rows.filter(id__in=list(generation_ids)[:PAGE]).update(folder=folder)


def checked(text: str, *, field: str, characters_max: int) -> str:
    """A name that somebody gives, in its one form. Raises Refused, for this field."""
    wrong = f"Write up to {characters_max} characters."
    try:
        text = typed.normalise(" ".join(text.split()), characters_max=characters_max)
    except typed.TooLong as error:
        raise Refused({field: [wrong]}) from error
    except typed.Unfit as error:
        raise Refused({field: [str(error)]}) from error
    if len(text) > characters_max:
        raise Refused({field: [wrong]})
    is_invisible = text and all(unicodedata.category(one)[0] in "CMZ" for one in text)
    if is_invisible or FORBIDDEN.search(text):
        raise Refused({field: ["There is an invisible character in this. Write it again."]})
    return text


def _patterns(words: str) -> list[str]:
    """The words of a search, in their one form, as regular expressions of both databases.

    SQLite's LIKE knows the case of ASCII letters only. Raises typed.Unfit.
    """
    words = words[:SEARCH_CHARACTERS_MAX].replace("\0", "")
    words = typed.normalise(words, characters_max=SEARCH_CHARACTERS_MAX)
    return [re.escape(word) for word in words.split()[:SEARCH_WORDS_MAX]]


def _place(customer: Customer, generation_id: str) -> Generation | None:
    try:
        return customer.generations.only("created_at").get(id=UUID(generation_id))
    except (ValueError, Generation.DoesNotExist):
        return None


def _older(rows: GenerationQuerySet, last: Generation) -> GenerationQuerySet:
    # The first bound lets the index find the place; the second settles rows of the same instant.
    return rows.filter(created_at__lte=last.created_at).filter(
        Q(created_at__lt=last.created_at) | Q(id__lt=last.id)
    )
