"""Payment gateways, which move the money.

`settings.PAYMENT_GATEWAY` names the one that new payments use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from billing.models import Payment
from jobs.errors import Unavailable

GATEWAYS = {"test": "billing.payments.gateways.test.TestGateway"}


class GatewayDeclined(Exception):
    """The gateway took no money and will not with this card.

    The message is shown to the customer. `decline` says whether trying again makes sense.
    """

    def __init__(self, message: str, decline: Payment.Decline = Payment.Decline.LATER) -> None:
        super().__init__(message)
        self.decline = decline


class GatewayUnavailable(Unavailable):
    """The gateway did not respond, so money may have been taken.

    Call `find` before charging again."""


class ChargeState(StrEnum):
    PAID = "paid"
    # No money is taken until the customer confirms it with the bank (`confirmation_url`).
    WAITING = "waiting"
    CANCELLED = "cancelled"  # no money was taken, and none will be


@dataclass(frozen=True, slots=True)
class Charge:
    """The state of a charge. `reference` is its id at the gateway."""

    reference: str
    amount_cents: int
    method_reference: str
    state: ChargeState


@dataclass(frozen=True, slots=True)
class Card:
    reference: str
    label: str
    fingerprint: str = ""  # the same for one card, whatever its reference


class Gateway(Protocol):
    is_real_money: bool

    def cards_of(self, *, customer_id: UUID) -> Sequence[Card]:
        """The cards this customer can choose without entering card data, the default first.

        Makes no network call.
        """

    def charge(
        self, *, key: str, amount_cents: int, currency: str, method_reference: str, description: str
    ) -> Charge:
        """Charge the card once per `key`. The charge is PAID, or WAITING for a confirmation.

        Raises GatewayDeclined or GatewayUnavailable.
        """

    def find(self, *, key: str) -> Charge | None:
        """The charge made under `key`, if there was one. Raises GatewayUnavailable."""

    def confirmation_url(self, *, key: str, return_url: str) -> str:
        """URL where the customer confirms the WAITING charge of `key`.

        From there the customer returns to `return_url`. Called in web requests. Raises
        GatewayUnavailable.
        """

    def cancel(self, *, key: str) -> Charge:
        """Cancel a WAITING charge. The result is CANCELLED, or PAID if it was confirmed before.

        Safe to repeat. Raises GatewayUnavailable.
        """

    def refund(self, *, key: str) -> None:
        """Refund the whole PAID charge of `key`, once.

        Raises GatewayDeclined or GatewayUnavailable.
        """


def gateway(name: str = "") -> Gateway:
    """The gateway of this name, by default the one in use. Raises KeyError for an unknown name."""
    made: Gateway = import_string(GATEWAYS[name or settings.PAYMENT_GATEWAY])()
    return made
