"""The addresses of the history: what was spoken, its audio, and how a customer has it deleted.

An item is a finished text whose audio is there. Once the audio is deleted, by its customer or
because its time was over, the receipt stays on the site and the item is listed no more.
"""

from __future__ import annotations

import shutil
import uuid
import zipfile
from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import IO, Any

from django.db.models import Q, QuerySet
from django.http import FileResponse, HttpRequest, HttpResponseBase, JsonResponse

from api import audio as answers
from api.access import ApiRequest, endpoint
from api.failures import Failure
from usage import audio as sound
from usage.models import Generation, Voice
from usage.speech import audio, encoded, retention, voices
from usage.speech.problems import UnknownVoice

from . import aliases, bodies, errors, formats, models
from .errors import MISSING, invalid
from .voices import PREMADE, category

PAGE, PAGE_MAX = 100, 1_000
DOWNLOADS_MAX = 100  # of one file
STORAGE_RETRY_SECONDS = 30
# What a download can hold, by their word.
DOWNLOADS = {"default": "mp3", "mp3": "mp3", "wav": "wav"}


@endpoint(errors.answer, "read", "GET")
def listed(request: ApiRequest) -> HttpResponseBase:
    """A page of items, newest first unless the oldest are asked for."""
    size = bodies.number(request, "page_size", PAGE, 1, PAGE_MAX)
    is_up = bodies.choice(request, "sort_direction", "desc", ("asc", "desc")) == "asc"
    rows = _after(request, _filtered(request), is_up).defer("words")
    rows = rows.order_by("created_at", "id") if is_up else rows.order_by("-created_at", "-id")
    # One more than is shown tells whether there is more; nothing is counted.
    found = list(rows[: size + 1])
    page = _shown_all(request, found[:size])
    return JsonResponse(
        {
            "history": page,
            "last_history_item_id": page[-1]["history_item_id"] if page else None,
            "has_more": len(found) > size,
            "scanned_until": None,
        }
    )


def item(request: HttpRequest, item_id: str) -> HttpResponseBase:
    """One item: looked at by keys that may read, deleted by those that may make speech."""
    return (_delete if request.method == "DELETE" else _look)(request, item_id)


item.csrf_exempt = True  # type: ignore[attr-defined]  # both are


@endpoint(errors.answer, "read", "GET", "DELETE")
def _look(request: ApiRequest, item_id: str) -> HttpResponseBase:
    return JsonResponse(_shown_all(request, [_item(request, item_id)])[0])


@endpoint(errors.answer, "speech", "GET", "DELETE")
def _delete(request: ApiRequest, item_id: str) -> HttpResponseBase:
    try:
        retention.delete_asked(_item(request, item_id), request.now)
    except OSError as error:
        raise Failure(
            503,
            "audio_unreachable",
            "The audio cannot be deleted just now. Try again in a moment.",
            retry_after_seconds=STORAGE_RETRY_SECONDS,
        ) from error
    return JsonResponse({"status": "ok"})


@endpoint(errors.answer, "read", "GET")
def item_audio(request: ApiRequest, item_id: str) -> HttpResponseBase:
    """The audio of an item, as MP3."""
    generation = _item(request, item_id)
    return answers.response(generation, formats.output(None), {"history-item-id": item_id})


@endpoint(errors.answer, "read", "POST")
def download(request: ApiRequest) -> HttpResponseBase:
    """One item as a file of sound, several as a ZIP of them."""
    body = bodies.json_object(request)
    ids = body.get("history_item_ids")
    if ids is None:
        raise invalid("history_item_ids", MISSING)
    if not isinstance(ids, list) or not 1 <= len(ids) <= DOWNLOADS_MAX:
        raise invalid("history_item_ids", f"This must be a list of 1 to {DOWNLOADS_MAX} ids.")
    name = body.get("output_format") or "default"
    if not isinstance(name, str) or name not in DOWNLOADS:
        raise invalid("output_format", f"Choose one of {', '.join(DOWNLOADS)}.")
    form = sound.FORMATS[DOWNLOADS[name]]
    items = [_item(request, each) for each in dict.fromkeys(map(str, ids))]
    if len(items) == 1:
        return FileResponse(
            encoded.open_encoded(items[0], form.name),
            content_type=form.content_type,
            filename=audio.download_name(items[0], form.extension),
            as_attachment=True,
        )
    return FileResponse(
        _zipped(items, form),
        content_type="application/zip",
        filename="vocalis-history.zip",
        as_attachment=True,
    )


