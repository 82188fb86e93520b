"""The addresses of the account: who it is, what it can spend, what it has used, and the models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Sum
from django.db.models.functions import TruncDay, TruncHour, TruncMonth, TruncWeek
from django.http import HttpResponseBase, JsonResponse

from api.access import ApiRequest, endpoint
from billing import ledger
from billing.models import Subscription
from billing.subscriptions.choose import current_plan
from usage.models import UsageEvent, Voice
from usage.speech import match

from . import bodies, errors
from .errors import MISSING, invalid

# There is no limit of own voices; their clients want to read a number.
VOICE_LIMIT = 10_000
TRIAL = "trial"
BUCKETS_MAX = 10_000
TRUNCATED = {"hour": TruncHour, "day": TruncDay, "week": TruncWeek, "month": TruncMonth}
# What usage can be split by: their word → of a usage event, and where there is none.
SPLITS = {
    "voice": ("reservation__generation__voice_name", "Own voices"),
    "api_keys": ("reservation__api_key__name", "On the site"),
}
ALL = "All"


@endpoint(errors.answer, "read", "GET")
def user(request: ApiRequest) -> HttpResponseBase:
    customer = request.customer
    return JsonResponse(
        {
            "user_id": str(customer.id),
            "workspace_id": str(customer.id),
            "subscription": _subscription(request),
            "is_new_user": False,
            "can_use_delayed_payment_methods": False,
            "is_onboarding_completed": True,
            "is_onboarding_checklist_completed": True,
            "first_name": customer.user.first_name,
            "is_api_key_hashed": True,
            "xi_api_key_preview": request.api_key.shown,
            "created_at": int(customer.created_at.timestamp()),
            "seat_type": "workspace_admin",
        }
    )


@endpoint(errors.answer, "read", "GET")
def subscription(request: ApiRequest) -> HttpResponseBase:
    return JsonResponse(
        {
            **_subscription(request),
            "next_invoice": None,
            "open_invoices": [],
            "has_open_invoices": False,
        }
    )


def _subscription(request: ApiRequest) -> dict[str, Any]:
    """Limit less count is what this key can spend now: the credits, or its budget if that is less.

    The count is of the plan's current period, without a plan of all time.
    """
    customer, plan = request.customer, current_plan(request.customer)
    since = (plan and plan.period_start_at) or customer.created_at
    events = UsageEvent.objects.filter(customer=customer, happened_at__gte=since)
    count = events.aggregate(sum=Sum("credits"))["sum"] or 0
    voices_used = customer.voices.filter(state=Voice.State.READY).count()
    resets_at = plan.period_end_at if plan else None
    return {
        "tier": plan.plan if plan else "free",
        "character_count": count,
        "character_limit": count + _spendable(request),
        "max_character_limit_extension": 0,
        "max_credit_limit_extension": 0,
        "can_extend_character_limit": False,
        "allowed_to_extend_character_limit": False,
        "next_character_count_reset_unix": int(resets_at.timestamp()) if resets_at else None,
        "voice_slots_used": voices_used,
        "professional_voice_slots_used": 0,
        "professional_voice_slots_used_in_workspace": 0,
        "voice_limit": VOICE_LIMIT,
        "voice_add_edit_counter": 0,
        "professional_voice_limit": 0,
        "can_extend_voice_limit": False,
        "can_use_instant_voice_cloning": match.is_offered(),
        "can_use_professional_voice_cloning": False,
        "currency": "usd",
        "current_overage": {"amount": "0", "currency": "usd"},
        "status": _status(plan),
        "billing_period": "monthly_period" if plan and plan.plan != TRIAL else None,
        "character_refresh_period": "monthly_period" if plan and plan.plan != TRIAL else None,
    }


def _spendable(request: ApiRequest) -> int:
    available = ledger.spendable(customer_id=request.customer.id, now=request.now).usable
    remaining = ledger.budgets.budget(request.api_key.pk, request.now).remaining
    return available if remaining is None else min(available, remaining)


def _status(plan: Subscription | None) -> str:
    if plan is None:
        return "free"
    if plan.past_due_at:
        return "past_due"
    return "trialing" if plan.plan == TRIAL else "active"


@endpoint(errors.answer, "read", "GET")
def character_stats(request: ApiRequest) -> HttpResponseBase:
    """Credits by time, and by voice or key if that is asked for."""
    start = bodies.moment(request, "start_unix", milliseconds=True)
    end = bodies.moment(request, "end_unix", milliseconds=True)
    for name, value in (("start_unix", start), ("end_unix", end)):
        if value is None:
            raise invalid(f"query/{name}", MISSING)
    assert start and end
    if end <= start:
        raise invalid("query/end_unix", "The end must be after the start.")
    bodies.choice(request, "metric", "credits", ("credits",))
    every = bodies.choice(request, "aggregation_interval", "day", (*TRUNCATED, "cumulative"))
    split = SPLITS.get(request.GET.get("breakdown_type", ""))
    events = UsageEvent.objects.filter(
        customer=request.customer, happened_at__gte=start, happened_at__lt=end
    )
    times = _buckets(every, start, end)
    return JsonResponse(
        {
            "time": [int(each.timestamp() * 1_000) for each in times],
            "usage": _usage(events, every, times, split),
        }
    )


def _usage(
    events: Any, every: str, times: list[datetime], split: tuple[str, str] | None
) -> dict[str, list[int]]:
    """Credits by name and bucket."""
    names: list[str] = ["customer_id"]
    values: dict[str, Any] = {}
    if every != "cumulative":
        values["bucket"] = TRUNCATED[every]("happened_at", tzinfo=UTC)
    if split:
        names.append(split[0])
    rows = events.order_by().values(*names, **values).annotate(sum=Sum("credits"))
    places = {each: number for number, each in enumerate(times)}
    usage: dict[str, list[int]] = {} if split else {ALL: [0] * len(times)}
    for row in rows:
        name = row[split[0]] or split[1] if split else ALL
        counts = usage.setdefault(name, [0] * len(times))
        counts[places[row["bucket"]] if "bucket" in row else 0] += row["sum"] or 0
    return usage


def _buckets(every: str, start: datetime, end: datetime) -> list[datetime]:
    """When each bucket begins, from that of the start to that of the end. Raises Failure."""
    if every == "cumulative":
        return [start]
    steps = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
    at = start.replace(minute=0, second=0, microsecond=0)
    if every != "hour":
        at = at.replace(hour=0)
    if every == "week":
        at -= timedelta(days=at.weekday())
    if every == "month":
        at = at.replace(day=1)
    found: list[datetime] = []
    while at < end:
        if len(found) == BUCKETS_MAX:
            raise invalid("query/aggregation_interval", "So long a time has too many of these.")
        found.append(at)
        at = at + steps[every] if every in steps else (at + timedelta(days=31)).replace(day=1)
    return found
