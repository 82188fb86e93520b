"""A customer's pronunciation dictionary: written words, and how they are to be said.

What applies to a text is copied into `Generation.manner` when it is first asked for. So an attempt
that takes the generation over says the same, whatever the dictionary says by then. The price is
that of the written text.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction

from accounts import typed
from accounts.models import Customer
from usage.engines import EngineFailed, NothingToSpeak, engine
from usage.engines.whole import Speech, speak_whole
from usage.models import Pronunciation
from usage.text import FORBIDDEN, ipa, is_audible, pronunciations

from .problems import Refused, SpeechFailed
from .voices import Speaker

ENTRIES_MAX = 500  # of a customer
CHARACTERS_MAX = 60  # of the written word, and of what is said for it
GROWTH_CHARACTERS = 60  # a text may always be said so much longer than it is written; see `of`
PREVIEW_SECONDS = 20  # the longest a request waits for a preview
CARRIER = "Listen: {word}. Once more: {word}."


def of(customer: Customer, text: str, speaker: Speaker) -> dict[str, str]:
    """The customer's entries that apply to this normalised text.

    Raises Refused, for the text, if the voice cannot say one of them, or if they make the text more
    than twice as long: the price is for the written one.
    """
    entries = dict(customer.pronunciations.values_list("written", "spoken"))
    found = pronunciations.applicable(text, entries) if entries else {}
    for written, spoken in found.items():
        if not pronunciations.ipa_of(spoken) and (refusal := speaker.refusal(spoken)):
            raise Refused({"text": [f"Your pronunciation of {written}: {refusal}"]})
    if pronunciations.growth(text, found) > max(len(text), GROWTH_CHARACTERS):
        message = "Your pronunciations make this text more than twice as long. Shorten them."
        raise Refused({"text": [message]})
    return found


def save(
    customer: Customer, written: str, spoken: str, *, entry: Pronunciation | None = None
) -> Pronunciation:
    """Add an entry, or change this one. Raises Refused, by field."""
    written, spoken = checked(written, spoken)
    entry = entry or Pronunciation(customer=customer)
    entry.written, entry.spoken = written, spoken
    try:
        with transaction.atomic():
            # One at a time, so that no two make the last one.
            Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
            if entry.pk is None and customer.pronunciations.count() >= ENTRIES_MAX:
                message = f"You have {ENTRIES_MAX} words, and more are not possible. Delete some."
                raise Refused({"written": [message]})
            entry.save()
    except IntegrityError as error:
        message = f"There is an entry for {written} already. Change that one."
        raise Refused({"written": [message]}) from error
    return entry


def checked(written: str, spoken: str) -> tuple[str, str]:
    """Both in their one form. Raises Refused, by field."""
    errors: dict[str, list[str]] = {}
    forms = []
    for field, check, text in (
        ("written", _check_written, written),
        ("spoken", _check_spoken, spoken),
    ):
        try:
            form = _normalised(text)
            check(form)
            forms.append(form)
        except ValueError as error:
            errors[field] = [str(error)]
    if errors:
        raise Refused(errors)
    return forms[0], forms[1]


def preview(written: str, spoken: str, speaker: Speaker) -> Speech:
    """The word in a short sentence, which is fixed so that listening can be free.

    Raises Refused or SpeechFailed.
    """
    written, spoken = checked(written, spoken)
    if refusal := speaker.refusal(written) or (
        "" if pronunciations.ipa_of(spoken) else speaker.refusal(spoken)
    ):
        raise Refused({"spoken": [refusal]})
    try:
        return speak_whole(
            engine(speaker.engine),
            CARRIER.format(word=written),
            settings=speaker.settings,
            language=speaker.language,
            pronunciations={written: spoken},
            deadline_seconds=PREVIEW_SECONDS,
        )
    except (EngineFailed, NothingToSpeak) as error:
        raise SpeechFailed(str(error)) from error


def _normalised(text: str) -> str:
    """Raises ValueError, in words for the customer."""
    wrong = f"Write 1 to {CHARACTERS_MAX} characters."
    try:
        text = typed.normalise(" ".join(text.split()), characters_max=CHARACTERS_MAX)
    except typed.TooLong as error:
        raise ValueError(wrong) from error
    if not text or len(text) > CHARACTERS_MAX:
        raise ValueError(wrong)
    if FORBIDDEN.search(text) or not text.isprintable():
        raise ValueError("There is an invisible character in this. Write it again.")
    return text


def _check_written(written: str) -> None:
    if not any(map(is_audible, written)):
        raise ValueError("Write a word: at least one letter or digit.")


def _check_spoken(spoken: str) -> None:
    if sounds := pronunciations.ipa_of(spoken):
        if unknown := ipa.unknown(sounds):
            raise ValueError(
                f"English has no sound for these signs: {' '.join(unknown)}. Use the nearest ones."
            )
        if not ipa.is_audible(sounds):
            raise ValueError("There is no sound in this. Write at least one.")
    elif spoken[0] == "/" or spoken[-1] == "/":
        raise ValueError("IPA stands between two slashes, and has none in it: /ˈbɛɹɡən/.")
    elif not pronunciations.said(spoken):
        raise ValueError("There is nothing to say in this. Write at least one letter or digit.")
