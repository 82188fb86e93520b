"""Tax on top of prices, which are stated without it. With STRIPE_TAX off there is none.

The gateway says a customer's rate once for each address, to the worker that tells it of the billing
profile. What is shown and charged is computed from that rate. Before a card is charged the gateway
works the tax in the shown total out, too: if the two differ, nothing is charged.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from django.conf import settings

from billing.models import BillingProfile, Payment

from .gateways import Gateway, TaxUnknown, gateway

# The tax on it, in cents, is the rate with five decimals of a percent.
PROBE_CENTS = 10_000_000
CURRENCY = "USD"

NO_ADDRESS = "Tax depends on your address: write it in your billing profile. Nothing was charged."
NOT_YET = "The tax at your address is just being worked out. Try again in a minute."
NO_PLACE = "No tax can be told for your address: correct your billing profile. Nothing was charged."
CHANGED = "The tax at your address has changed. Nothing was charged."


class Differs(Exception):
    """The tax of a payment is not what was shown, or unknown. The message is for the customer."""


def is_on() -> bool:
    return bool(settings.STRIPE_TAX)


def on(customer_id: UUID, cents: int) -> int:
    """The tax on a price of so many cents, halves of a cent rounded up.

    0 while the customer's rate is unknown: such a price cannot be chosen (`why_not`), and is not
    charged (`check`).
    """
    if not (is_on() and cents):
        return 0
    percent = _percent(customer_id)
    exact = Decimal(cents) * (percent or 0) / 100
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def with_tax(customer_id: UUID, cents: int) -> int:
    """What a price of so many cents comes to."""
    return cents + on(customer_id, cents)


def why_not(customer_id: UUID) -> str:
    """Why no price with tax can be shown to the customer, "" if it can."""
    if not is_on() or _percent(customer_id) is not None:
        return ""
    profile = BillingProfile.objects.filter(customer_id=customer_id).first()
    if profile is None:
        return NO_ADDRESS
    return NO_PLACE if profile.tax_asked_at else NOT_YET


def is_being_asked(customer_id: UUID) -> bool:
    """Whether a worker is about to ask for the rate, so that what nobody waits for can wait for it.

    False once that needs a person: then `check` says what is wrong.
    """
    asked = BillingProfile.objects.filter(customer_id=customer_id, due_at__isnull=False)
    return is_on() and asked.filter(tax_percent=None, tax_asked_at=None).exists()


def needs_address(customer_id: UUID) -> bool:
    """Whether the customer has to write or correct the address before anything can be shown."""
    return why_not(customer_id) in (NO_ADDRESS, NO_PLACE)


def ask(profile: BillingProfile, now: datetime) -> None:
    """Store the rate at the address of the profile, or that it is unknown. Safe to repeat.

    Raises GatewayUnavailable or Rejected.
    """
    percent, is_reverse_charged = None, False
    try:
        found = gateway().tax(profile, cents=PROBE_CENTS, currency=CURRENCY, is_part=False)
        percent = Decimal(found.cents) * 100 / PROBE_CENTS
        is_reverse_charged = found.is_reverse_charged
    except TaxUnknown:
        pass  # then pages ask for another address
    # Of a profile that was changed meanwhile the rate is asked again.
    unchanged = BillingProfile.objects.filter(pk=profile.pk, changed_at=profile.changed_at)
    unchanged.update(tax_percent=percent, is_reverse_charged=is_reverse_charged, tax_asked_at=now)


def check(payment: Payment, provider: Gateway, now: datetime) -> str:
    """Have the gateway work out the tax in what was shown.

    Returns its calculation's id, "" if no tax is added. Raises Differs, having asked for the rate
    anew, or GatewayUnavailable or Rejected.
    """
    if not is_on():
        if payment.tax_cents:  # shown before the switch was turned, and nobody would declare it
            raise Differs(CHANGED)
        return ""
    profile = BillingProfile.objects.filter(customer=payment.customer_id).first()
    if profile is None:
        raise Differs(NO_ADDRESS)
    try:
        found = provider.tax(
            profile, cents=payment.amount_cents, currency=payment.currency, is_part=True
        )
    except TaxUnknown:
        raise Differs(NO_PLACE) from None
    # One rate agrees to the cent. The gateway rounds each of several, so their sum may not.
    if abs(found.cents - payment.tax_cents) > found.parts // 2:
        ask(profile, now)
        raise Differs(CHANGED)
    return found.reference


def as_of_now(payment: Payment) -> dict[str, int]:
    """The fields of a payment with the tax that its price has now."""
    tax_cents = on(payment.customer_id, payment.net_cents)
    return {"tax_cents": tax_cents, "amount_cents": payment.net_cents + tax_cents}


def _percent(customer_id: UUID) -> Decimal | None:
    known = BillingProfile.objects.filter(customer_id=customer_id)
    return known.values_list("tax_percent", flat=True).first()
