"""Copies of customers' voices at the speech server that makes them, if one is set (`clones=`).

The recording goes there with the consent that is read aloud in it. The row of a copy is written
before the server is asked, and the copy has its id in its name there: what a killed process or a
lost answer has left is found by it. What nobody wants any more is deleted there by a job, which
tries for days and then needs a person.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet

from jobs.errors import Rejected, Unavailable
from jobs.models import due
from jobs.worker import RowJob
from usage.engines import remote
from usage.engines.remote.clones import (
    CONSENT_SECONDS,
    VOICE_SECONDS,
    Clones,
    Kind,
    media_type,
)
from usage.engines.remote.configuration import OPENAI, SpeechServer
from usage.engines.remote.failures import (
    Busy,
    Misconfigured,
    ServerFailed,
    TimedOut,
    Unreachable,
)
from usage.engines.remote.failures import Refused as ServerRefuses
from usage.models import Voice, VoiceCopy, VoiceMatch

from .problems import Refused, UnknownMatch

logger = logging.getLogger(__name__)

ENGINE = "remote"
QUEUE = "speech"
LANGUAGE = "en"  # of the sentence that is read aloud
# Twice the time-outs: a slow upload may use each of them anew.
SECONDS_MAX = 2 * (CONSENT_SECONDS + VOICE_SECONDS)
HEARD_MAX = 20  # how often a copy is listened to free before it is kept
OPENAI_SECONDS_MAX = 30  # of a sample for OpenAI's own service
# A server that was too slow to answer is done by then with what it was asked to make.
LOST_SECONDS = 600
PENDING_SECONDS = 60
PAUSE_SECONDS = 300


class CopyFailed(Exception):
    """There is no copy. The message says why, in words for the customer.

    `is_of_recording`: it is this recording; with another one there may be a copy.
    """

    def __init__(self, words: str, *, is_of_recording: bool) -> None:
        super().__init__(words)
        self.is_of_recording = is_of_recording


def maker() -> SpeechServer | None:
    """The server that makes copies; None if none is set."""
    return remote.cloner()


def prepare(match: VoiceMatch, server: SpeechServer, now: datetime) -> VoiceCopy:
    """The row of a copy that is about to be made. A worker looks at it once no process can be at
    it any more.
    """
    return VoiceCopy.objects.create(
        match=match,
        server=server.url,
        label=server.label,
        group=server.group,
        created_at=now,
        **due(now + timedelta(seconds=LOST_SECONDS)),
    )


def make(copy: VoiceCopy, sample: bytes, *, consented: bytes, seconds: float) -> None:
    """Have the server make it, outside any transaction. `consented` is the recording of the
    consent; `seconds` is the length of the sample, 0 if not known.

    Raises CopyFailed, whose words the row has, too.
    """
    if not (media_type(sample) and media_type(consented)):
        words = f"{copy.label} does not take files like this one. Send a wav or mp3."
        raise _failed(copy, words, is_of_recording=True)
    if (server := remote.server_at(copy.server)) is None:
        raise _failed(copy, f"{copy.label} cannot be reached just now.")
    if server.clones == OPENAI and seconds > OPENAI_SECONDS_MAX:
        words = f"it takes samples of at most {OPENAI_SECONDS_MAX} seconds"
        words = f"{copy.label} does not take this recording: {words}."
        raise _failed(copy, words, is_of_recording=True)
    try:
        with Clones(server) as clones:
            _note(copy, asking=VoiceCopy.Asking.CONSENT)
            consent_id = clones.give_consent(
                name=copy.name, language=LANGUAGE, recording=consented, key=f"{copy.name}-consent"
            )
            # A worker may have thought this process gone, and be done with the row.
            _note(copy, asking=VoiceCopy.Asking.VOICE, consent_id=consent_id, deleted_at=None)
            voice_id = clones.make_voice(
                name=copy.name, consent_id=consent_id, sample=sample, key=f"{copy.name}-voice"
            )
            _note(copy, asking=VoiceCopy.Asking.NOTHING, voice_id=voice_id, deleted_at=None)
    except (ServerFailed, ServerRefuses) as error:
        # A refusal may quote what somebody has said in the recording.
        is_refused = isinstance(error, ServerRefuses)
        why = "refused" if is_refused else error
        logger.warning("no voice copy %s at %s: %s", copy.id, server.name, why)
        if not getattr(error, "may_be_billed", False):
            _note(copy, asking=VoiceCopy.Asking.NOTHING)
        words = _in_words(server.label, error)
        raise _failed(copy, words, is_of_recording=is_refused) from error


def settings_of(match: VoiceMatch) -> dict[str, Any]:
    """The engine's settings for the copy of a match. Raises UnknownMatch."""
    copy = VoiceCopy.objects.filter(match=match, deleted_at=None).exclude(voice_id="").first()
    if copy is None:
        raise UnknownMatch
    return {"voice": copy.voice_id, "group": copy.group, "copy": True}


def count_hearing(match: VoiceMatch) -> None:
    """Before a copy is listened to free: each time its server speaks. Raises Refused when it was
    heard HEARD_MAX times.
    """
    copies = VoiceCopy.objects.filter(match=match, heard__lt=HEARD_MAX)
    if not copies.update(heard=F("heard") + 1):
        words = f"You have heard this copy {HEARD_MAX} times. Keep it, or send another sample."
        raise Refused({"candidate": [words]})


def let_go(match_id: UUID, now: datetime) -> None:
    """What there is of the match at the server is wanted no more, unless a voice was made of it. A
    worker deletes it there.
    """
    _due(VoiceCopy.objects.filter(match=match_id), now)


