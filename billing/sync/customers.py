"""Every customer has exactly one customer at Metronome, known there under their ingest aliases.

The stable alias (`vocalis_<uuid>`) is the natural key: Metronome lets one customer own it, so looking before making and
making with it alone is safe in any number of workers, killed at any instruction. The e-mail alias comes afterwards and
is a courtesy to operators: whoever else owns it there keeps it, and we go on without.

Name and aliases are overwritten there, and a worker that stood still for longer than its lease overwrites them with what
they were. So it makes the row due again; and a deleted customer, whom it must not bring back, is looked at once more.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from accounts.models import Customer, IngestAlias
from billing import metronome
from billing.metronome.customers import known_as, rename_customer
from jobs.worker import RowJob

NAME_CHARACTERS_MAX = 160  # Metronome's
LATE_SECONDS = 3_600  # by then a worker with an old name in hand has written it, or never will


def provision(customer: Customer, now: datetime) -> datetime | None:
    """Make or find the Metronome customer, then bring its name and its set of aliases to ours.

    A deleted customer is due until it was found to be known by its stable alias only, LATE_SECONDS after it was made so.
    """
    try:
        is_deleted = set(customer.aliases.values_list("kind", flat=True)) == {IngestAlias.Kind.STABLE}
        if is_deleted and (made_so_at := _anonymous_since(customer)):
            again_at = made_so_at + timedelta(seconds=LATE_SECONDS)
            return again_at if again_at > now else None
        _bring(customer, now)
        return now + timedelta(seconds=LATE_SECONDS) if is_deleted else None
    finally:
        # Whoever took the row over may have written before us, whether we were answered or not.
        Customer.objects.filter(pk=customer.pk).exclude(lease=customer.lease).run_now(now)


def _anonymous_since(customer: Customer) -> datetime | None:
    """When Metronome confirmed that it knows the deleted customer by its stable alias only, if it does so now."""
    stable = customer.aliases.filter(kind=IngestAlias.Kind.STABLE).exclude(pushed_at=None).first()
    if stable is None or not customer.metronome_id:
        return None
    is_anonymous = known_as(customer_id=customer.metronome_id) == (_name(customer), [stable.name])
    return stable.pushed_at if is_anonymous else None


def _bring(customer: Customer, now: datetime) -> None:
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
        rename_customer(customer_id=found, name=_name(customer))  # it may have made it with an older one
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


PROVISION = RowJob("customers.provision", Customer, provision)
