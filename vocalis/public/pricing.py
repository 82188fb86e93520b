"""Prices for everybody: the plans side by side, top-ups, a calculator, and how paying works.

The front page shows plans and calculator, too. Every number comes from the code that holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts import api_keys
from billing import plans
from billing.subscriptions import dunning
from notifications import endpoints
from usage.models import VoiceType
from usage.speech import encoded, library, voices
from usage.templatetags.speech_length import speech_length
from usage.text.check import LONG_MAX_CHARACTERS

from . import calculator

BY_AGREEMENT = "by agreement"
FORMAT_NAMES = {"opus": "Opus"}  # others are capitals


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the comparison: what it is about, and what each plan says of it."""

    title: str
    note: str
    cells: tuple[tuple[plans.Plan, str], ...]


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    entries = [library.entry(speaker) for speaker in voices.house() if speaker.sample]
    context: dict[str, Any] = {
        **calculated(request, reverse("pricing")),
        "rows": rows(),
        "packs": plans.PACKS,
        "pack_cents_min": plans.PACK_CENTS_MIN,
        "pack_cents_max": plans.PACK_CENTS_MAX,
        "without_plan": plans.RATE_WITHOUT_PLAN,
        "days_without_plan": plans.AUDIO_DAYS_WITHOUT_PLAN,
        "voice_count": len(entries),
        "languages": list(dict.fromkeys(one.language for one in entries)),
        "formats": [FORMAT_NAMES.get(one, one.upper()) for one in encoded.DELIVERED],
        "text_characters_max": LONG_MAX_CHARACTERS,
        "keys_max": api_keys.KEYS_MAX,
        "endpoints_max": endpoints.ENDPOINTS_MAX,
        "own_voice_credits": plans.OWN_VOICE_CREDITS,
        "standard_credits": plans.STANDARD_CREDITS,
        "premium_credits": plans.PREMIUM_CREDITS,
        "remind_days": plans.REMIND_DAYS,
        "try_again_days": [after.days for after in dunning.TRY_AFTER if after],
        "is_recharge_limited": is_recharge_limited(),
    }
    return render(request, "pricing.html", context)


def calculated(request: HttpRequest, address: str) -> dict[str, Any]:
    """Context of the plans and of the calculator, whose form leads to that address."""
    asked, need = calculator.of(request.GET.dict())
    return {
        "plans": plans.PLANS.values(),
        "credits_per_dollar": plans.CREDITS_PER_DOLLAR,
        "pack_days": plans.PACK_DAYS,
        "asked": asked,
        "need": need,
        "calculator_refused": calculator.REFUSED,
        "calculator_url": address,
    }


def is_recharge_limited() -> bool:
    """Whether a month's limit holds: not where Metronome charges recharges itself."""
    return str(settings.METRONOME_PAYMENT_GATE) != "STRIPE"


def rows() -> list[Row]:
    """The comparison of the plans, from what they hold."""
    return [
        _row("Price", "", _price),
        _row("Credits", "", _credits),
        _row("A thousand credits cost", "", _thousand),
        _row("Speech, about", "standard voices", lambda plan: _speech(plan, VoiceType.STANDARD)),
        _row("Speech, about", "premium voices", lambda plan: _speech(plan, VoiceType.PREMIUM)),
        _row("API calls a minute", "", _a_minute),
        _row("API calls at once", "", _at_once),
        _row("Audio is kept", "made again free after that", _kept),
    ]


def _row(title: str, note: str, of: Callable[[plans.Plan], str]) -> Row:
    return Row(title, note, tuple((plan, of(plan)) for plan in plans.PLANS.values()))


def _price(plan: plans.Plan) -> str:
    if plan.is_free:
        return "free, no card"
    return f"{plan.price_dollars} a month" if plan.price_cents else BY_AGREEMENT


def _credits(plan: plans.Plan) -> str:
    if not plan.credits:
        return BY_AGREEMENT
    when = f"once, for {plan.days} days" if plan.days else "a month"
    return f"{plan.credits:,} {when}"


def _thousand(plan: plans.Plan) -> str:
    """In dollars, to a tenth of a cent."""
    if plan.price_cents is None or not plan.credits:
        return BY_AGREEMENT
    return f"${10 * plan.price_cents / plan.credits:.3f}" if plan.price_cents else "nothing"


def _speech(plan: plans.Plan, voice_type: str) -> str:
    return speech_length(plan.credits, voice_type) if plan.credits else BY_AGREEMENT


def _a_minute(plan: plans.Plan) -> str:
    each, all_ = plan.rate.requests_a_minute, plan.rate.of_account.requests_a_minute
    return f"{each:,} a key, {all_:,} together"


def _at_once(plan: plans.Plan) -> str:
    each, all_ = plan.rate.requests_at_once, plan.rate.of_account.requests_at_once
    return f"{each:,} a key, {all_:,} together"


def _kept(plan: plans.Plan) -> str:
    return f"{plan.audio_days} days" if plan.audio_days else "until you delete it"
