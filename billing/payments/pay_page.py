"""Paying at the gateway's own page: one visit there is one attempt at a payment.

The attempt is stored with everything that is sent before the page is opened, and the page is opened
under the attempt's key, so that a double click, a lost answer and the back button all lead to one
page. The customer returns from it, and the gateway tells us of it too, in any order, or only one of
them happens. Both only make the payment due: `look` reads what became of the visit.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from accounts.models import Customer
from billing.models import Payment, PaymentAttempt, PaymentMethod, Subscription
from jobs.errors import Rejected

from . import attempts, requests, setups
from .gateways import CardGone, ChargeState, SetupState, Visit, gateway

State = Payment.State

UNOPENED_LASTS = timedelta(hours=1)  # until then one that could not be opened can be
LASTS = timedelta(hours=25)  # a page at a gateway is open for a day
NOT_PAID = "It was not paid within a day."
LEFT = "You left the page without paying."
ANOTHER = "You began another top-up instead."


def keeps_card(customer_id: UUID) -> bool:
    """Whether the card that is typed in there becomes the customer's.

    It never replaces one, and never comes to pay what was not shown beside it.
    """
    if PaymentMethod.objects.filter(customer_id=customer_id).exists():
        return False
    waiting = Payment.objects.filter(customer_id=customer_id, state=State.REQUIRES_ACTION)
    past_due = Subscription.objects.live().filter(
        customer_id=customer_id, past_due_at__isnull=False
    )
    return not (waiting.exists() or past_due.exists())


def ready(customer: Customer) -> None:
    """Have the customer known at the gateway. Called in web requests, outside transactions.

    Raises GatewayUnavailable or Rejected.
    """
    gateway().pay_page.ready(customer)


def prepare(
    payment: Payment, *, done_url: str, cancel_url: str, is_card_kept: bool, now: datetime
) -> PaymentAttempt:
    """Store the attempt of a payment that is AT_PAGE, in the caller's transaction, after `ready`.

    `is_card_kept` is what the customer was shown of `keeps_card`. Raises CardGone if the customer
    was deleted at the gateway meanwhile.
    """
    attempt = PaymentAttempt(
        payment=payment,
        number=payment.attempt_number,
        key=attempts.key_of(payment, payment.attempt_number),
        amount_cents=payment.amount_cents,
        currency=payment.currency,
        is_at_page=True,
        created_at=now,
    )
    attempt.parameters = gateway(payment.gateway).pay_page.parameters(
        attempt,
        description=attempts.description_of(payment),
        done_url=done_url,
        cancel_url=cancel_url,
        keeps_card=is_card_kept,
    )
    attempt.save(force_insert=True)
    return attempt


def open_page(payment: Payment, *, now: datetime) -> str:
    """The URL of the page, "" if nothing can be paid there any more. Called in web requests.

    Safe to repeat: there is one page for an attempt. Raises GatewayUnavailable or Rejected.
    """
    attempt = attempts.current(payment)
    if attempt is None or not attempt.is_at_page or not requests.is_unpaid(payment):
        return ""
    if attempt.page_reference:
        return gateway(payment.gateway).pay_page.url_of(attempt.page_reference)
    return _open(attempt, now)


def came_back(*, customer: Customer, payment_id: UUID, now: datetime) -> None:
    """The customer returned from the page, having paid: look at it now."""
    mine = Payment.objects.filter(customer=customer, pk=payment_id, state=State.AT_PAGE)
    with transaction.atomic():
        PaymentAttempt.objects.filter(payment__in=mine, came_back_at=None).update(came_back_at=now)
        mine.run_now(now)


def unpaid(customer_id: UUID) -> list[Payment]:
    """Payments that wait for the customer to go to the page and pay."""
    waiting = PaymentAttempt.objects.filter(
        payment__customer=customer_id,
        payment__state=State.AT_PAGE,
        payment__failure="",
        came_back_at=None,
    )
    rows = waiting.select_related("payment").order_by("payment__created_at")
    return [attempt.payment for attempt in rows]


def call_off_others(customer_id: UUID, now: datetime) -> None:
    """Close pages that were left without paying, as something else is paid instead.

    In the caller's transaction.
    """
    for payment in unpaid(customer_id):
        requests.call_off(payment, failure=ANOTHER, now=now)


def look(attempt: PaymentAttempt, *, is_over: bool, now: datetime) -> Visit:
    """What became of the visit. With `is_over` the page is closed if nobody has paid there.

    Raises what the gateway raises.
    """
    page = gateway(attempt.payment.gateway).pay_page
    try:
        if not attempt.page_reference:
            found = _unknown(attempt, is_over=is_over, now=now)
            if found:
                return found
        visit = page.read(attempt.page_reference)
        if visit.state == SetupState.OPEN and is_over:
            visit = page.close(attempt.page_reference)
    except CardGone:  # with the customer, who was deleted there
        return Visit(SetupState.EXPIRED)
    return visit


def check_amount(attempt: PaymentAttempt, visit: Visit) -> None:
    """Raise Rejected if another amount was paid than was shown: a person has to look at it."""
    if (visit.amount_cents, visit.currency) != (attempt.amount_cents, attempt.currency):
        raise Rejected(
            f"{visit.amount_cents} {visit.currency} were paid at the page instead of "
            f"{attempt.amount_cents} {attempt.currency}"
        )


def note_card(attempt: PaymentAttempt, visit: Visit, now: datetime) -> None:
    """Store with which card was paid, and use it from now on if it is the customer's first.

    Safe to repeat. Raises what the gateway raises.
    """
    if visit.card is None:
        return
    card = visit.card.card
    fields = {
        "method_reference": card.reference,
        "fingerprint": card.fingerprint,
        "label": card.label,
    }
    PaymentAttempt.objects.filter(pk=attempt.pk).update(**fields)
    for name, value in fields.items():
        setattr(attempt, name, value)
    if not visit.is_card_kept:
        return
    payment = attempt.payment
    with suppress(CardGone):  # removed there at once: it has paid, and cannot be kept
        setups.keep_first(
            payment.customer,
            payment.gateway,
            visit.card,
            may_keep=lambda: keeps_card(payment.customer_id),
            now=now,
        )


def forget_card(attempt: PaymentAttempt, visit: Visit, now: datetime) -> None:
    """Have the card of a visit that is paid back removed at the gateway, unless it is in use.

    Safe to repeat.
    """
    if visit.card and visit.is_card_kept:
        payment = attempt.payment
        setups.keep_first(
            payment.customer, payment.gateway, visit.card, may_keep=lambda: False, now=now
        )


def _open(attempt: PaymentAttempt, now: datetime) -> str:
    """Open the page under the attempt's key, and store its id. Returns its URL."""
    rows = PaymentAttempt.objects.filter(pk=attempt.pk)
    rows.filter(first_sent_at=None).update(first_sent_at=now)
    reference, url = gateway(attempt.payment.gateway).pay_page.open(attempt)
    rows.filter(page_reference="").update(page_reference=reference)
    attempt.page_reference = reference
    return url


def _unknown(attempt: PaymentAttempt, *, is_over: bool, now: datetime) -> Visit | None:
    """The visit to a page whose id was never stored. None once it is.

    Nobody was ever sent there, unless the answer got lost.
    """
    if attempt.first_sent_at is None:
        is_over = is_over or now - attempt.created_at >= UNOPENED_LASTS
        return Visit(SetupState.EXPIRED if is_over else SetupState.OPEN)
    if now - attempt.first_sent_at < attempts.KEY_LASTS:
        try:
            _open(attempt, now)
        except Rejected:  # so there is no page
            return Visit(SetupState.EXPIRED)
        return None
    if now - attempt.first_sent_at < LASTS:
        return Visit(SetupState.OPEN)  # until it has closed by itself
    charge = gateway(attempt.payment.gateway).find(attempt)
    if charge is None or charge.state != ChargeState.PAID:
        return Visit(SetupState.EXPIRED)
    return Visit(SetupState.DONE, charge, attempt.amount_cents, attempt.currency)
