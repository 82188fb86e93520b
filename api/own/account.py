"""What an account has and has used: balance, ledger, usage."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from ninja.params.functions import Query

from api.failures import Failure
from billing import ledger
from billing.models import AutoRecharge, LedgerEntry
from usage import statistics

from .api import Key, api
from .schemas import PROBLEMS, Balance, Entries, Usage

ROWS_MAX = 10_000
GROUPS = {"day", "key", "voice"}
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
        "available": found.usable,
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
        "By UTC day of their reservation, by API key or by voice, several joined by commas. At "
        f"most {statistics.DAYS_MAX} days; `to` is not included. Without dates: the last 30 days."
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
    try:
        span = statistics.Span(from_ or end - timedelta(days=30), end).checked()
    except statistics.WrongDays as error:
        raise Failure(422, "invalid_request", str(error), errors={"from": [str(error)]}) from error
    totals = statistics.totals(request.customer, span, groups)
    return {"data": [_row(each) for each in islice(totals, ROWS_MAX)]}


def _row(total: statistics.Total) -> dict[str, Any]:
    return {
        "start": total.day and statistics.midnight(total.day),
        "key": total.key,
        "voice": total.voice,
        "characters": total.characters,
        "credits": total.credits,
        "requests": total.generations,
    }


def _groups(written: str) -> list[str]:
    groups = [each.strip() for each in written.split(",")]
    if len(set(groups)) < len(groups) or not set(groups) <= GROUPS:
        message = "Choose one or more of day, key and voice, each once."
        raise Failure(422, "invalid_request", message, errors={"group_by": [message]})
    return groups


def _generation_of(row: LedgerEntry) -> UUID | None:
    found = getattr(row.reservation, "generation", None)
    return found.id if found else None
