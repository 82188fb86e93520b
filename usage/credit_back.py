"""Credit back what a generation cost, as new credits on the contract.

Usage that was reported stays reported.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import User
from billing.models import ComplimentaryGrant
from billing.subscriptions import complimentary

from .models import Generation


class NotCreditable(Exception):
    """Only a finished generation has cost something that can be credited back."""


def credit_back(
    *, generation: Generation, by: User, reason: str, now: datetime
) -> ComplimentaryGrant:
    """Credit back what the generation cost, once; a worker makes the credits. A second call returns
    the first one's row.

    `generation.credit_back` is that row; its `grant` is set once the credits exist. Raises
    NotCreditable.
    """
    with transaction.atomic():
        generation = (
            Generation.objects.select_for_update(of=("self",))
            .select_related("customer")
            .get(pk=generation.pk)
        )
        if generation.state != Generation.State.DONE:
            raise NotCreditable(f"the generation is {generation.state}: it cost nothing")
        row = complimentary.give(
            customer=generation.customer,
            credits=generation.credits,
            reason=reason,
            by=by,
            key=f"vocalis-credit-back-{generation.pk}",
            kind=ComplimentaryGrant.Kind.CREDIT_BACK,
            now=now,
        )
        Generation.objects.filter(pk=generation.pk, credit_back=None).update(credit_back=row)
    return row
