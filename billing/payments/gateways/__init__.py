"""Payment gateways, which move the money.

`settings.PAYMENT_GATEWAY` names the one that new payments use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from accounts.models import Customer
from billing.models import CardSetup, Payment, PaymentAttempt
from jobs.errors import Unavailable

GATEWAYS = {
    "stripe": "billing.payments.gateways.stripe.charges.StripeGateway",
    "test": "billing.payments.gateways.test.TestGateway",
}


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


class GatewayUnavailable(Unavailable):
    """The gateway did not respond, so money may have been taken.

    `is_doubtful`: it answered with an error of its own. It would repeat that answer to the same
    key, whatever has become of the charge, so `find` says more than charging again.
    """

    def __init__(
        self,
        message: str,
        *,
        is_doubtful: bool = False,
        pause_seconds: int = 0,
        retry_after_seconds: float = 0,
    ) -> None:
        super().__init__(
            message, pause_seconds=pause_seconds, retry_after_seconds=retry_after_seconds
        )
        self.is_doubtful = is_doubtful


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

    def saved_card(self, reference: str) -> tuple[str, SavedCard]:
        """(The customer it belongs to, "" if it was removed; the card as it is now)."""

    def portal_url(self, customer: Customer, *, return_url: str) -> str:
        """URL of a page for billing address and tax id. Called in web requests."""

    def remove_card(self, reference: str) -> None:
        """Remove a card for good. Safe to repeat."""

    def remove_customer(self, reference: str) -> None:
        """Delete a customer with all cards. Safe to repeat."""


class Gateway(Protocol):
    @property
    def is_real_money(self) -> bool: ...

    @property
    def hosted(self) -> HostedCards | None:
        """The cards it keeps; None if it has but those of `cards_of`."""

    def cards_of(self, *, customer_id: UUID) -> Sequence[Card]:
        """The cards this customer can choose without entering card data, the default first.

        Makes no network call.
        """

    def parameters(self, attempt: PaymentAttempt, *, description: str) -> dict[str, Any]:
        """What `charge` will send, to be stored on the attempt. Makes no network call.

        Raises CardGone if the customer is not known there.
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

        Raises GatewayDeclined or GatewayUnavailable.
        """

    def find_refund(self, reference: str) -> Refund:
        """The refund of this id as it is now. Raises GatewayUnavailable."""


def gateway(name: str = "") -> Gateway:
    """The gateway of this name, by default the one in use. Raises KeyError for an unknown name."""
    made: Gateway = import_string(GATEWAYS[name or settings.PAYMENT_GATEWAY])()
    return made
