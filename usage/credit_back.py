"""Credits back what a generation cost, as new credits. Reported usage stays reported."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import User
from billing.models import ComplimentaryGrant
from billing.subscriptions import complimentary

from .models import Generation


class NotCreditable(Exception):
    """The generation is not done, so it has not cost anything."""


def credit_back(
    *, generation: Generation, by: User, reason: str, now: datetime
) -> ComplimentaryGrant:
    """Credit back what the generation cost, once; a worker creates the credits.

    Another call returns the same row, which is also `generation.credit_back`. Its `grant` is set
    once the credits exist. Raises NotCreditable.
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
