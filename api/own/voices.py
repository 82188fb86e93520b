"""The voices: those of the house and one's own; a voice made of a recording, and deleted."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from ninja import Status
from ninja.files import UploadedFile
from ninja.params.functions import File, Form, Header

from api import recordings
from api.elevenlabs import voices
from api.failures import Failure
from billing import plans
from usage.speech import clone, consent, consents, copies
from usage.uploads import keep_in_memory
from usage.voiceprint import SAMPLE, SAMPLE_BYTES_MAX

from .api import Key, api
from .schemas import PROBLEMS, ConsentTerms, DeletedVoice, Voice, Voices

RECORDING: Any = File(
    ..., description=f"wav, mp3, ogg or flac, at most {SAMPLE_BYTES_MAX // 1_000_000} MB."
)
MAKE = f"""Of one recording of {SAMPLE.seconds[0]} seconds to 5 minutes, for
{plans.OWN_VOICE_CREDITS:,} credits: a copy where a speech server makes copies, else the voice of
ours that is nearest, which is one of that kind and not that person (`GET /v1/voice-consent` says
which). What cannot be made costs nothing. With an `Idempotency-Key` the same request again gives
the same voice at no cost."""


class UploadKey(Key):
    """As Key, where a recording comes: it is kept in memory, before anybody reads the form."""

    def __call__(self, request: Any) -> Any:
        keep_in_memory(request)
        return super().__call__(request)


@api.get(
    "/voices",
    auth=Key("read"),
    operation_id="listVoices",
    summary="The voices: those of the house, then one's own",
    response={200: Voices, **PROBLEMS},
)
def list_voices(request: Any) -> dict[str, Any]:
    return {"voices": [voices.shown(*each) for each in voices.listed(request.customer)]}


@api.get(
    "/voice-consent",
    auth=Key("read"),
    operation_id="getVoiceConsent",
    summary="What the speaker of a recording agrees to, and what a voice of it will be",
    response={200: ConsentTerms, **PROBLEMS},
)
def get_voice_consent(request: Any) -> dict[str, Any]:
    maker, sentence = copies.maker(), consent.sentence()
    return {
        "sentence": sentence,
        "sha256": consent.sha256(sentence),
        "recorded_alone": consent.phrase() or None,
        "to_read": consents.to_read(),
        "makes": clone.kind(),
        "maker": maker.label if maker else None,
        "credits": plans.OWN_VOICE_CREDITS,
    }


@api.post(
    "/voices",
    auth=UploadKey("voices"),
    operation_id="createVoice",
    summary="Make a voice of a recording",
    description=MAKE,
    response={201: Voice, 402: PROBLEMS[422], 413: PROBLEMS[422], **PROBLEMS},
)
def create_voice(
    request: Any,
    response: HttpResponse,
    name: str = Form(..., description="1 to 60 characters."),
    consent: str = Form(
        ...,
        description="The sentence of GET /v1/voice-consent, or its SHA-256, to which the speaker "
        "has agreed and which is read aloud in the recording; or the id of a recorded consent.",
    ),
    recording: UploadedFile = RECORDING,
    idempotency_key: str | None = Header(None, alias="Idempotency-Key"),
) -> Status[dict[str, Any]]:
    try:
        sample = recordings.one(request, "recording") or b""
    except recordings.Several as error:
        message = str(error)
        raise Failure(422, "refused", message, errors={"recording": [message]}) from None
    made = recordings.make(request, name=name, sample=sample, agreed=consent)
    for header, value in recordings.headers(made, request.now).items():
        response[header] = value
    speaker = voices.find(request.customer, str(made.voice.id))
    return Status(201, voices.shown(speaker, made.voice))


@api.get(
    "/voices/{voice_id}",
    auth=Key("read"),
    operation_id="getVoice",
    summary="One voice",
    response={200: Voice, **PROBLEMS},
)
def get_voice(request: Any, voice_id: str) -> dict[str, Any]:
    speaker = voices.find(request.customer, voice_id)
    return voices.shown(speaker, voices.row_of(request.customer, speaker), voice_id)


@api.delete(
    "/voices/{voice_id}",
    auth=Key("voices"),
    operation_id="deleteVoice",
    summary="Delete a voice of one's own, at once and for good",
    description="With what was computed of the recording, and its copy. Nothing is credited back.",
    response={200: DeletedVoice, **PROBLEMS},
)
def delete_voice(request: Any, voice_id: str) -> dict[str, Any]:
    speaker = voices.own(request.customer, voice_id)
    recordings.delete(request, speaker.id, request.now)
    return {"voice_id": speaker.id}
