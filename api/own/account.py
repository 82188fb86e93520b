"""What an account has and has used: balance, ledger, usage."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Sum
from django.db.models.functions import Coalesce, TruncDay
from ninja.params.functions import Query

from api.failures import Failure
from billing import ledger
from billing.models import AutoRecharge, LedgerEntry
from usage.models import Generation

from .api import Key, api
from .schemas import PROBLEMS, Balance, Entries, Usage

DAYS_MAX = 366
ROWS_MAX = 10_000
GROUPS = {"key": "api_key_id", "voice": "voice"}
ID_MAX = 2**63 - 1
FROM: Any = Query(None, alias="from")


@api.get(
    "/balance",
    auth=Key("read"),
    operation_id="getBalance",
    summary="The balance",
    response={200: Balance, **PROBLEMS},
)
def get_balance(request: Any) -> dict[str, Any]:
    found = ledger.spendable(customer_id=request.customer.id, now=request.now)
    recharge = AutoRecharge.objects.filter(customer=request.customer).first()
    is_on = recharge is not None and recharge.enabled
    return {
        "available": 0 if found.is_frozen else found.available,
        "balance": found.balance,
        "reserved": found.reserved,
        "frozen": found.is_frozen,
        "expires": [{"at": at, "credits": credits} for at, credits in found.expires],
        "auto_recharge": {
            "enabled": is_on,
            "threshold": recharge.threshold_credits if recharge and is_on else None,
        },
        "version": found.version,
    }


@api.get(
    "/ledger",
    auth=Key("read"),
    operation_id="listLedger",
    summary="Every change of the balance, newest first",
    response={200: Entries, **PROBLEMS},
)
def list_ledger(
    request: Any,
    limit: int = Query(50, ge=1, le=100),
    starting_after: int | None = Query(None, ge=0, le=ID_MAX),
) -> dict[str, Any]:
    wallet = ledger.wallet_of(request.customer.id)
    rows = LedgerEntry.objects.filter(wallet=wallet).order_by("-version")
    if starting_after is not None:
        rows = rows.filter(version__lt=starting_after)
    rows = rows.select_related("reservation__generation")[: limit + 1]
    found = [
        {
            "id": row.version,
            "kind": row.kind,
            "credits": row.amount,
            "balance_after": row.balance_after,
            "generation": _generation_of(row),
            "key": row.reservation.api_key_id if row.reservation else None,
            "note": row.note,
            "created_at": row.created_at,
        }
        for row in rows
    ]
    return {"data": found[:limit], "has_more": len(found) > limit}


@api.get(
    "/usage",
    auth=Key("read"),
    operation_id="listUsage",
    summary="Characters and credits of finished texts",
    description=(
        "By UTC day of their reservation, by API key or by voice, several joined by commas. "
        f"At most {DAYS_MAX} days; `to` is not included. Without dates: the last 30 days."
    ),
    response={200: Usage, **PROBLEMS},
)
def list_usage(
    request: Any,
    group_by: str = "day",
    from_: date | None = FROM,
    to: date | None = None,
) -> dict[str, Any]:
    groups = _groups(group_by)
    end = to or (request.now.date() + timedelta(days=1))
    start = from_ or end - timedelta(days=30)
    if not 0 < (end - start).days <= DAYS_MAX:
        message = f"Choose dates with 1 to {DAYS_MAX} days between them."
        raise Failure(422, "invalid_request", message, errors={"from": [message]})
    rows: Any = Generation.objects.filter(
        customer=request.customer,
        state=Generation.State.DONE,
        reservation__created_at__gte=_midnight(start),
        reservation__created_at__lt=_midnight(end),
    )
    names = [GROUPS[group] for group in groups if group != "day"]
    if "day" in groups:
        rows = rows.annotate(start=TruncDay("reservation__created_at", tzinfo=UTC))
        names = ["start", *names]
    totals = rows.values(*names).annotate(
        characters_sum=Sum(Coalesce("characters_spoken", F("characters"))),
        credits_sum=Sum("credits"),
        requests=Count("id"),
    )
    return {"data": [_row(each) for each in totals.order_by(*names)[:ROWS_MAX]]}


def _row(total: dict[str, Any]) -> dict[str, Any]:
    return {
        "start": total.get("start"),
        "key": total.get("api_key_id"),
        "voice": total.get("voice"),
        "characters": total["characters_sum"],
        "credits": total["credits_sum"],
        "requests": total["requests"],
    }


def _groups(written: str) -> list[str]:
    groups = [each.strip() for each in written.split(",")]
    if len(set(groups)) < len(groups) or not set(groups) <= {"day", *GROUPS}:
        message = "Choose one or more of day, key and voice, each once."
        raise Failure(422, "invalid_request", message, errors={"group_by": [message]})
    return groups


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _generation_of(row: LedgerEntry) -> UUID | None:
    found = getattr(row.reservation, "generation", None)
    return found.id if found else None
