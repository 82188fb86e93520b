"""The studio's page as it is shown: by the studio itself, and by the addresses its form has beside
speaking, when they have something to say."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from accounts.access import CustomerRequest
from accounts.models import Customer
from billing import ledger
from usage import text as texts
from usage.models import Draft, Generation
from usage.speech import (
    audio,
    drafts,
    library,
    manner,
    paces,
    pricing,
    problems,
    progress,
    sections,
    shelf,
    voices,
)

from . import picker, start

# What one may take away, by the name of the format.
DOWNLOADS = (("mp3", "MP3"), ("wav", "WAV"), ("opus", "Opus"), ("flac", "FLAC"))
SUBTITLES = (("srt", "Subtitles, SRT"), ("vtt", "Subtitles, VTT"))
RECENT = 5


def shown_again(request: CustomerRequest, status: int, **shown: Any) -> HttpResponse:
    """The page with what was typed, because something is wrong with it."""
    text, voice = request.POST.get("text", ""), request.POST.get("voice", "")
    key = shown.pop("key", request.POST.get("key", ""))
    response = page(request, text=text, voice=voice, how=request.POST, key=key, **shown)
    response.status_code = status
    return response


def page(
    request: CustomerRequest,
    *,
    text: str = "",
    voice: str = "",
    how: Mapping[str, Any] = MappingProxyType({}),
    key: str = "",
    done: Generation | None = None,
    draft: Draft | None = None,
    other_draft: Draft | None = None,
    **shown: Any,
) -> HttpResponse:
    """`draft` is the one that is kept, as this page has seen it. `other_draft` was saved by another
    page since this one was loaded."""
    draft = other_draft or draft or drafts.of(request.customer)
    characters = texts.count(text)
    chosen = _chosen(request.customer, voice)
    wallet = ledger.wallet_of(request.customer.id)
    available = 0 if wallet.frozen_at else wallet.available
    price = pricing.credits(characters, chosen.type)
    context = {
        "text": text,
        "key": key or str(uuid.uuid4()),
        "draft": draft,
        "other_draft": other_draft,
        "is_other_text": bool(draft.text.strip()) and draft.text != text,
        "characters": characters,
        "characters_max": texts.LONG_MAX_CHARACTERS,
        "credits": price,
        "seconds": _seconds(characters, chosen, how),
        "manner": manner.shown(how),
        "available": available,
        "left": max(0, available - price),
        "is_frozen": wallet.frozen_at is not None,
        "start": start.of(request.customer, available),
        **_voices(request.customer, chosen),
        **_spoken(request.customer, done),
        **shown,
    }
    return render(request, "usage/studio.html", context)


def player(done: Generation | None) -> dict[str, Any]:
    """What the player of a page plays at first, and what can be taken away of it."""
    is_playable = done and done.state == Generation.State.DONE and not done.is_audio_lost
    return {
        "done": done,
        "playable": done if is_playable else None,
        "parts": sections.of(done) if done and (is_playable or done.is_with_worker) else [],
        "downloads": DOWNLOADS,
        "subtitles": SUBTITLES,
    }


def _chosen(customer: Customer, voice: str) -> voices.Speaker:
    try:
        return voices.resolve(customer, voice)
    except problems.UnknownVoice:
        return next(iter(voices.house()), voices.DEFAULT)


def _seconds(characters: int, speaker: voices.Speaker, how: Mapping[str, Any]) -> float:
    try:
        speed = manner.speed(manner.checked(how))
    except problems.Refused:
        speed = manner.SPEED
    return paces.seconds(characters, speaker, speed)


def _voices(customer: Customer, chosen: voices.Speaker) -> dict[str, Any]:
    groups = picker.groups(customer)
    choices = [choice for group in groups for choice in group.choices]
    return {
        "groups": groups,
        "tiers": picker.tiers(groups),
        "has_own": any(choice.tier == picker.OWN for choice in choices),
        "languages": library.choices(choice.entry for choice in choices)["language"],
        "chosen": chosen,
    }


def _spoken(customer: Customer, done: Generation | None) -> dict[str, Any]:
    recent = list(shelf.of(customer).filter(state=Generation.State.DONE)[:RECENT])
    audio.mark_lost([*([done] if done else []), *recent])
    return {
        "progress": progress.of(done) if done else None,
        "recent": recent,
        **player(done),
    }
