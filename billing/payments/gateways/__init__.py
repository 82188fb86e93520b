"""Payment gateways: who moves the money. `settings.PAYMENT_GATEWAY` names the one new payments use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from jobs.errors import Unavailable

GATEWAYS = {"test": "billing.payments.gateways.test.TestGateway"}


class GatewayDeclined(Exception):
    """The gateway took no money and will not with this card. The message is for the customer."""


class GatewayUnavailable(Unavailable):
    """No answer, so nobody knows whether money was taken: `find` before charging again."""


@dataclass(frozen=True, slots=True)
class Charge:
    """Money taken. `reference` is the charge's id at the gateway."""

    reference: str
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Card:
    reference: str
    label: str


class Gateway(Protocol):
    cards: tuple[Card, ...]  # what a customer may choose without entering card data; the first is the default
    is_real_money: bool

    def charge(self, *, key: str, amount_cents: int, currency: str, method_reference: str, description: str) -> Charge:
        """Take the money, once per `key`. Raises GatewayDeclined or GatewayUnavailable."""

    def find(self, *, key: str) -> Charge | None:
        """The charge made under `key`, if there was one. Raises GatewayUnavailable."""

    def refund(self, *, key: str) -> None:
        """Give the whole charge of `key` back, once. Raises GatewayDeclined or GatewayUnavailable."""


def gateway(name: str = "") -> Gateway:
    """The gateway of this name, by default the one in use. Raises KeyError for a name nobody knows."""
    made: Gateway = import_string(GATEWAYS[name or settings.PAYMENT_GATEWAY])()
    return made
