"""Every customer has exactly one customer at Metronome, known there under their ingest aliases.

The stable alias (`vocalis_<uuid>`) is the natural key: Metronome lets one customer own it, so looking before making and
making with it alone is safe in any number of workers, killed at any instruction. The e-mail alias comes afterwards and
is a courtesy to operators: whoever else owns it there keeps it, and we go on without.
"""

from __future__ import annotations

from datetime import datetime

from accounts.models import Customer, IngestAlias
from jobs.worker import RowStep

from . import metronome
from .metronome_operations import rename_customer

NAME_CHARACTERS_MAX = 160  # Metronome's


def provision(customer: Customer, now: datetime) -> None:
    """Make or find the Metronome customer, then bring its name and its set of aliases to ours."""
    metronome_id = customer.metronome_id or metronome.find_customer(alias=customer.stable_alias)
    if metronome_id:
        rename_customer(customer_id=metronome_id, name=_name(customer))
    else:
        metronome_id = _create(customer)
    if not customer.metronome_id:
        Customer.objects.filter(pk=customer.pk, metronome_id=None).update(metronome_id=metronome_id)
    _push_aliases(customer, metronome_id, now)


def _create(customer: Customer) -> str:
    try:
        return metronome.create_customer(name=_name(customer), alias=customer.stable_alias)
    except metronome.AlreadyDone as error:  # another worker was faster
        found = metronome.find_customer(alias=customer.stable_alias)
        if not found:
            raise metronome.MetronomeUnavailable(f"the customer was made but cannot be found yet: {error}") from error
        return found


def _name(customer: Customer) -> str:
    return customer.user.get_full_name()[:NAME_CHARACTERS_MAX] or "Vocalis customer"


def _push_aliases(customer: Customer, metronome_id: str, now: datetime) -> None:
    """Replace Metronome's set with our stable alias and, if it is free there, the e-mail alias.

    An alias pushed on its own would throw the others out, and one that belongs to another Metronome customer might move
    its usage to ours: hence always the whole set, and the look before.
    """
    wanted = [customer.stable_alias]
    email = IngestAlias.objects.filter(customer=customer, kind=IngestAlias.Kind.EMAIL).first()
    if email and not _conflict(email, metronome_id, now):
        try:
            metronome.set_aliases(customer_id=metronome_id, aliases=[*wanted, email.name])
        except metronome.MetronomeRejected as error:
            _note_conflict(email, str(error))
        else:
            _note_pushed([*wanted, email.name], now)
            return
    metronome.set_aliases(customer_id=metronome_id, aliases=wanted)
    _note_pushed(wanted, now)


def _conflict(email: IngestAlias, metronome_id: str, now: datetime) -> bool:
    owner = metronome.find_customer(alias=email.name)
    if owner in (None, metronome_id):
        return False
    # Someone of ours who has given this address up may only not have told Metronome yet. Our own old one is let go of
    # before waiting, or two customers who swap addresses would wait for each other.
    if Customer.objects.filter(metronome_id=owner, due_at__isnull=False, dead_at=None).exists():
        metronome.set_aliases(customer_id=metronome_id, aliases=[email.customer.stable_alias])
        raise metronome.MetronomeUnavailable(f"the alias {email.name} is just leaving another customer")
    _note_conflict(email, f"belongs to another Metronome customer, {owner}")
    return True


def _note_conflict(email: IngestAlias, reason: str) -> None:
    IngestAlias.objects.filter(pk=email.pk, name=email.name).update(conflict=reason, pushed_at=None)


def _note_pushed(names: list[str], now: datetime) -> None:
    """By name: an alias renamed during the call was not pushed, and its nudge keeps the row due."""
    IngestAlias.objects.filter(name__in=names).update(pushed_at=now, conflict="")


PROVISION = RowStep("customers", Customer, provision)
