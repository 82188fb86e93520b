"""Payment gateways, which move the money.

Rows have the name of the gateway they were made for, and stay with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from django.utils.module_loading import import_string

from accounts.models import Customer
from billing.models import BillingProfile, CardSetup, Payment, PaymentAttempt
from jobs.errors import Unavailable

GATEWAYS = {"stripe": "billing.payments.gateways.stripe.charges.StripeGateway"}
DEFAULT = "stripe"  # of cards and payments that are new


class GatewayDeclined(Exception):
    """The gateway took no money and will not with this card.

    The message is shown to the customer. `decline` says whether trying again makes sense,
    `reference` names the charge at the gateway, if it made one.
    """

    def __init__(
        self,
        message: str,
        decline: Payment.Decline = Payment.Decline.LATER,
        *,
        reference: str = "",
    ) -> None:
        super().__init__(message)
        self.decline, self.reference = decline, reference


class CardGone(GatewayDeclined):
    """The card is not this customer's at the gateway any more: it was removed or replaced."""


class AlreadyRefunded(GatewayDeclined):
    """Somebody has given the whole charge back at the gateway: nothing of it is left."""


class GatewayUnavailable(Unavailable):
    """The gateway did not respond, so money may have been taken.

    `is_doubtful`: it answered with an error of its own. It would repeat that answer to the same
    key, whatever has become of the charge, so `find` says more than charging again.
    `is_under_way`: another request with the same key is being answered.
    """

    def __init__(
        self,
        message: str,
        *,
        is_doubtful: bool = False,
        is_under_way: bool = False,
        pause_seconds: int = 0,
        retry_after_seconds: float = 0,
    ) -> None:
        super().__init__(
            message, pause_seconds=pause_seconds, retry_after_seconds=retry_after_seconds
        )
        self.is_doubtful, self.is_under_way = is_doubtful, is_under_way


class ChargeState(StrEnum):
    PAID = "paid"
    # No money is taken until the customer confirms it with the bank (`confirmation_url`).
    WAITING = "waiting"
    PENDING = "pending"  # the bank has not decided yet; nothing can be done but wait
    DECLINED = "declined"  # no money was taken, and none will be unless the customer does something
    CANCELLED = "cancelled"  # no money was taken, and none will be


@dataclass(frozen=True, slots=True)
class Charge:
    """The state of a charge. `reference` is its id at the gateway."""

    reference: str
    state: ChargeState
    receipt_url: str = ""
    message: str = ""  # of one that was declined
    decline: Payment.Decline = Payment.Decline.LATER


class RefundState(StrEnum):
    PAID_BACK = "paid back"  # or on its way: some banks take days
    REFUSED = "refused"  # the customer's bank did not take it


@dataclass(frozen=True, slots=True)
class Refund:
    reference: str
    state: RefundState
    message: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    reference: str
    label: str
    fingerprint: str = ""  # the same for one card, whatever its reference


@dataclass(frozen=True, slots=True)
class SavedCard:
    """A card that is kept at the gateway, with what may be shown of it."""

    card: Card
    brand: str
    last4: str
    exp_month: int | None = None
    exp_year: int | None = None


class SetupState(StrEnum):
    OPEN = "open"
    DONE = "done"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Setup:
    """What became of a visit to the page where a card is typed in."""

    state: SetupState
    customer_reference: str
    card: SavedCard | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """What became of a visit to the page where a payment is made. A DONE one has a `charge`.

    `card` paid it; `is_card_kept` says whether it may be charged again.
    """

    state: SetupState
    charge: Charge | None = None
    amount_cents: int = 0
    currency: str = ""
    card: SavedCard | None = None
    is_card_kept: bool = False


@dataclass(frozen=True, slots=True)
class Tax:
    """What the gateway says of the tax on an amount. `reference` is the calculation's id.

    `parts` is of how many taxes it consists, each rounded by itself. `is_reverse_charged`: there is
    none because the customer, a business elsewhere, accounts for it.
    """

    reference: str
    cents: int
    parts: int
    is_reverse_charged: bool = False


class TaxUnknown(Exception):
    """The gateway cannot tell the tax of this address."""


