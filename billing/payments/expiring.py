"""Telling customers of a card that expires next month.

By our own clock, once for a card and its date: a gateway tells of new dates that a bank has sent,
not of dates that pass.
"""

from __future__ import annotations

from calendar import month_name
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from billing.models import PaymentMethod
from jobs.worker import BatchJob
from notifications import emit

AT_ONCE = 100


def waiting(now: datetime) -> QuerySet[PaymentMethod]:
    """Cards that expire at the end of the month after this one, in UTC, and were not told of."""
    month, year = now.month % 12 + 1, now.year + now.month // 12
    return PaymentMethod.objects.filter(
        exp_month=month, exp_year=year, is_expiry_told=False, customer__user__is_active=True
    )


def tell_expiry(now: datetime) -> int:
    """Tell the customers of up to a hundred of them. Returns how many were told."""
    rows = list(waiting(now).order_by("pk")[:AT_ONCE])
    return sum(_tell(row, now) for row in rows)


def _tell(row: PaymentMethod, now: datetime) -> int:
    with transaction.atomic():
        # As it was read, because another card may be saved in this moment.
        same = waiting(now).filter(pk=row.pk, reference=row.reference)
        if not same.update(is_expiry_told=True):
            return 0
        data = {"card": row.label, "expires": f"{month_name[row.exp_month or 0]} {row.exp_year}"}
        emit(row.customer_id, "card.expires_soon", f"{row.reference}-{row.expires}", data, now)
    return 1


TELL_EXPIRY = BatchJob("cards.tell_expiry", waiting, tell_expiry)
