"""The customer's one contract, and the one way credits come onto it.

One contract for life: Metronome's alerts look at all contracts of a customer and its auto-recharge at one, so plans,
their renewals, packs, gifts and recharges are all commits and credits on the same open-ended contract.
"""

from __future__ import annotations

from datetime import datetime

from accounts.models import Customer
from billing import metronome
from billing.hours import ceil_hour, floor_hour
from billing.ledger import wallet_of
from billing.live.wake import wake
from billing.models import Contract, CreditGrant
from jobs.errors import Snooze

from . import grants


def ensure(customer: Customer, *, now: datetime) -> Contract:
    """The customer's contract, made at Metronome if there is none. For workers only: it calls Metronome.

    Raises Snooze while the customer is not provisioned. Two workers at once, or one killed in between, end with one
    contract: it is made under a uniqueness key and then found by its name.
    """
    metronome_id = Customer.objects.values_list("metronome_id", flat=True).get(pk=customer.pk)
    if not metronome_id:
        raise Snooze("the customer is not at Metronome yet")
    # Stored before the call, so that a second try asks for the same start. Nothing was used before the first plan.
    contract = Contract.objects.get_or_create(customer=customer, defaults={"starts_at": floor_hour(now)})[0]
    if contract.metronome_id:
        return contract
    name = f"vocalis:{customer.pk}"
    try:
        contract_id = metronome.create_contract(
            customer_id=metronome_id, key=f"vocalis-contract-{customer.pk}", name=name, starts_at=contract.starts_at
        )
    except metronome.AlreadyDone as error:
        found = metronome.find_contract(customer_id=metronome_id, name=name)
        if not found:
            raise metronome.MetronomeUnavailable(f"the contract was made but cannot be found yet: {error}") from error
        contract_id = found
    Contract.objects.filter(pk=contract.pk, metronome_id=None).schedule(now, metronome_id=contract_id)
    contract.refresh_from_db()
    return contract


def grant(
    customer: Customer,
    *,
    key: str,
    name: str,
    credits: int,
    starts_at: datetime,
    ends_at: datetime,
    priority: int,
    paid_cents: int | None = None,
    now: datetime,
) -> int:
    """Give the customer credits at Metronome and mirror them here. Returns the id of the CreditGrant.

    `key` names the grant for good: the same key again, from anywhere, gives the same grant. With `paid_cents` it is a
    commit with its invoice, else a free credit. The start is floored to the hour, the end ceiled: Metronome wants full
    hours, and the customer gets the rest of it. Nothing starts before the contract, which an outage may have delayed.
    For workers only.
    """
    contract = ensure(customer, now=now)
    mirrored = CreditGrant.objects.filter(wallet__customer=customer, key=key).order_by("starts_at")
    if grant_id := mirrored.values_list("id", flat=True).first():
        return grant_id
    metronome_id = Customer.objects.values_list("metronome_id", flat=True).get(pk=customer.pk) or ""
    try:
        commit = metronome.add_grant(
            customer_id=metronome_id,
            contract_id=contract.metronome_id or "",
            key=key,
            name=name,
            credits=credits,
            starts_at=max(floor_hour(starts_at), contract.starts_at),
            ends_at=ceil_hour(ends_at),
            priority=priority,
            paid_cents=paid_cents,
            invoiced_at=now,
        )
    except metronome.AlreadyDone:  # an answer of ours got lost, or another worker was faster
        commit = None
    if commit is None:
        found = [commit for commit in metronome.commits(customer_id=metronome_id) if commit.description == key]
        if not found:
            raise metronome.MetronomeUnavailable(f"the credits under {key} were added but are not listed yet")
        commit = found[0]
    wallet = wallet_of(customer.pk)
    grant_ids = grants.record(wallet.id, commit, now=now)
    wake(wallet.id)
    if not grant_ids:
        raise metronome.MetronomeUnavailable(f"the credits under {key} have no schedule yet")
    return grant_ids[0]