def forget(match_id: UUID, now: datetime) -> None:
    """The same, and what the server said of the recording is forgotten: the row may outlive it."""
    VoiceCopy.objects.filter(match=match_id).update(failure="")
    let_go(match_id, now)


def let_go_of(copy: VoiceCopy, now: datetime) -> None:
    """The same for one whose match may be forgotten already."""
    _due(VoiceCopy.objects.filter(id=copy.id), now)


def _due(copies: QuerySet[VoiceCopy], now: datetime) -> None:
    rows: Any = copies.filter(deleted_at=None)
    rows.run_now(now)


def failure_of(match: VoiceMatch) -> str:
    """Why the match has no copy, in words for the customer; "" if it has one, or none was tried."""
    failures = VoiceCopy.objects.filter(match=match).values_list("failure", flat=True)
    return failures.first() or ""


def being_deleted(match_id: UUID) -> str:
    """The label of the server that still has to delete its copy of the match; "" if none has."""
    open_ = VoiceCopy.objects.filter(match=match_id, deleted_at=None, due_at__isnull=False)
    return open_.values_list("label", flat=True).first() or ""


def deleted_by_hand(copy: VoiceCopy, now: datetime) -> bool:
    """A person has deleted it at the server. Returns whether the row was waiting for one."""
    rows: Any = VoiceCopy.objects.dead().filter(id=copy.id, deleted_at=None)
    return bool(rows.cancel(**_gone(now)))


def delete_copies(copy: VoiceCopy, now: datetime) -> datetime | None:
    """Delete at its server what nobody wants any more. Twice is as once.

    Raises Unavailable, and Rejected if a person has to see to it.
    """
    if copy.deleted_at or _is_wanted(copy):
        return None
    if copy.match and copy.match.state == VoiceMatch.State.PENDING:
        return now + timedelta(seconds=PENDING_SECONDS)
    found_at = copy.created_at + timedelta(seconds=LOST_SECONDS)
    if copy.asking and now < found_at:
        return found_at
    _delete_there(copy)
    as_it_was = VoiceCopy.objects.filter(
        id=copy.id, asking=copy.asking, consent_id=copy.consent_id, voice_id=copy.voice_id
    )
    # If not: a process thought to be gone has had its answer after all.
    return None if as_it_was.update(**_gone(now)) else now


def _gone(now: datetime) -> dict[str, Any]:
    nothing = VoiceCopy.Asking.NOTHING
    return {"deleted_at": now, "asking": nothing, "consent_id": "", "voice_id": ""}


def _is_wanted(copy: VoiceCopy) -> bool:
    if copy.match is None or copy.failure:
        return False
    if copy.match.state == VoiceMatch.State.KEPT:
        return copy.match.voices.filter(engine=ENGINE, state=Voice.State.READY).exists()
    return copy.match.state == VoiceMatch.State.READY


def _delete_there(copy: VoiceCopy) -> None:
    if not (copy.voice_id or copy.consent_id or copy.asking):
        return
    server = remote.server_at(copy.server)
    if server is None:
        raise Rejected(
            f"SPEECH_SERVERS has no server at {copy.server} any more. Put it back and retry, or "
            f"delete there what is named {copy.name}, and press Deleted by hand."
        )
    try:
        with Clones(server) as clones:
            for kind, id_ in _kept_there(copy, clones):
                clones.delete(kind, id_)
    except ServerRefuses as error:
        raise Rejected(f"{server.name}: {error}") from error
    except ServerFailed as error:
        words = f"{server.name}: {error}"
        if isinstance(error, Misconfigured):
            raise Unavailable(words, pause_seconds=PAUSE_SECONDS) from error
        raise Unavailable(words, retry_after_seconds=error.wait_seconds or 0) from error


def _kept_there(copy: VoiceCopy, clones: Clones) -> Iterator[tuple[Kind, str]]:
    """What is known first, then what has to be looked for."""
    if copy.voice_id:
        yield Kind.VOICE, copy.voice_id
    if copy.consent_id:
        yield Kind.CONSENT, copy.consent_id
    if copy.asking:
        kind = Kind.VOICE if copy.asking == VoiceCopy.Asking.VOICE else Kind.CONSENT
        found = clones.named(kind, copy.name)
        if found is None:
            raise Rejected(
                f"{clones.server.name} does not list its {kind}, and may have one more. Look there "
                f"for the name {copy.name}, delete it, and press Deleted by hand."
            )
        yield from ((kind, id_) for id_ in found)


def _note(copy: VoiceCopy, **fields: Any) -> None:
    VoiceCopy.objects.filter(id=copy.id).update(**fields)
    for name, value in fields.items():
        setattr(copy, name, value)


def _failed(copy: VoiceCopy, words: str, *, is_of_recording: bool = False) -> CopyFailed:
    _note(copy, failure=words)
    return CopyFailed(words, is_of_recording=is_of_recording)


def _in_words(label: str, error: Exception) -> str:
    match error:
        case ServerRefuses(said=said):
            return f"{label} does not take this recording" + (f": “{said}”" if said else ".")
        case Unreachable():
            return f"{label} cannot be reached just now."
        case TimedOut():
            return f"{label} did not answer in time."
        case Busy():
            return f"{label} has too much to do just now."
    return f"{label} cannot make copies just now."


DELETE_COPIES = RowJob("copies.delete", VoiceCopy, delete_copies, lease_seconds=300, queue=QUEUE)
