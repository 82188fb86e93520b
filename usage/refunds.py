"""Credits back for a generation that was no good: new credits on the contract. What was reported stays reported."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import User
from billing.models import Gift
from billing.subscriptions import gifts

from .models import Generation


class NotRefundable(Exception):
    """Only what was done, and so paid, can be refunded."""


def refund(*, generation: Generation, by: User, reason: str, now: datetime) -> Gift:
    """Give back what the generation cost, once; a worker makes the credits. A second call gives the first refund.

    `generation.refund` is the refund, and its `grant` is set when the credits are there. Raises NotRefundable.
    """
    with transaction.atomic():
        generation = Generation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=generation.pk)
        if generation.state != Generation.State.DONE:
            raise NotRefundable(f"the generation is {generation.state}: nothing was charged for it")
        gift = gifts.give(
            customer=generation.customer,
            credits=generation.credits,
            reason=reason,
            by=by,
            key=f"vocalis-refund-{generation.pk}",
            kind=Gift.Kind.REFUND,
            now=now,
        )
        Generation.objects.filter(pk=generation.pk, refund=None).update(refund=gift)
    return gift