class PayPage(Protocol):
    """A page of the gateway's own where a customer pays once, with any card.

    All but `parameters` raise GatewayUnavailable or Rejected.
    """

    def ready(self, customer: Customer) -> None:
        """Have the customer known there. Called in web requests, before `parameters`."""

    def parameters(
        self,
        attempt: PaymentAttempt,
        *,
        description: str,
        done_url: str,
        cancel_url: str,
        keeps_card: bool,
    ) -> dict[str, Any]:
        """What `open` will send, to be stored on the attempt. Makes no network call.

        Raises CardGone if the customer is not known there.
        """

    def open(self, attempt: PaymentAttempt) -> tuple[str, str]:
        """Open the page once per key. Returns (its id, its URL, "" if it is not open any more)."""

    def url_of(self, reference: str) -> str:
        """The URL of a page that was opened, "" if it is not open any more."""

    def read(self, reference: str) -> Visit:
        """What became of it."""

    def close(self, reference: str) -> Visit:
        """Close an open page, so that nobody can pay there. DONE if somebody was faster.

        Safe to repeat.
        """


class HostedCards(Protocol):
    """A gateway that keeps customers' cards, which are typed in at a page of its own."""

    def begin(self, setup: CardSetup, *, done_url: str, cancel_url: str) -> tuple[str, str]:
        """Open that page. Returns (id of the visit, URL). Called in web requests.

        This and all others raise GatewayUnavailable or Rejected, or CardGone if what they name is
        not there any more.
        """

    def read(self, reference: str) -> Setup:
        """What became of the visit."""

    def set_default(self, customer: Customer, reference: str) -> None:
        """Have charges that others make of this customer use the card, too."""

    def tell_profile(self, customer: Customer, profile: BillingProfile) -> None:
        """Have name, address and tax id there as in the profile. Safe to repeat."""

    def saved_card(self, reference: str) -> tuple[str, SavedCard]:
        """(The customer it belongs to, "" if it was removed; the card as it is now)."""

    def portal_url(self, customer: Customer, *, return_url: str) -> str:
        """URL of a page for billing address and tax id. Called in web requests."""

    def remove_card(self, reference: str) -> None:
        """Remove a card for good. Safe to repeat."""

    def remove_customer(self, reference: str) -> None:
        """Delete a customer with all cards. Safe to repeat."""

    def remove_person(self, customer_id: str) -> None:
        """Delete whatever was made there for this customer of ours, also what we never heard of.

        Safe to repeat. Called minutes after the last that could be made.
        """


class Gateway(Protocol):
    @property
    def is_real_money(self) -> bool: ...

    @property
    def hosted(self) -> HostedCards:
        """The cards it keeps, and the pages where they are typed in."""

    @property
    def pay_page(self) -> PayPage:
        """Its page for a single payment."""

    def tax(self, profile: BillingProfile, *, cents: int, currency: str, is_part: bool) -> Tax:
        """The tax on so many cents at the address of the profile.

        It is added to them, or with `is_part` a part of them. Safe to repeat. Raises TaxUnknown,
        GatewayUnavailable or Rejected.
        """

    def parameters(
        self, attempt: PaymentAttempt, *, description: str, tax_reference: str = ""
    ) -> dict[str, Any]:
        """What `charge` will send, to be stored on the attempt. Makes no network call.

        `tax_reference` is the calculation of the tax in the amount, "" if there is none. Raises
        CardGone if the customer is not known there.
        """

    def charge(self, attempt: PaymentAttempt) -> Charge:
        """Charge the card once per key of the attempt, with its stored parameters.

        Raises GatewayDeclined, GatewayUnavailable or Rejected.
        """

    def find(self, attempt: PaymentAttempt) -> Charge | None:
        """The charge of this attempt, if there is one: by its id, else by a list of the customer's.

        Raises GatewayUnavailable.
        """

    def confirmation_url(self, attempt: PaymentAttempt, *, return_url: str) -> str | None:
        """URL where the customer confirms the WAITING charge, None if nothing is left to confirm.

        From there the customer returns to `return_url`. Called in web requests. Raises
        GatewayUnavailable, or GatewayDeclined if the bank refuses it right away.
        """

    def cancel(self, attempt: PaymentAttempt) -> Charge:
        """Cancel a charge that is not paid. The result is CANCELLED, or PAID if it was by then.

        Safe to repeat. Raises GatewayUnavailable.
        """

    def refund(self, attempt: PaymentAttempt, *, key: str, amount_cents: int) -> Refund:
        """Refund so much of the PAID charge, once per key.

        Raises AlreadyRefunded, GatewayDeclined or GatewayUnavailable.
        """

    def refund_named(self, attempt: PaymentAttempt, key: str) -> Refund | None:
        """The refund of this charge that was made under `key`, if there is one.

        Raises GatewayUnavailable.
        """

    def find_refund(self, reference: str) -> Refund:
        """The refund of this id as it is now. Raises GatewayUnavailable."""


def gateway(name: str = DEFAULT) -> Gateway:
    """The gateway of this name. Raises KeyError for an unknown one."""
    made: Gateway = import_string(GATEWAYS[name])()
    return made
