"""What a customer made: generations with cost and whether reported, and totals by day."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Left, TruncDate
from django.http import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from accounts.models import Customer
from billing import plans
from billing.subscriptions.choose import current_plan
from usage.models import Generation, UsageEvent, Voice
from usage.speech import audio

PAGE = 25
DAYS = 14
EXCERPT_CHARACTERS = 120


@require_safe
@customer_required
def page(request: CustomerRequest) -> HttpResponseBase:
    rows, next_id = _page(request.customer, request.GET.get("before", ""))
    audio.mark_lost(rows)
    days = day_totals(request.customer, timezone.now())
    context = {
        "rows": rows,
        "next_id": next_id,
        "audio_promise": _promise(request.customer),
        "is_first": "before" not in request.GET,
        "days": days,
        "credits_max": max((day["credits"] for day in days), default=0),
        "own_voices": request.customer.voices.filter(
            state__in=(Voice.State.READY, Voice.State.REVOKED)
        )
        .select_related("reservation__usage_event")
        .order_by("created_at"),
    }
    return render(request, "usage/usage.html", context)


def _promise(customer: Customer) -> str:
    """How long audio is kept that is made now, in words."""
    subscription = current_plan(customer)
    days = plans.audio_days(subscription.plan if subscription else None)
    which = f"Your {plans.PLANS[subscription.plan].name} plan" if subscription else "Without a plan"
    what = "until you have it deleted" if days is None else f"for {days} days"
    if subscription is None:
        return f"{which}, new audio is kept {what}; a plan that keeps it longer does so at once."
    return (
        f"{which} keeps audio {what}; a plan that keeps it longer does so for what is there, too, "
        "and no date shown is ever moved back."
    )


def day_totals(customer: Customer, now: datetime) -> list[dict[str, Any]]:
    """Uses and credits of the last days that have any, by UTC day, newest first."""
    since = (now - timedelta(days=DAYS - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    events = UsageEvent.objects.filter(customer=customer, happened_at__gte=since)
    by_day = events.values(day=TruncDate("happened_at")).annotate(
        uses=Count("credits"), credits=Sum("credits")
    )
    # Sorted here: asked for an order, PostgreSQL sorts the events instead of the days.
    return sorted((dict(day) for day in by_day.order_by()), key=itemgetter("day"), reverse=True)


def _page(customer: Customer, before: str) -> tuple[list[Generation], uuid.UUID | None]:
    """One page, and the id to continue after.

    One row more than shown tells whether there is more; nothing is counted.
    """
    rows = list(_older_than(before, customer)[: PAGE + 1])
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None


def _older_than(before: str, customer: Customer) -> QuerySet[Generation]:
    rows = (
        customer.generations.select_related("reservation__usage_event")
        .defer("text", "body_hash", "words")
        .annotate(excerpt=Left("text", EXCERPT_CHARACTERS))
        .order_by("-created_at", "-id")
    )
    try:
        last = customer.generations.only("created_at").get(id=uuid.UUID(before))
    except (ValueError, Generation.DoesNotExist):
        return rows
    # The first bound lets the index find the place; the second settles rows of the same instant.
    return rows.filter(created_at__lte=last.created_at).filter(
        Q(created_at__lt=last.created_at) | Q(id__lt=last.id)
    )
