"""The customer's one contract at Metronome, and adding credits to it.

A customer has one open-ended contract for life. Metronome's alerts cover all contracts of a
customer, its auto-recharge only one. So plan periods, packs, complimentary grants and recharges are
all commits and credits on the same contract.
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

from . import grants, invoices


def ensure(customer: Customer, *, now: datetime) -> Contract:
    """The customer's contract, created at Metronome if there is none.

    For workers only, as it calls Metronome. Raises Snooze while the customer is not provisioned,
    MetronomeUnavailable if the contract exists but Metronome does not list it yet.

    Concurrent workers, or one killed at any point, create one contract: it is created under a
    uniqueness key, and found by its name if that key was used.
    """
    metronome_id = Customer.objects.values_list("metronome_id", flat=True).get(pk=customer.pk)
    if not metronome_id:
        raise Snooze("the customer is not at Metronome yet")
    # Stored before the call, so that a retry requests the same start. There is no usage before the
    # first plan, so any start before it will do.
    contract = Contract.objects.get_or_create(
        customer=customer, defaults={"starts_at": floor_hour(now)}
    )[0]
    if contract.metronome_id:
        return contract
    name = f"vocalis:{customer.pk}"
    guaranteed: bool | None = True
    try:
        contract_id = metronome.create_contract(
            customer_id=metronome_id,
            key=f"vocalis-contract-{customer.pk}",
            name=name,
            starts_at=contract.starts_at,
        )
    except metronome.AlreadyDone as error:
        found = metronome.find_contract(customer_id=metronome_id, name=name)
        if not found:
            raise metronome.MetronomeUnavailable(
                f"the contract was created but is not listed yet: {error}"
            ) from error
        contract_id, guaranteed = found, None  # the synchronisation reads it
    Contract.objects.filter(pk=contract.pk, metronome_id=None).schedule(
        now, metronome_id=contract_id, zero_overage=guaranteed
    )
    invoices.run_now(customer.pk, now)
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
    """Add credits to the customer's contract and mirror them here. Returns the CreditGrant's id.

    `key` identifies the grant permanently: the same key again returns the same grant. With
    `paid_cents` the grant is a commit with an invoice, otherwise a free credit. A lower `priority`
    is drawn first.

    Metronome requires full hours, so the start is floored and the end is ceiled. The grant does not
    start before the contract, which an outage may have delayed.

    For workers only. Raises Snooze as `ensure` does, MetronomeUnavailable if the credits were added
    and Metronome does not list them yet.
    """
    contract = ensure(customer, now=now)
    mirrored = CreditGrant.objects.filter(wallet__customer=customer, key=key).order_by("starts_at")
    if grant_id := mirrored.values_list("id", flat=True).first():
        return grant_id
    rows = Customer.objects.filter(pk=customer.pk)
    metronome_id = rows.values_list("metronome_id", flat=True).get() or ""
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
    except metronome.AlreadyDone:  # added before: by a call whose answer was lost, or concurrently
        commit = None
    if commit is None:
        listed = metronome.commits(customer_id=metronome_id)
        found = [commit for commit in listed if commit.description == key]
        if not found:
            raise metronome.MetronomeUnavailable(
                f"the credits under {key} were added but are not listed yet"
            )
        commit = found[0]
    wallet = wallet_of(customer.pk)
    grant_ids = grants.record(wallet.id, commit, now=now)
    wake(wallet.id)
    if not grant_ids:
        raise metronome.MetronomeUnavailable(f"the credits under {key} have no schedule yet")
    return grant_ids[0]


def set_amount(grant: CreditGrant, *, key: str, credits: int) -> None:
    """Have Metronome's segment of this grant hold `credits`, once under `key`.

    For workers only, as it calls Metronome. The mirror here is not changed.
    """
    customer = grant.wallet.customer
    try:
        metronome.set_amount(
            customer_id=customer.metronome_id or "",
            contract_id=customer.contract.metronome_id or "",
            key=key,
            kind="commit" if grant.kind == CreditGrant.Kind.COMMIT else "credit",
            commit_id=grant.remote_id,
            segment_id=grant.segment_id,
            credits=credits,
        )
    except metronome.AlreadyDone:
        return  # by a call whose answer was lost, or concurrently
