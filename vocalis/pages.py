"""The front page: what Vocalis is and what it costs. It stands here because it speaks of all apps."""

from __future__ import annotations

from email.utils import parseaddr

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.access import start_url
from billing import plans

SAMPLE = "Good evening. You are listening to Vocalis, and every character counts."


def home(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(start_url(request.user))
    words = {
        "trial": plans.PLANS["trial"],
        "plans": plans.PLANS.values(),
        "standard_credits": plans.STANDARD_CREDITS,
        "premium_credits": plans.PREMIUM_CREDITS,
        "own_voice_credits": plans.OWN_VOICE_CREDITS,
        "credits_per_dollar": plans.cents_to_credits(100),
        "sample": SAMPLE,
        "sample_credits": len(SAMPLE) * plans.STANDARD_CREDITS,
        "contact": parseaddr(settings.DEFAULT_FROM_EMAIL)[1],
    }
    return render(request, "home.html", words)
