"""Health checks of money: what was charged and not granted, what came back, what is disputed."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Count, Min, QuerySet, Sum

from billing.models import AutoRecharge, Contract, Dispute, Drift, Payment, PaymentAlert, Refund
from billing.models.payments import dollars

from .check import Check, Status

CHARGED_WARN, CHARGED_ERROR = timedelta(minutes=1), timedelta(minutes=10)  # usually seconds


def checks(now: datetime) -> list[Check]:
    return [_charged(now), _refunds(), _disputes(), _frozen(now), _alerts(), *_differences()]


def _charged(now: datetime) -> Check:
    """Payments that were charged and have neither credits nor a refund yet."""
    stuck = Payment.objects.charged_not_granted()
    found = stuck.aggregate(oldest=Min("created_at"), count=Count("pk"), cents=Sum("amount_cents"))
    page = "billing_payment?stuck=yes"
    if not found["count"]:
        return Check("charged, not granted", "ok", "none", page)
    age = now - found["oldest"]
    status: Status = "error" if age > CHARGED_ERROR else "warn" if age > CHARGED_WARN else "ok"
    sum_ = dollars(found["cents"])
    detail = f"{found['count']}, {sum_}; the oldest payment is {_old(age)} old"
    return Check("charged, not granted", status, detail, page)


def _differences() -> list[Check]:
    drifts = Drift.objects.filter(state=Drift.State.OPEN).count()
    failed = AutoRecharge.objects.in_trouble().count()
    billing = Contract.objects.filter(zero_overage=False).count()
    return [
        Check(
            "drift", "warn" if drifts else "ok", f"{drifts} open", "billing_drift?state__exact=open"
        ),
        Check(
            "zero overage",
            "warn" if billing else "ok",
            f"{billing} contracts may bill usage beyond the credits",
            "billing_contract?zero_overage__exact=0",
        ),
        # Only the customer can fix a declined card, so it is shown but is never a warning.
        Check(
            "auto-recharge", "ok", f"{failed} failed or stuck", "billing_autorecharge?trouble=yes"
        ),
    ]


def _old(age: timedelta) -> str:
    if (hours := age // timedelta(hours=1)) >= 2:
        return f"{hours:,} hours"
    minutes = age // timedelta(minutes=1)
    return f"{minutes} min" if minutes >= 2 else f"{age.total_seconds():.0f} s"


def _refunds() -> Check:
    """Money that the bank did not take: its customer has neither money nor credits."""
    back = Refund.objects.filter(state=Refund.State.REFUSED)
    return _open_ones("refunds that came back", back, "billing_refund?state__exact=refused")


def _disputes() -> Check:
    states = [Dispute.State.INQUIRY, Dispute.State.WITHDRAWN]
    rows = Dispute.objects.filter(state__in=states)
    check = _open_ones("disputes", rows, "billing_dispute?state__in=inquiry,withdrawn")
    due_at = rows.aggregate(at=Min("evidence_due_at"))["at"]
    if check.status == "ok" or not due_at:
        return check
    detail = f"{check.detail}; evidence is due by {due_at:%Y-%m-%d %H:%M} UTC"
    return Check(check.name, check.status, detail, check.admin)


def _frozen(now: datetime) -> Check:
    """Customers whose wallet a lost dispute keeps frozen until somebody decides on it."""
    found = Dispute.objects.undecided().aggregate(
        count=Count("customer", distinct=True), oldest=Min("settled_at")
    )
    name, page = "frozen after a lost dispute", "billing_dispute?decide=yes"
    if not found["count"]:
        return Check(name, "ok", "none", page)
    since = f"; the oldest for {_old(now - found['oldest'])}" if found["oldest"] else ""
    return Check(name, "warn", f"{found['count']} to unfreeze or to keep frozen{since}", page)


def _alerts() -> Check:
    """Early fraud warnings, reviews, and refunds that somebody made at Stripe."""
    rows = PaymentAlert.objects.filter(closed_at=None)
    return _open_ones("payment alerts", rows, "billing_paymentalert?open=yes")


def _open_ones(name: str, rows: QuerySet[Refund | Dispute | PaymentAlert], page: str) -> Check:
    found = rows.aggregate(count=Count("pk"), cents=Sum("amount_cents"), oldest=Min("created_at"))
    if not found["count"]:
        return Check(name, "ok", "none", page)
    since = f"{found['oldest']:%Y-%m-%d %H:%M} UTC"
    detail = f"{found['count']}, {dollars(found['cents'])}; the oldest since {since}"
    return Check(name, "warn", detail, page)
