"""What a customer used: charts of a range, and each generation with cost and whether reported."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Left
from django.http import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import CustomerRequest, customer_required
from accounts.models import Customer
from billing import plans
from billing.subscriptions.choose import current_plan
from usage.models import Generation, Voice
from usage.speech import audio
from usage.text.headline import headline

from . import numbers, ranges

PAGE = 25
EXCERPT_CHARACTERS = 240  # marks of markup are not shown
# A search reads texts, which no index helps with: so many of the newest, however many there are.
SEARCHED_MAX = 20_000
SEARCH_CHARACTERS_MAX = 100


@require_safe
@customer_required
def page(request: CustomerRequest) -> HttpResponseBase:
    now, sought = timezone.now(), _sought(request.GET.get("q", ""))
    rows, next_id = _page(request.customer, request.GET.get("before", ""), sought)
    audio.mark_lost(rows)
    shown = ranges.shown(request.GET, now)
    is_first = "before" not in request.GET and not sought
    context: dict[str, Any] = {
        "rows": rows,
        "next_id": next_id,
        "audio_promise": _promise(request.customer),
        "is_first": is_first,
        "sought": sought,
        "searched_max": SEARCHED_MAX,
        "shown": shown,
    }
    if is_first:
        context |= numbers.context(request.customer, shown, now)
        context["own_voices"] = (
            request.customer.voices.filter(state__in=(Voice.State.READY, Voice.State.REVOKED))
            .select_related("reservation__usage_event")
            .order_by("created_at")
        )
    status = HTTPStatus.UNPROCESSABLE_ENTITY if shown.wrong else HTTPStatus.OK
    return render(request, "usage/usage.html", context, status=status)


def _sought(typed: str) -> str:
    return typed.strip()[:SEARCH_CHARACTERS_MAX]


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


def _page(
    customer: Customer, before: str, sought: str = ""
) -> tuple[list[Generation], uuid.UUID | None]:
    """One page, and the id to continue after.

    One row more than shown tells whether there is more; nothing is counted.
    """
    found = _older_than(before, customer)
    if sought:
        # A bound that is known beforehand: PostgreSQL reads a subquery of the newest once per row.
        times = customer.generations.order_by("-created_at").values_list("created_at", flat=True)
        for oldest_at in times[SEARCHED_MAX - 1 : SEARCHED_MAX]:
            found = found.filter(created_at__gte=oldest_at)
        found = found.filter(Q(title__icontains=sought) | Q(text__icontains=sought))
    rows = list(found[: PAGE + 1])
    for row in rows:
        row.excerpt = row.title or headline(vars(row)["beginning"])  # which no type knows of
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None


def _older_than(before: str, customer: Customer) -> QuerySet[Generation]:
    rows = (
        customer.generations.select_related("reservation__usage_event", "api_key")
        .defer("text", "body_hash", "words")
        .annotate(beginning=Left("text", EXCERPT_CHARACTERS))
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