def _zipped(items: Iterable[Generation], form: sound.Format) -> IO[bytes]:
    """A temporary file, which goes when it is closed. Sound is not compressed twice."""
    target = TemporaryFile()  # noqa: SIM115  the response closes it
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for each in items:
            with encoded.open_encoded(each, form.name) as source:
                at = each.finished_at or each.created_at
                name = audio.download_name(each, form.extension)
                with archive.open(zipfile.ZipInfo(name, at.timetuple()[:6]), "w") as file:
                    shutil.copyfileobj(source, file)
    target.seek(0)
    return target


def _items(request: ApiRequest) -> QuerySet[Generation]:
    return request.customer.generations.filter(
        state=Generation.State.DONE, audio_deleted_at=None
    ).exclude(audio="")


def _item(request: ApiRequest, item_id: str) -> Generation:
    """The item of that id. Raises Failure."""
    try:
        return _items(request).get(id=uuid.UUID(item_id))
    except (ValueError, Generation.DoesNotExist):
        raise Failure(
            404,
            "history_item_not_found",
            "There is no such item in your history, or its audio was deleted.",
        ) from None


def _filtered(request: ApiRequest) -> QuerySet[Generation]:
    """The items that the query asks for. All models are one to us, and all speech is of texts."""
    rows = _items(request)
    if voice_id := request.GET.get("voice_id"):
        rows = rows.filter(voice__in=_ours(request, voice_id))
    if before := bodies.moment(request, "date_before_unix"):
        rows = rows.filter(created_at__lt=before)
    if after := bodies.moment(request, "date_after_unix"):
        rows = rows.filter(created_at__gte=after)
    if words := request.GET.get("search", "").replace("\0", ""):
        rows = rows.filter(Q(text__icontains=words) | Q(voice_name__icontains=words))
    if request.GET.get("source", "TTS") not in ("", "TTS"):
        return rows.none()
    return rows


def _ours(request: ApiRequest, voice_id: str) -> set[str]:
    """Our ids of a voice, which may be gone by now: of one of theirs all that it may mean."""
    try:
        return {voices.resolve(request.customer, voice_id).id}
    except UnknownVoice:
        alias = aliases.find(voice_id)
        return alias.ours if alias else {voice_id.replace("\0", "")}


def _after(request: ApiRequest, rows: QuerySet[Generation], is_up: bool) -> QuerySet[Generation]:
    """The items after the one that a page ended with."""
    if not (last_id := request.GET.get("start_after_history_item_id")):
        return rows
    try:
        last = request.customer.generations.only("created_at").get(id=uuid.UUID(last_id))
    except (ValueError, Generation.DoesNotExist):
        message = "There is no such item in your history."
        raise invalid("query/start_after_history_item_id", message) from None
    # The first bound lets the index find the place; the second settles rows of the same instant.
    if is_up:
        return rows.filter(created_at__gte=last.created_at).filter(
            Q(created_at__gt=last.created_at) | Q(id__gt=last.id)
        )
    return rows.filter(created_at__lte=last.created_at).filter(
        Q(created_at__lt=last.created_at) | Q(id__lt=last.id)
    )


def _shown_all(request: ApiRequest, rows: list[Generation]) -> list[dict[str, Any]]:
    """Items as their clients read them."""
    own = {str(row.id): row for row in Voice.objects.filter(customer=request.customer)}
    mp3 = formats.output(None)
    return [
        {
            "history_item_id": str(row.id),
            "request_id": str(row.id),
            "voice_id": row.voice,
            "voice_name": row.voice_name,
            "voice_category": category(own[row.voice]) if row.voice in own else PREMADE,
            "model_id": models.DEFAULT,
            "text": row.text,
            "date_unix": int(row.created_at.timestamp()),
            # What it cost is the difference.
            "character_count_change_from": 0,
            "character_count_change_to": row.credits,
            "content_type": mp3.content_type,
            "state": "created",
            "settings": None,
            "source": "TTS",
            "output_format": formats.DEFAULT,
        }
        for row in rows
    ]
