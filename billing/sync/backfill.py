"""Create what customers lack at Metronome: their customer, its aliases, their contract, and the
terms by which it bills nothing beyond the credits.

Workers do this as customers appear. The backfill commands are for rows that were imported, or whose
job failed for good.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Customer, IngestAlias
from billing import metronome
from billing.models import Contract, Subscription
from jobs.inline import do_now

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


def look_up(customer: Customer) -> tuple[str, str]:
    """What completing the customer comes to ("checked", "linked" or "created"),
    and its id at Metronome if there is one."""
    if customer.metronome_id:
        return "checked", customer.metronome_id
    found = metronome.find_customer(alias=customer.stable_alias)
    return ("linked", found) if found else ("created", "")


def complete(customer: Customer, *, now: datetime) -> IngestAlias | None:
    """Create or link the customer at Metronome and push its aliases.

    Returns an alias that somebody else has there.

    Raises what the job raises; Snooze if a worker has the customer in hand.
    """
    IngestAlias.objects.get_or_create(
        customer=customer,
        kind=IngestAlias.Kind.STABLE,
        defaults={"name": customer.stable_alias},
    )
    do_now(PROVISION, Customer.objects.filter(pk=customer.pk), now=now)
    customer.refresh_from_db(fields=["metronome_id"])
    return IngestAlias.objects.filter(customer=customer).exclude(conflict="").first()


def customers_without_contract(*, everyone: bool = False) -> QuerySet[Customer]:
    """Customers with a plan, past, present or requested, and no known contract at Metronome.

    `everyone` includes customers who never chose a plan.
    """
    created = Contract.objects.filter(customer=OuterRef("pk")).exclude(metronome_id=None)
    chosen = Subscription.objects.filter(customer=OuterRef("pk"))
    chosen = chosen.exclude(state=Subscription.State.FAILED)
    rows = Customer.objects.select_related("user").exclude(Exists(created))
    return rows if everyone else rows.filter(Exists(chosen))


def contracts_with_overage() -> QuerySet[Customer]:
    """Customers whose contract may bill usage beyond their credits, as last read at Metronome."""
    rows = Contract.objects.exclude(metronome_id=None).exclude(zero_overage=True)
    of_customer = rows.filter(customer=OuterRef("pk"))
    return Customer.objects.select_related("user", "contract").filter(Exists(of_customer))


def guarantee(customer: Customer) -> bool:
    """Have Metronome bill the customer nothing beyond the credits. Safe to repeat.

    Returns whether that holds now. Raises MetronomeUnavailable or MetronomeRejected.
    """
    contract = customer.contract
    is_guaranteed = metronome.guarantee(
        customer_id=customer.metronome_id or "", contract_id=contract.metronome_id or ""
    )
    Contract.objects.filter(pk=contract.pk).update(zero_overage=is_guaranteed)
    return is_guaranteed


def contract_name(customer: Customer) -> str:
    return f"vocalis:{customer.pk}"


def find_contract(customer: Customer) -> str | None:
    """The id of the customer's contract at Metronome, if it has one there."""
    if not customer.metronome_id:
        return None
    return metronome.find_contract(customer_id=customer.metronome_id, name=contract_name(customer))
