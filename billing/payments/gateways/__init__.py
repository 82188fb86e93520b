"""Payment gateways: who moves the money.

`settings.PAYMENT_GATEWAY` names the one new payments use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from jobs.errors import Unavailable

GATEWAYS = {"test": "billing.payments.gateways.test.TestGateway"}


class GatewayDeclined(Exception):
    """The gateway took no money and will not with this card. The message is for the customer."""


class GatewayUnavailable(Unavailable):
    """No answer, so nobody knows whether money was taken: `find` before charging again."""


class ChargeState(StrEnum):
    PAID = "paid"
    # nothing is taken until the customer has confirmed it at the bank: `confirmation_url`
    WAITING = "waiting"
    CANCELLED = "cancelled"  # nothing was taken, and nothing will be


@dataclass(frozen=True, slots=True)
class Charge:
    """What became of a charge. `reference` is its id at the gateway."""

    reference: str
    amount_cents: int
    method_reference: str
    state: ChargeState


@dataclass(frozen=True, slots=True)
class Card:
    reference: str
    label: str


class Gateway(Protocol):
    is_real_money: bool

    def cards_of(self, *, customer_id: UUID) -> Sequence[Card]:
        """What this customer may choose without entering card data, the one to begin with first.

        Asks nobody outside.
        """

    def charge(
        self, *, key: str, amount_cents: int, currency: str, method_reference: str, description: str
    ) -> Charge:
        """Take the money, once per `key`; the charge is PAID, or WAITING for the customer to
        confirm it.

        Raises GatewayDeclined or GatewayUnavailable.
        """

    def find(self, *, key: str) -> Charge | None:
        """The charge made under `key`, if there was one. Raises GatewayUnavailable."""

    def confirmation_url(self, *, key: str, return_url: str) -> str:
        """Where the customer confirms the WAITING charge of `key`, to come back to `return_url`.

        Asked while the customer waits. Raises GatewayUnavailable.
        """

    def cancel(self, *, key: str) -> Charge:
        """See to it that a WAITING charge is never taken.

        Of one that was confirmed before: PAID. Safe to repeat.

        Raises GatewayUnavailable.
        """

    def refund(self, *, key: str) -> None:
        """Give the whole PAID charge of `key` back, once.

        Raises GatewayDeclined or GatewayUnavailable.
        """


def gateway(name: str = "") -> Gateway:
    """The gateway of this name, by default the one in use.

    Raises KeyError for a name nobody knows.
    """
    made: Gateway = import_string(GATEWAYS[name or settings.PAYMENT_GATEWAY])()
    return made
