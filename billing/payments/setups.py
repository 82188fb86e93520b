"""Saving a card at the gateway's own page, and removing what the gateway need not keep.

The customer returns from the page, and the gateway tells us of it too, in any order, or only one of
them happens. Both only make the row due: `complete` reads what became of the visit, and may do so
any number of times.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from accounts.models import Customer
from billing.models import CardSetup, GatewayCustomer, GatewayRemoval, PaymentMethod
from jobs.errors import Rejected
from jobs.models import due
from jobs.worker import RowJob

from . import cards
from .gateways import DEFAULT, CardGone, GatewayUnavailable, SavedCard, SetupState, gateway

State = CardSetup.State

CHECK_SECONDS = 3_600  # how often an open visit of which nobody tells us is looked at
JUST_BACK = timedelta(minutes=5)  # the customer waits for the card to appear
JUST_BACK_SECONDS = 5
# Within which a page that was being opened is open, and the gateway finds whom it was opened for.
UNHEARD_OF = timedelta(minutes=10)
EXPIRES = timedelta(hours=25)  # a visit at a gateway lasts a day


def begin(
    *,
    customer: Customer,
    done_url: Callable[[CardSetup], str],
    cancel_url: str,
    back_to: str = "",
    now: datetime,
) -> str:
    """Open the gateway's page for a new card; its URL. Called in web requests.

    `back_to` is a path of ours to which the customer returns with the card, "" for Billing.
    Raises GatewayUnavailable or Rejected.
    """
    setup = CardSetup.objects.create(
        customer=customer,
        gateway=DEFAULT,
        back_to=back_to,
        created_at=now,
        **due(now + timedelta(seconds=CHECK_SECONDS)),
    )
    hosted = gateway(setup.gateway).hosted
    try:
        reference, url = hosted.begin(setup, done_url=done_url(setup), cancel_url=cancel_url)
    except CardGone as gone:
        raise _deleted_there() from gone
    CardSetup.objects.filter(pk=setup.pk).update(reference=reference)
    return url


def came_back(*, customer: Customer, setup_id: UUID, now: datetime) -> str:
    """The customer returned from the page: have the card stored now. Returns where they go on."""
    rows = CardSetup.objects.filter(customer=customer, pk=setup_id)
    rows.filter(state=State.OPEN).run_now(now, came_back_at=now)
    return rows.values_list("back_to", flat=True).first() or ""


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
    hosted = gateway(setup.gateway).hosted
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
        try:
            hosted.set_default(setup.customer, found.card.card.reference)
        except CardGone:  # since it was read, by itself or with the customer
            return _finish(setup, State.EXPIRED, now)
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
    _remove(GatewayRemoval.Kind.PERSON, DEFAULT, str(customer.pk), now + UNHEARD_OF)


def refresh_card(*, gateway_name: str, reference: str) -> str:
    """Read a card again that changed at the gateway; what was done, for operators."""
    method = PaymentMethod.objects.filter(gateway=gateway_name, reference=reference).first()
    if method is None:
        return "no card in use here"
    owner, saved = gateway(gateway_name).hosted.saved_card(reference)
    rows = PaymentMethod.objects.filter(pk=method.pk, reference=reference)
    if not owner:
        rows.delete()
        return "the card was removed there, so here too"
    rows.update(**cards.fields_of(saved))
    return f"card {saved.card.label} is read again"


def remove(removal: GatewayRemoval, now: datetime) -> None:
    """Have the gateway forget a card, a customer, or all that it knows of a person."""
    hosted = gateway(removal.gateway).hosted
    if removal.kind == GatewayRemoval.Kind.CARD:
        hosted.remove_card(removal.reference)
    elif removal.kind == GatewayRemoval.Kind.CUSTOMER:
        hosted.remove_customer(removal.reference)
    else:
        hosted.remove_person(removal.reference)
    GatewayRemoval.objects.filter(pk=removal.pk).delete()


def portal_url(*, customer: Customer, return_url: str) -> str:
    """The gateway's page for address and tax id. Called in web requests.

    Raises GatewayUnavailable or Rejected.
    """
    try:
        return gateway().hosted.portal_url(customer, return_url=return_url)
    except CardGone as gone:
        raise _deleted_there() from gone


def _deleted_there() -> GatewayUnavailable:
    """Somebody deleted the customer there. Once its event is processed, another can be made."""
    return GatewayUnavailable("the customer was deleted at the gateway, of which we are told soon")


def keep_first(
    customer: Customer,
    gateway_name: str,
    saved: SavedCard,
    *,
    may_keep: Callable[[], bool],
    now: datetime,
) -> None:
    """Use a card from now on that a payment has left at the gateway, unless there is one.

    Then it is removed there, as nobody asked for it to be kept. Safe to repeat. Raises what the
    gateway raises.
    """
    reference = saved.card.reference
    mine = PaymentMethod.objects.filter(customer=customer)
    if not mine.exists() and may_keep():
        gateway(gateway_name).hosted.set_default(customer, reference)
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        if mine.filter(gateway=gateway_name, reference=reference).exists():
            return
        if not mine.exists() and may_keep():
            cards.keep(customer.pk, gateway_name, saved, now)
        else:
            _remove(GatewayRemoval.Kind.CARD, gateway_name, reference, now)


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


def _remove(kind: GatewayRemoval.Kind, name: str, reference: str, at: datetime) -> None:
    GatewayRemoval.objects.create(
        kind=kind, gateway=name, reference=reference, created_at=at, **due(at)
    )


def _finish(setup: CardSetup, state: CardSetup.State, now: datetime) -> datetime | None:
    """End a visit. Returns when to look again: never."""
    CardSetup.objects.filter(pk=setup.pk, state=State.OPEN).update(state=state, finished_at=now)
    return None


COMPLETE = RowJob("cards.complete", CardSetup, complete)
REMOVE = RowJob("cards.remove", GatewayRemoval, remove)
