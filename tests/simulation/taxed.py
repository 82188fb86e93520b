"""A world with STRIPE_TAX on: customers live somewhere and move, and each charge has the tax of a
place where its customer lived. Credits know nothing of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from typing import Self
from uuid import UUID

from django.test import override_settings

from accounts.models import Customer
from billing.models import CreditGrant, Payment, PaymentAttempt
from billing.papers import profiles
from stripe_sandbox import tax as rates

from .money_kept import TAKEN
from .world import World

# Country, state, and a tax id that makes it a reverse charge.
PLACES = [
    ("DE", "", ""),
    ("FI", "", ""),
    ("CH", "", ""),
    ("GB", "", ""),
    ("US", "CA", ""),
    ("US", "OR", ""),
    ("IT", "", "IT00743110157"),
]


class TaxedWorld(World):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        # Percent at every place where a customer has ever lived.
        self.rates: dict[UUID, set[Decimal]] = defaultdict(set)

    @contextmanager
    def running(self) -> Iterator[Self]:
        with override_settings(STRIPE_TAX=True), super().running():
            yield self

    def actions(self) -> list[tuple[str, Callable[[], None], int]]:
        return [*super().actions(), ("somebody moves", self.somebody_moves, 4)]

    def sign_up(self) -> None:
        known = set(Customer.objects.values_list("pk", flat=True))
        super().sign_up()
        for customer in Customer.objects.exclude(pk__in=known):
            self.move(customer)

    def somebody_moves(self) -> None:
        if customer := self.anyone():
            self.move(customer)

    def move(self, customer: Customer) -> None:
        """To another country, or with another tax id: nothing that was shown before is charged with
        the tax of the new place."""
        country, state, tax_id = self.dice.choice(PLACES)
        percent = rates.US_RATES.get(state, 0.0) if country == "US" else rates.RATES[country]
        self.rates[customer.pk].add(Decimal(0) if tax_id else Decimal(str(percent)))
        address = {"line1": "1 Main Street", "postal_code": "12345", "city": "Town"}
        fields = address | {"name": "C S", "country": country, "state": state, "tax_id": tax_id}
        profiles.save(customer=customer, fields=fields, now=self.now())

    def at_rest(self) -> None:
        super().at_rest()
        taxes_agree(self)


def taxes_agree(world: TaxedWorld) -> None:
    """The tax of each charge is that on its price, at a place where the customer has lived; Stripe
    has worked out the same for what is charged to a card; and no tax has become credits."""
    calculations = world.stripe.world.store.calculations
    for payment in Payment.objects.filter(state__in=TAKEN):
        possible = {_tax(payment.net_cents, rate) for rate in world.rates[payment.customer_id]}
        assert payment.tax_cents in possible, f"{payment}: {payment.tax_cents} of {possible}"
        attempt = PaymentAttempt.objects.get(payment=payment, number=payment.attempt_number)
        if attempt.is_at_page:
            continue
        hooks = attempt.parameters.get("hooks")
        assert hooks, f"{payment} was charged without asking Stripe for the tax"
        found = calculations[hooks["inputs"]["tax"]["calculation"]]
        assert found["amount_total"] == payment.amount_cents, payment
        assert found["tax_amount_inclusive"] == payment.tax_cents, payment
    for grant in CreditGrant.objects.filter(payment__purchase__isnull=False):
        assert grant.payment.net_cents == grant.payment.purchase.amount_cents, grant


def _tax(cents: int, percent: Decimal) -> int:
    return int((cents * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))
