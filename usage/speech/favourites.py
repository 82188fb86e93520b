"""The voices a customer wants to see first."""

from __future__ import annotations

from accounts.models import Customer
from usage.models import Favourite

from . import voices
from .problems import Refused

FAVOURITES_MAX = 100


def of(customer: Customer) -> frozenset[str]:
    """The ids of their voices. Some may be gone."""
    return frozenset(customer.favourites.values_list("voice", flat=True))


def put(*, customer: Customer, voice_id: str, is_favourite: bool) -> None:
    """Make a voice a favourite, or one no more. Twice is as once. Raises UnknownVoice, Refused."""
    if not is_favourite:
        customer.favourites.filter(voice=voice_id.replace("\0", "")).delete()
        return
    voice = voices.resolve(customer, voice_id).id
    if customer.favourites.exclude(voice=voice).count() >= FAVOURITES_MAX:
        message = f"You have {FAVOURITES_MAX} favourites, as many as are kept. Remove one first."
        raise Refused({"voice": [message]})
    Favourite.objects.bulk_create(
        [Favourite(customer=customer, voice=voice)], ignore_conflicts=True
    )
