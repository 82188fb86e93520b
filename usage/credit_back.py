"""Credits back for a generation that was no good: new credits on the contract. What was reported stays reported."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import User
from billing.models import ComplimentaryGrant
from billing.subscriptions import complimentary

from .models import Generation


class NotCreditable(Exception):
    """Only what was done, and so paid, can be credited back."""


def credit_back(*, generation: Generation, by: User, reason: str, now: datetime) -> ComplimentaryGrant:
    """Give back what the generation cost, once; a worker makes the credits. A second call gives the first credit_back.

    `generation.credit_back` is the credit back, and its `grant` is set when the credits are there. Raises NotCreditable.
    """
    with transaction.atomic():
        generation = Generation.objects.select_for_update(of=("self",)).select_related("customer").get(pk=generation.pk)
        if generation.state != Generation.State.DONE:
            raise NotCreditable(f"the generation is {generation.state}: nothing was charged for it")
        gift = complimentary.give(
            customer=generation.customer,
            credits=generation.credits,
            reason=reason,
            by=by,
            key=f"vocalis-credit-back-{generation.pk}",
            kind=ComplimentaryGrant.Kind.CREDIT_BACK,
            now=now,
        )
        Generation.objects.filter(pk=generation.pk, credit_back=None).update(credit_back=gift)
    return gift
