"""The voices as a library, for everybody: what each is like, how it sounds, what it costs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import customer_of
from billing import plans
from usage.speech import library, voices

WORDS_MAX = 100  # characters of a search


@require_safe
def page(request: HttpRequest) -> HttpResponseBase:
    entries = [library.entry(speaker) for speaker in voices.house()]
    choices = library.choices(entries)
    wanted = {name: request.GET.get(name, "") for name in library.FILTERS}
    wanted = {name: value if value in choices[name] else "" for name, value in wanted.items()}
    wanted["words"] = request.GET.get("words", "")[:WORDS_MAX]
    customer = customer_of(request.user) if request.user.is_authenticated else None
    context = {
        "entries": entries,
        "found": {one.speaker.id for one in library.matching(entries, wanted)},
        "choices": choices,
        "wanted": wanted,
        "customer": customer,
        "own": [library.entry(one) for one in voices.of(customer)] if customer else [],
        "own_voice_credits": plans.OWN_VOICE_CREDITS,
    }
    return render(request, "usage/voices.html", context)
