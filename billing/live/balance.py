"""Reading a customer's balance for the API, the header of every page, and the event streams."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_GET

from accounts.access import customer_of, refuse
from accounts.models import Customer
from billing import plans
from billing.models import Subscription, Wallet
from notifications.banners import Shown, open_ones

from . import banners, feeds
from .feeds import Told

# (version, plan, told); it changes whenever a stream has something to show
Mark = tuple[int, str | None, Told]


@dataclass(frozen=True, slots=True)
class State:
    """A wallet at one version, in credits.

    `customer_id` is Metronome's. `recharge_version` is the version that the wallet's latest
    automatic recharge created, 0 if it never had one. `told` is what feeds tell of it.
    """

    wallet_id: int
    customer_id: str | None
    balance: int
    reserved: int
    version: int
    plan: str | None
    recharge_version: int
    told: Told = ()

    @property
    def mark(self) -> Mark:
        return self.version, self.plan, self.told


def snapshot(customer: Customer) -> dict[str, Any]:
    """The body of `GET /api/billing/balance`, read by one query.

    Credits are zero for a customer without a wallet. `customer_id` is Metronome's, None until a
    worker has provisioned the customer. `plan` is a key of `plans.PLANS` or None.
    """
    return _read(customer)[0]


def _read(customer: Customer) -> tuple[dict[str, Any], bool, str]:
    """The snapshot, whether there is a banner, and what holds the credits, by one query."""
    names = (
        "metronome_id",
        "wallet__balance",
        "wallet__reserved",
        "wallet__version",
        "auto_recharge__enabled",
        "wallet__frozen_at",
        "wallet__frozen_by",
    )
    active = Subscription.objects.filter(customer=OuterRef("pk"), state=Subscription.State.ACTIVE)
    rows = Customer.objects.filter(pk=customer.pk)
    told = open_ones(timezone.now()).filter(customer=OuterRef("pk"))
    row = rows.values_list(*names, Subquery(active.values("plan")), Exists(told)).get()
    customer_id, balance, reserved, version, auto_recharge, *frozen, plan_key, is_told = row
    found = {
        "customer_id": customer_id,
        "balance": balance or 0,
        "reserved": reserved or 0,
        "available": (balance or 0) - (reserved or 0),
        "version": version or 0,
        "plan": plan_key,
        "auto_recharge": bool(auto_recharge),
    }
    return found, is_told, Wallet(frozen_at=frozen[0], frozen_by=frozen[1] or []).hold


# SQL instead of the ORM: every change of a watched wallet runs STATES, and composing it as a
# queryset took ten times as long as running it. Recharges are looked up through the wallet's
# grants, of which there are dozens, because it may have millions of entries.
ACTIVE_PLAN = """(SELECT s.plan FROM billing_subscription s
                  WHERE s.customer_id = w.customer_id AND s.state = 'active')"""
STATES = f"""
SELECT w.id, c.metronome_id, w.balance, w.reserved, w.version, {ACTIVE_PLAN}, COALESCE((
         SELECT MAX(e.version) FROM billing_creditgrant g
           JOIN billing_ledgerentry e ON e.grant_id = g.id AND e.kind = 'grant'
           LEFT JOIN billing_recharge r ON r.grant_id = g.id
          WHERE g.wallet_id = w.id AND (g.name = %s OR r.id IS NOT NULL)), 0)
  FROM billing_wallet w JOIN accounts_customer c ON c.id = w.customer_id WHERE w.id IN """
MARKS = f"SELECT w.id, w.version, {ACTIVE_PLAN} FROM billing_wallet w WHERE w.id IN "


def states(wallet_ids: Collection[int]) -> list[State]:
    """What a stream shows of these wallets, read by one query, and one a feed."""
    told = feeds.told(wallet_ids)
    rows = _rows(STATES, wallet_ids, plans.RECHARGE_COMMIT_NAME)
    return [State(*(*row, told.get(row[0], ()))) for row in rows]


def marks(wallet_ids: Collection[int]) -> dict[int, Mark]:
    """The marks by wallet id: enough to see which wallets changed, and cheaper than `states`."""
    told = feeds.told(wallet_ids)
    rows = _rows(MARKS, wallet_ids)
    return {
        wallet_id: (version, plan, told.get(wallet_id, ())) for wallet_id, version, plan in rows
    }


@require_GET
def balance(request: HttpRequest) -> HttpResponse:
    """GET /api/billing/balance, for the logged-in customer."""
    if not request.user.is_authenticated:
        return refuse(401, "Log in to see your balance.")
    customer = customer_of(request.user)
    if customer is None:
        return refuse(404, "This login has no customer account.")
    response = JsonResponse(snapshot(customer))
    response["Cache-Control"] = "no-store"
    return response


def header(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `balance` (see `snapshot`), `is_on_hold` (none of it can be spent), `hold`
    (by what, `Wallet.hold`), `events_url` and `banner`, read only where used.
    """
    read = cache(lambda: _of_login(request))
    current: Any = SimpleLazyObject(lambda: read()[0])
    return {
        "balance": current,
        "is_on_hold": SimpleLazyObject(lambda: bool(read()[2])),
        "hold": SimpleLazyObject(lambda: read()[2]),
        "events_url": SimpleLazyObject(lambda: _events_url(current)),
        "banner": SimpleLazyObject(lambda: _banner(request, *read())),
    }


def _rows(sql: str, wallet_ids: Collection[int], *parameters: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        placeholders = ", ".join(["%s"] * len(wallet_ids))
        cursor.execute(f"{sql}({placeholders})", [*parameters, *wallet_ids])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _of_login(request: HttpRequest) -> tuple[dict[str, Any], bool, str]:
    customer = _customer(request)
    return _read(customer) if customer else ({}, False, "")


def _banner(
    request: HttpRequest, current: dict[str, Any], is_told: bool, hold: str
) -> Shown | None:
    customer = _customer(request) if is_told else None
    return banners.of(customer, current["balance"], hold) if customer else None


def _customer(request: HttpRequest) -> Customer | None:
    user = getattr(request, "user", None)
    return customer_of(user) if user and user.is_authenticated else None


def _events_url(current: dict[str, Any]) -> str:
    customer_id = current.get("customer_id")
    return reverse("events", args=[customer_id]) if customer_id else ""
