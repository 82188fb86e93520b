"""The draft in the studio: what a customer was writing, the same after a reload and elsewhere.

It is kept beside the work with money and never in it: a draft that could not be saved stops no
text from being spoken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError, transaction

from accounts.models import Customer
from usage.models import Draft

from . import manner as manners
from .problems import Refused
from .voices import ID_CHARACTERS_MAX

# Of its text; more than can be spoken at once, so that one can shorten it.
CHARACTERS_MAX = 120_000
FIELD_CHARACTERS_MAX = 20  # of a field of the manner, as it is typed


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in the form: the text, the id of the voice, the fields of the manner."""

    text: str
    voice: str = ""
    manner: Mapping[str, str] = field(default_factory=dict)


class DraftChanged(Exception):
    """Another page has saved since: `draft` is what is kept."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(
            "This draft was changed in another tab or on another device. Choose which text to keep."
        )
        self.draft = draft


def typed(fields: Mapping[str, str]) -> Typed:
    """What these fields of the form say. What cannot be stored of it is left out."""
    manner = {name: fields.get(name, "")[:FIELD_CHARACTERS_MAX] for name in manners.FIELDS}
    voice = fields.get("voice", "")
    return Typed(
        fields.get("text", "").replace("\r\n", "\n").replace("\0", ""),
        voice.replace("\0", "") if len(voice) <= ID_CHARACTERS_MAX else "",
        {name: value.replace("\0", "") for name, value in manner.items() if value},
    )


def of(customer: Customer) -> Draft:
    """The customer's draft; an empty one of version 0, not saved, if there is none."""
    return Draft.objects.filter(customer=customer).first() or Draft(customer=customer, version=0)


def save(
    *, customer: Customer, typed: Typed, version: int, now: datetime, replaces: bool = False
) -> Draft:
    """Keep what was typed, by somebody who has seen this version. Twice is as once.

    `replaces`: it is another text than the one kept so far, which becomes the former text.
    Raises Refused if it is too long, DraftChanged.
    """
    _check(typed)
    draft = of(customer)
    if draft.version and _says(draft, typed):
        return draft
    former = draft.former_text
    if replaces and draft.text.strip() and draft.text != typed.text:
        former = draft.text
    return _write(draft, typed, former, version, now)


def restore(*, customer: Customer, typed: Typed, version: int, now: datetime) -> Draft:
    """Bring the former text back; what was typed takes its place. Nothing without a former one.

    Raises Refused, DraftChanged.
    """
    _check(typed)
    draft = of(customer)
    if not draft.former_text:
        return draft
    back = Typed(draft.former_text, typed.voice, typed.manner)
    return _write(draft, back, typed.text, version, now)


def _check(typed: Typed) -> None:
    if len(typed.text) > CHARACTERS_MAX:
        raise Refused(
            {
                "text": [
                    f"A draft is kept up to {CHARACTERS_MAX:,} characters; this has "
                    f"{len(typed.text):,}. Shorten it, or keep it elsewhere."
                ]
            }
        )


def _says(draft: Draft, typed: Typed) -> bool:
    return (draft.text, draft.voice, draft.manner) == (typed.text, typed.voice, dict(typed.manner))


def _write(draft: Draft, typed: Typed, former: str, version: int, now: datetime) -> Draft:
    """Write it if the draft still has the version seen. `draft` was read a moment ago."""
    written = {
        "text": typed.text,
        "voice": typed.voice,
        "manner": dict(typed.manner),
        "former_text": former,
        "version": version + 1,
        "changed_at": now,
    }
    is_written = False
    if draft.version == version:
        if version:
            rows = Draft.objects.filter(customer=draft.customer, version=version)
            is_written = bool(rows.update(**written))
        else:
            is_written = _create(draft.customer, written)
    if not is_written:
        raise DraftChanged(of(draft.customer))
    for name, value in written.items():
        setattr(draft, name, value)
    return draft


def _create(customer: Customer, written: dict[str, object]) -> bool:
    """False if another page was first."""
    try:
        with transaction.atomic():
            Draft.objects.create(customer=customer, **written)
    except IntegrityError:
        return False
    return True
