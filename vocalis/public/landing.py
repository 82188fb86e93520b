"""The front page: the voices to hear, a free sentence, what is different, plans, a calculator."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import throttle
from accounts.access import refuse, start_url
from api import reference
from billing import plans
from usage import audio
from usage.speech import library, problems, sentence, voices

from . import pricing

SAMPLE = "Good evening. You are listening to Vocalis, and every character counts."
# Long enough for a browser without script to fetch what it was told of.
HEARD_SECONDS = 120
OFTEN = (
    "You have heard as many free sentences as there are for one visitor today. The samples below "
    "still play, and an account comes with {:,} free credits."
)
ALL_SPOKEN = (
    "Today’s free sentences are all spoken. The samples below still play, and an account comes "
    "with {:,} free credits."
)


class UsedUp(Exception):
    """No free sentence is left: for this visitor, or for everybody, today."""


def home(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(start_url(request.user))
    return _page(request)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def hear(request: HttpRequest) -> HttpResponse:
    """Speak a visitor's sentence: as sound for the page's script, else on the page, in a player."""
    if request.method != "POST":  # what the form has answered is reloaded by its address
        return redirect("home")
    text, voice = request.POST.get("text", ""), request.POST.get("voice", "")
    failure, status = "", HTTPStatus.OK
    try:
        sound = _spoken(request, text, voice)
    except problems.Refused as error:
        failure, status = str(error), HTTPStatus.UNPROCESSABLE_ENTITY
    except UsedUp as error:
        failure, status = str(error), HTTPStatus.TOO_MANY_REQUESTS
    except (sentence.Busy, problems.SpeechFailed) as error:
        failure, status = str(error), HTTPStatus.SERVICE_UNAVAILABLE
    wants_sound = request.get_preferred_type(["text/html", "audio/mpeg"]) == "audio/mpeg"
    if wants_sound:
        response = refuse(status, failure) if failure else _mp3(sound)
    else:
        heard = "" if failure else _keep(sound)
        typed = {"text": text[: 2 * sentence.CHARACTERS_MAX], "voice": voice}
        response = _page(request, typed=typed, failure=failure, heard=heard, status=status)
    patch_vary_headers(response, ["Accept"])
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(sentence.Busy.retry_after_seconds)
    return response


@never_cache
@require_safe
def heard(request: HttpRequest, token: str) -> HttpResponse:
    """What was spoken for a browser without script, a moment ago."""
    sound = cache.get(_key(token))
    if sound is None:
        raise Http404
    return _mp3(sound)


def _spoken(request: HttpRequest, text: str, voice: str) -> bytes:
    """Raises Refused, UsedUp, Busy, SpeechFailed."""
    text, speaker = sentence.checked(text, voice)
    with sentence.place():
        free = plans.PLANS["trial"].credits
        if not throttle.is_allowed(request, "free sentence"):
            raise UsedUp(OFTEN.format(free))
        rate = f"{settings.FREE_SENTENCES_A_DAY}/d"
        if not throttle.is_allowed_in_all(request, "free sentence", rate=rate):
            raise UsedUp(ALL_SPOKEN.format(free))
        return sentence.spoken(text, speaker)


def _mp3(sound: bytes) -> HttpResponse:
    response = HttpResponse(sound, content_type=audio.FORMATS[sentence.FORMAT].content_type)
    response["Cross-Origin-Resource-Policy"] = "same-origin"  # nobody else's page plays it
    return response


def _keep(sound: bytes) -> str:
    token = secrets.token_urlsafe(16)
    cache.set(_key(token), sound, HEARD_SECONDS)
    return token


def _key(token: str) -> str:
    return f"free-sentence-{token}"


def _page(
    request: HttpRequest,
    *,
    typed: dict[str, str] | None = None,
    failure: str = "",
    heard: str = "",
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    entries = [library.entry(speaker) for speaker in voices.house() if speaker.sample]
    first = _one_of_each(entries)
    speakers = sentence.speakers() if settings.FREE_SENTENCES_A_DAY else []
    typed = typed or {"text": SAMPLE, "voice": ""}
    chosen = next((one for one in speakers if one.id == typed["voice"]), None)
    context: dict[str, Any] = {
        **pricing.calculated(request, reverse("home")),
        "is_recharge_limited": pricing.is_recharge_limited(),
        "trial": plans.PLANS["trial"],
        "standard_credits": plans.STANDARD_CREDITS,
        "premium_credits": plans.PREMIUM_CREDITS,
        "own_voice_credits": plans.OWN_VOICE_CREDITS,
        "sample": SAMPLE,
        "sample_credits": len(SAMPLE) * plans.STANDARD_CREDITS,
        "voice_count": len(entries),
        "voices": first,
        "further_voices": [one for one in entries if one not in first],
        "languages": list(dict.fromkeys(one.language for one in entries)),
        "speakers": speakers,
        "chosen": chosen or next(iter(speakers), None),
        "typed": typed["text"],
        "characters_max": sentence.CHARACTERS_MAX,
        "failure": failure,
        "heard": heard,
        "openai": _example("openai", "Python"),
        "elevenlabs": _example("elevenlabs", "JavaScript"),
    }
    return render(request, "home.html", context, status=status)


def _one_of_each(entries: list[library.Entry]) -> list[library.Entry]:
    """The first voice of each language, tier and sex: what there is, in a few cards."""
    kinds: dict[tuple[str, str, str], library.Entry] = {}
    for one in entries:
        kinds.setdefault((one.language, one.tier, one.sex), one)
    return list(kinds.values())


def _example(dialect: str, language: str) -> SafeString:
    """The code, with what a program changes marked: our address, and a key of ours."""
    [example] = [one for one in reference.examples(dialect) if one.language == language]
    marked = str(escape(example.code))
    for changed in (settings.SITE_URL, "VOCALIS_API_KEY"):
        marked = marked.replace(escape(changed), f"<ins>{escape(changed)}</ins>")
    return mark_safe(marked)  # noqa: S308  our own file, escaped above
