"""Terms and privacy in plain words, true for what the product does. Numbers come from the code."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing import plans
from usage.speech import sentence

from . import landing, pricing


@require_safe
def terms(request: HttpRequest) -> HttpResponse:
    return render(request, "legal/terms.html", _context())


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    return render(request, "legal/privacy.html", _context())


def _context() -> dict[str, Any]:
    reviewed = settings.LEGAL_REVIEWED_ON
    return {
        "seller": settings.SELLER_NAME,
        "address": settings.SELLER_ADDRESS,
        "tax_id": settings.SELLER_TAX_ID,
        "reviewed_on": date.fromisoformat(reviewed) if reviewed else None,
        "is_recharge_limited": pricing.is_recharge_limited(),
        "trial": plans.PLANS["trial"],
        "paid_plans": [plan for plan in plans.PLANS.values() if plan.price_cents],
        "pack_days": plans.PACK_DAYS,
        "own_voice_credits": plans.OWN_VOICE_CREDITS,
        "days_without_plan": plans.AUDIO_DAYS_WITHOUT_PLAN,
        "heard_minutes": landing.HEARD_SECONDS // 60,
        "sentence_characters_max": sentence.CHARACTERS_MAX,
    }
