"""Saving a card at the gateway's own page, and removing what the gateway need not keep.

The customer returns from the page, and the gateway tells us of it too, in any order, or only one of
them happens. Both only make the row due: `complete` reads what became of the visit, and may do so
any number of times.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts.models import Customer
from billing.models import CardSetup, GatewayCustomer, GatewayRemoval, PaymentMethod
from jobs.errors import Rejected
from jobs.models import due
from jobs.worker import RowJob

from . import cards
from .gateways import CardGone, HostedCards, SavedCard, SetupState, gateway

State = CardSetup.State

CHECK_SECONDS = 3_600  # how often an open visit of which nobody tells us is looked at
JUST_BACK = timedelta(minutes=5)  # the customer waits for the card to appear
JUST_BACK_SECONDS = 5
EXPIRES = timedelta(hours=25)  # a visit at a gateway lasts a day


class NoHostedPage(Exception):
    """The gateway in use has no page for typing in cards."""


def begin(
    *, customer: Customer, done_url: Callable[[CardSetup], str], cancel_url: str, now: datetime
) -> str:
    """Open the gateway's page for a new card; its URL. Called in web requests.

    Raises NoHostedPage, GatewayUnavailable or Rejected.
    """
    hosted = hosted_cards(settings.PAYMENT_GATEWAY)
    setup = CardSetup.objects.create(
        customer=customer,
        gateway=settings.PAYMENT_GATEWAY,
        created_at=now,
        **due(now + timedelta(seconds=CHECK_SECONDS)),
    )
    reference, url = hosted.begin(setup, done_url=done_url(setup), cancel_url=cancel_url)
    CardSetup.objects.filter(pk=setup.pk).update(reference=reference)
    return url


def came_back(*, customer: Customer, setup_id: UUID, now: datetime) -> None:
    """The customer returned from the page: have the card stored now."""
    rows = CardSetup.objects.filter(customer=customer, pk=setup_id, state=State.OPEN)
    rows.run_now(now, came_back_at=now)


def is_under_way(customer: Customer, now: datetime) -> bool:
    """Whether the customer came back a moment ago and the card is not stored yet."""
    rows = CardSetup.objects.filter(customer=customer, state=State.OPEN, dead_at=None)
    return rows.filter(came_back_at__gt=now - JUST_BACK).exists()


def complete(setup: CardSetup, now: datetime) -> datetime | None:
    """Store the card of a finished visit, once. Returns when to look again."""
    if setup.state != State.OPEN:
        return None
    if not setup.reference:  # nobody was ever sent there
        return _finish(setup, State.EXPIRED, now)
    hosted = hosted_cards(setup.gateway)
    try:
        found = hosted.read(setup.reference)
    except CardGone:  # with the customer, who was deleted there
        return _finish(setup, State.EXPIRED, now)
    if found.state == SetupState.EXPIRED:
        return _finish(setup, State.EXPIRED, now)
    if found.state == SetupState.OPEN or found.card is None:
        if now - setup.created_at > EXPIRES:
            return _finish(setup, State.EXPIRED, now)
        is_just_back = setup.came_back_at is not None and now - setup.came_back_at < JUST_BACK
        return now + timedelta(seconds=JUST_BACK_SECONDS if is_just_back else CHECK_SECONDS)
    known = GatewayCustomer.objects.filter(customer=setup.customer, gateway=setup.gateway).first()
    if known is None or found.customer_reference != known.reference:
        raise Rejected("the card was saved for another customer at the gateway")
    if not _is_superseded(setup):
        hosted.set_default(setup.customer, found.card.card.reference)
    _keep(setup, found.card, now)
    return None


def remove_card(*, customer: Customer, now: datetime) -> bool:
    """Forget the customer's card, here now and at the gateway soon. Whether there was one.

    Raises cards.CardInUse while a payment is being made with it.
    """
    with transaction.atomic():
        method = PaymentMethod.objects.select_for_update().filter(customer=customer).first()
        if method is None:
            return False
        cards.check_unused(customer.pk)
        _remove(GatewayRemoval.Kind.CARD, method.gateway, method.reference, now)
        method.delete()
    return True


def forget(customer: Customer, now: datetime) -> None:
    """Forget cards and customer, here now and at the gateways soon. In the caller's transaction."""
    PaymentMethod.objects.filter(customer=customer).delete()
    CardSetup.objects.filter(customer=customer).delete()
    for known in GatewayCustomer.objects.filter(customer=customer):
        _remove(GatewayRemoval.Kind.CUSTOMER, known.gateway, known.reference, now)
        known.delete()


