"""Create what customers lack at Metronome: their customer, its aliases, their contract.

Workers do this as customers appear. The backfill commands are for rows that were imported, or whose
job failed for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Customer, IngestAlias
from billing import metronome
from billing.models import Contract, Subscription
from operations.command import Outcome, attempt, do_now, walk

from . import contracts
from .customers import PROVISION


def incomplete_customers(*, everyone: bool = False) -> QuerySet[Customer]:
    """Customers without a Metronome customer, or with an alias still to be pushed.

    An alias that is known to belong to another Metronome customer is not pushed. `everyone`: all
    customers.
    """
    unpushed = IngestAlias.objects.filter(customer=OuterRef("pk"), pushed_at=None, conflict="")
    stable = IngestAlias.objects.filter(customer=OuterRef("pk"), kind=IngestAlias.Kind.STABLE)
    rows = Customer.objects.select_related("user")
    if everyone:
        return rows
    return rows.filter(Q(metronome_id=None) | Exists(unpushed) | ~Exists(stable))


def customers(*, everyone: bool = False, dry_run: bool, now: datetime) -> Iterator[Outcome]:
    """Create or link their Metronome customers, and push their aliases.

    `everyone` also checks the customers that seem complete.
    """
    for customer in walk(incomplete_customers(everyone=everyone)):
        yield attempt(customer, partial(_customer, customer, dry_run, now))


def _customer(customer: Customer, dry_run: bool, now: datetime) -> Outcome:
    known = customer.metronome_id
    found = known or metronome.find_customer(alias=customer.stable_alias)
    word = "checked" if known else "linked" if found else "created"
    if dry_run:
        return Outcome(customer, f"would be {word}", found or customer.stable_alias, is_open=True)
    IngestAlias.objects.get_or_create(
        customer=customer,
        kind=IngestAlias.Kind.STABLE,
        defaults={"name": customer.stable_alias},
    )
    do_now(PROVISION, Customer.objects.filter(pk=customer.pk), now=now)
    customer.refresh_from_db(fields=["metronome_id"])
    taken = IngestAlias.objects.filter(customer=customer).exclude(conflict="").first()
    note = f", but the alias {taken.name} {taken.conflict}" if taken else ""
    return Outcome(customer, word, f"{customer.metronome_id}{note}" if note or not known else "")


def customers_without_contract(*, everyone: bool = False) -> QuerySet[Customer]:
    """Customers with a plan, past, present or requested, and no known contract at Metronome.

    `everyone` includes customers who never chose a plan.
    """
    created = Contract.objects.filter(customer=OuterRef("pk")).exclude(metronome_id=None)
    chosen = Subscription.objects.filter(customer=OuterRef("pk"))
    chosen = chosen.exclude(state=Subscription.State.FAILED)
    rows = Customer.objects.select_related("user").exclude(Exists(created))
    return rows if everyone else rows.filter(Exists(chosen))


def customer_contracts(*, everyone: bool = False, dry_run: bool, now: datetime) -> Iterator[Outcome]:
    """Create or find their contracts. `everyone` includes customers who never chose a plan."""
    for customer in walk(customers_without_contract(everyone=everyone)):
        yield attempt(customer, partial(_contract, customer, dry_run, now))


def _contract(customer: Customer, dry_run: bool, now: datetime) -> Outcome:
    if not dry_run:
        contract = contracts.ensure(customer, now=now)
        return Outcome(customer, "created or found", contract.metronome_id or "")
    name, found = f"vocalis:{customer.pk}", None
    if customer.metronome_id:
        found = metronome.find_contract(customer_id=customer.metronome_id, name=name)
    action = "would be linked" if found else "would be created"
    return Outcome(customer, action, found or name, is_open=True)
