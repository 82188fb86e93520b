"""A sentence of a visitor's own, heard free: short, in a voice that speaks quickly, and not kept.

It never stands in the way of customers: one is spoken at a time in a process, none while a piece of
a customer's text waits for the same helpers, and never on somebody else's server.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from usage import audio
from usage import text as texts
from usage.engines import EngineFailed, NothingToSpeak, engine, statuses
from usage.engines.whole import speak_whole
from usage.models import VoiceType

from . import voices
from .problems import Refused, SpeechFailed

CHARACTERS_MAX = 200
DEADLINE_SECONDS = 20
FORMAT = "mp3"

_slot = threading.BoundedSemaphore(1)


class Busy(Exception):
    """The voices are needed for customers' texts, or by another visitor."""

    retry_after_seconds = 5

    def __init__(self) -> None:
        super().__init__("The voices are busy just now. Try again in a few seconds.")


def speakers() -> list[voices.Speaker]:
    """The voices of the house that speak such a sentence: standard ones, whose engine is quick."""
    return [
        speaker
        for speaker in voices.house()
        if speaker.type == VoiceType.STANDARD
        and not speaker.group
        and engine(speaker.engine).characters_a_second is None
    ]


def checked(text: str, voice_id: str) -> tuple[str, voices.Speaker]:
    """The text as it is spoken, and its voice. Raises Refused."""
    found = next((speaker for speaker in speakers() if speaker.id == voice_id), None)
    if found is None:
        raise Refused({"voice": ["Choose one of these voices."]})
    try:
        text = texts.check(text)
    except texts.TextRefused as error:
        raise Refused({"text": [str(error)]}) from error
    if len(text) > CHARACTERS_MAX:
        message = (
            f"A free sentence has up to {CHARACTERS_MAX} characters; this has {len(text):,}. "
            f"With an account it is up to {texts.LONG_MAX_CHARACTERS:,}."
        )
        raise Refused({"text": [message]})
    if refusal := found.refusal(text):
        raise Refused({"text": [refusal]})
    return text, found


@contextmanager
def place() -> Iterator[None]:
    """The right to speak one sentence now. Waits for nobody: raises Busy."""
    if any(status.waiting for status in statuses().values()) or not _slot.acquire(blocking=False):
        raise Busy
    try:
        yield
    finally:
        _slot.release()


def spoken(text: str, speaker: voices.Speaker) -> bytes:
    """What `checked` returned, as mp3. Raises Refused and SpeechFailed."""
    try:
        speech = speak_whole(
            engine(speaker.engine),
            text,
            settings=speaker.settings,
            language=speaker.language,
            deadline_seconds=DEADLINE_SECONDS,
        )
    except NothingToSpeak as error:
        raise Refused({"text": [str(error)]}) from error
    except EngineFailed as error:
        if error.permanent:
            raise Refused({"text": [str(error)]}) from error
        raise SpeechFailed(str(error)) from error
    encoder = audio.encoder(FORMAT, sample_rate=speech.sample_rate)
    try:
        return encoder.feed(speech.samples) + encoder.finish()
    finally:
        encoder.close()
