"""Audio files in the default file storage, of generations and samples of voices: stored and opened
here only.

What is stored is FLAC: lossless, and half the size of the samples. What is delivered is made of it
(`encoded`).

A file may be lost while its row lives on: deleted by hand, left out of a backup, unreadable after a
move. So everything that opens one is told so by an exception and never by an error of the storage.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage

from usage import audio as sound
from usage.engines import WAV
from usage.engines.whole import Speech
from usage.models import Generation

from .problems import AudioDeleted, AudioLost, AudioUnreachable, SpeechFailed, TextDeleted

logger = logging.getLogger(__name__)

FLAC = sound.FORMATS["flac"].content_type
EXTENSIONS = {FLAC: "flac", WAV: "wav"}  # by content type; WAV was stored before FLAC
# These do not pass by themselves. A file without permission belongs to them: nobody gets at it
# until a person acts.
GONE = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    SuspiciousFileOperation,
)


def name_for(generation: Generation, *, began_at: datetime | None = None) -> str:
    """The name its audio is stored under.

    Each attempt has its own, known before it begins: so what a killed process stored can be found
    and deleted. By default it is the attempt of `taken_at`.
    """
    attempt = int((began_at or generation.taken_at).timestamp() * 1_000)
    extension = EXTENSIONS[generation.content_type]
    return f"{generation.customer_id}/{generation.id}-{attempt:x}.{extension}"


def download_name(generation: Generation, extension: str) -> str:
    return f"vocalis-{generation.id}.{extension}"


def name_in(generation: Generation, lease: str, part: int | None = None) -> str:
    """The name of a part, or of the whole, that a worker stores under its lease: no other has it.

    Who writes it keeps it in the row first.
    """
    number = "" if part is None else f"-{part}"
    return f"{generation.customer_id}/{generation.id}-{lease}{number}.flac"


def store(
    generation: Generation, speech: Speech, name: str = "", *, began_at: datetime | None = None
) -> str:
    """Store what was spoken and return the name it got. Raises SpeechFailed."""
    try:
        data = sound.stored(speech.samples, speech.sample_rate)
        name = name or name_for(generation, began_at=began_at)
        return default_storage.save(name, ContentFile(data))
    except OSError as error:
        logger.exception("the audio of generation %s could not be stored", generation.id)
        raise SpeechFailed("The audio could not be stored. Try again in a moment.") from error


def store_pieces(pieces: Iterable[bytes], sample_rate: int, name: str) -> tuple[str, int]:
    """Store samples that come piece by piece, as one file of that name; never all are in memory.

    Returns the name it got, and how many samples there were. Raises SpeechFailed, and what `pieces`
    raises.
    """
    try:
        with tempfile.TemporaryFile() as file:  # without a name: no killed process leaves it
            count = sound.store(pieces, sample_rate, file)
            file.seek(0)
            return default_storage.save(name, File(file)), count
    except OSError as error:
        logger.exception("the audio %s could not be stored", name)
        raise SpeechFailed("The audio could not be stored. Try again in a moment.") from error


def open_audio(generation: Generation) -> Any:
    """The stored file, open for reading.

    Raises AudioLost (AudioDeleted among it), or AudioUnreachable where the storage may come back.
    """
    if generation.text_deleted_at:
        raise TextDeleted(generation.text_deleted_at)
    again_id = None if generation.credit_back_id else generation.id
    if generation.audio_deleted_at:
        raise AudioDeleted(generation.audio_deleted_at, again_id)
    try:
        if not generation.audio:
            raise FileNotFoundError("no audio is stored")
        return default_storage.open(generation.audio)
    except GONE as error:
        logger.warning("the audio of generation %s is lost: %s", generation.id, error)
        raise AudioLost(again_id) from error
    except OSError as error:
        logger.exception("the audio of generation %s cannot be read", generation.id)
        raise AudioUnreachable from error


def open_samples(generation: Generation) -> sound.Reader:
    """The samples of the stored file, to be read in a `with`. Raises as `open_audio` does."""
    again_id = None if generation.credit_back_id else generation.id
    file = open_audio(generation)
    try:
        return sound.Reader(file, is_owner=True)
    except sound.SoundBroken as error:
        file.close()
        raise AudioLost(again_id) from error
    except OSError as error:
        file.close()
        raise AudioUnreachable from error


def open_whole(generation: Generation) -> sound.Reader:
    """As `open_samples`, and read to its end once: so damage is told before any of it is sent."""
    with ExitStack() as held:
        samples = held.enter_context(open_samples(generation))
        try:
            for _ in samples:
                pass
        except sound.SoundBroken as error:
            logger.error("the audio of generation %s is broken: %s", generation.id, error)
            raise AudioLost(None if generation.credit_back_id else generation.id) from error
        except OSError as error:
            raise AudioUnreachable from error
        held.pop_all()
    return samples


def open_stored(name: str) -> Any:
    """A stored file, open for reading. Raises AudioLost and AudioUnreachable."""
    try:
        return default_storage.open(name)
    except GONE as error:
        raise AudioLost from error
    except OSError as error:
        raise AudioUnreachable from error


def read_part(name: str) -> tuple[int, bytes]:
    """Sample rate and samples of a part.

    Raises AudioLost, or AudioUnreachable where the storage may come back.
    """
    try:
        opened: Any = default_storage.open(name)
        with opened, sound.decode(opened) as reader:
            return reader.sample_rate, b"".join(reader)
    except (*GONE, sound.SoundBroken) as error:
        raise AudioLost from error
    except OSError as error:
        raise AudioUnreachable from error


def check(generation: Generation) -> None:
    """Raises what `open_audio` raises.

    Opening finds out what asking for existence does not: a file nobody may read.
    """
    open_audio(generation).close()


def is_whole(generation: Generation) -> bool:
    """Whether the audio is there and can be read to its end. Raises AudioUnreachable."""
    try:
        with open_audio(generation) as file, sound.Reader(file) as samples:
            for _ in samples:
                pass
    except (AudioLost, sound.SoundBroken):
        return False
    except OSError as error:
        logger.exception("the audio of generation %s cannot be read", generation.id)
        raise AudioUnreachable from error
    return True


def mark_lost(generations: Iterable[Generation]) -> None:
    """Set `is_audio_lost` on those of a page whose audio is lost, or deleted after its time.

    That is one look at the storage for each that is finished and not deleted.

    When the storage does not answer the rest are taken to be there, so that a page waits for it
    once.
    """
    for generation in generations:
        if generation.state == Generation.State.DONE:
            try:
                check(generation)
            except AudioLost:
                generation.is_audio_lost = True
            except AudioUnreachable:
                return


def remove(name: str) -> None:
    """Delete a stored file. Raises OSError: then it may still be there."""
    try:
        default_storage.delete(name)
    except SuspiciousFileOperation:
        logger.warning("no file of ours can be named %r", name)


def delete(name: str) -> None:
    """Delete what an attempt that came to nothing has stored, if anything.

    A failure leaves a file nobody refers to.
    """
    try:
        default_storage.delete(name)
    except OSError:
        logger.exception("the orphan audio %s could not be deleted", name)


def store_sample(name: str, sample: bytes) -> None:
    """Store somebody's recording of their voice under that name. Raises SpeechFailed."""
    try:
        default_storage.save(name, ContentFile(sample))
    except OSError as error:
        logger.exception("the sample %s could not be stored", name)
        raise SpeechFailed("The sample could not be stored. Try again in a moment.") from error


def open_sample(name: str) -> Any:
    """The stored sample, open for reading. Raises AudioUnreachable."""
    try:
        return default_storage.open(name)
    except OSError as error:
        logger.exception("the sample %s cannot be read", name)
        raise AudioUnreachable from error


def has_sample(name: str) -> bool:
    """Whether the sample is stored. Raises AudioUnreachable."""
    try:
        return default_storage.exists(name)
    except OSError as error:
        logger.exception("the sample %s cannot be looked for", name)
        raise AudioUnreachable from error


def delete_sample(name: str) -> None:
    """Delete a stored sample; nothing if there is none. Raises OSError."""
    default_storage.delete(name)