def refresh_card(*, gateway_name: str, reference: str) -> str:
    """Read a card again that changed at the gateway; what was done, for operators."""
    method = PaymentMethod.objects.filter(gateway=gateway_name, reference=reference).first()
    if method is None:
        return "no card in use here"
    owner, saved = hosted_cards(gateway_name).saved_card(reference)
    rows = PaymentMethod.objects.filter(pk=method.pk, reference=reference)
    if not owner:
        rows.delete()
        return "the card was removed there, so here too"
    rows.update(**cards.fields_of(saved))
    return f"card {saved.card.label} is read again"


def remove(removal: GatewayRemoval, now: datetime) -> None:
    """Have the gateway forget a card or a customer."""
    hosted = hosted_cards(removal.gateway)
    if removal.kind == GatewayRemoval.Kind.CARD:
        hosted.remove_card(removal.reference)
    else:
        hosted.remove_customer(removal.reference)
    GatewayRemoval.objects.filter(pk=removal.pk).delete()


def hosted_cards(name: str) -> HostedCards:
    """The pages and cards kept at this gateway. Raises NoHostedPage."""
    hosted = gateway(name).hosted
    if hosted is None:
        raise NoHostedPage(name)
    return hosted


def portal_url(*, customer: Customer, return_url: str) -> str:
    """The gateway's page for address and tax id. Called in web requests.

    Raises NoHostedPage, GatewayUnavailable or Rejected.
    """
    return hosted_cards(settings.PAYMENT_GATEWAY).portal_url(customer, return_url=return_url)


def _is_superseded(setup: CardSetup) -> bool:
    later = CardSetup.objects.filter(customer=setup.customer, created_at__gt=setup.created_at)
    return later.filter(state=State.DONE).exists()


def _keep(setup: CardSetup, saved: SavedCard, now: datetime) -> None:
    with transaction.atomic():
        # One of two at a time.
        Customer.objects.select_for_update(no_key=True).get(pk=setup.customer_id)
        if not CardSetup.objects.filter(pk=setup.pk, state=State.OPEN).exists():
            return  # another worker was faster
        if _is_superseded(setup):
            _remove(GatewayRemoval.Kind.CARD, setup.gateway, saved.card.reference, now)
            _finish(setup, State.SUPERSEDED, now)
            return
        old = PaymentMethod.objects.filter(customer=setup.customer).first()
        cards.keep(setup.customer_id, setup.gateway, saved, now)
        if old and (old.gateway, old.reference) != (setup.gateway, saved.card.reference):
            _remove(GatewayRemoval.Kind.CARD, old.gateway, old.reference, now)
        _finish(setup, State.DONE, now)


def _remove(kind: GatewayRemoval.Kind, name: str, reference: str, now: datetime) -> None:
    if gateway(name).hosted is not None:  # the test gateway's cards are kept nowhere
        GatewayRemoval.objects.create(
            kind=kind, gateway=name, reference=reference, created_at=now, **due(now)
        )


def _finish(setup: CardSetup, state: CardSetup.State, now: datetime) -> datetime | None:
    """End a visit. Returns when to look again: never."""
    CardSetup.objects.filter(pk=setup.pk, state=State.OPEN).update(state=state, finished_at=now)
    return None


COMPLETE = RowJob("cards.complete", CardSetup, complete)
REMOVE = RowJob("cards.remove", GatewayRemoval, remove)
