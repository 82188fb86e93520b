"""Provisioning: each customer has exactly one Metronome customer, with their name and aliases.

The stable ingest alias (`vocalis_<uuid>`) is the natural key. Metronome lets only one customer own
an alias. So looking for it before creating the customer, and creating the customer with it alone,
is safe in any number of workers, killed at any point. The e-mail alias is added afterwards, for
the convenience of operators. If another Metronome customer owns it, it stays there.

Name and aliases are overwritten, and a worker slower than its lease may overwrite newer values.
Such a worker makes the row due again. A deleted customer's old name must not come back, so it is
checked once more when no such worker can be running.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from accounts.models import Customer, IngestAlias
from billing import metronome
from billing.metronome.customers import name_and_aliases, rename_customer
from jobs.worker import RowJob

NAME_CHARACTERS_MAX = 160  # Metronome's limit
# By then a worker with an outdated name has written it, or never will.
LATE_SECONDS = 3_600


def provision(customer: Customer, now: datetime) -> datetime | None:
    """Create or find the Metronome customer, then bring its name and aliases to ours.

    Returns when to run again. A deleted customer is due until Metronome was found to know it only
    by its stable alias, at least LATE_SECONDS after it confirmed that state.
    """
    try:
        kinds = set(customer.aliases.values_list("kind", flat=True))
        is_deleted = kinds == {IngestAlias.Kind.STABLE}
        if is_deleted and (confirmed_at := _anonymous_since(customer)):
            again_at = confirmed_at + timedelta(seconds=LATE_SECONDS)
            return again_at if again_at > now else None
        _push(customer, now)
        return now + timedelta(seconds=LATE_SECONDS) if is_deleted else None
    finally:
        # If another worker has taken the row over, this one may have overwritten newer values,
        # whether or not its call was answered.
        Customer.objects.filter(pk=customer.pk).exclude(lease=customer.lease).run_now(now)


def _anonymous_since(customer: Customer) -> datetime | None:
    """When Metronome confirmed that it knows the deleted customer only by its stable alias.

    None if it never did, or if it knows more now.
    """
    stable = customer.aliases.filter(kind=IngestAlias.Kind.STABLE).exclude(pushed_at=None).first()
    if stable is None or not customer.metronome_id:
        return None
    found = name_and_aliases(customer_id=customer.metronome_id)
    return stable.pushed_at if found == (_name(customer), [stable.name]) else None


def _push(customer: Customer, now: datetime) -> None:
    metronome_id = customer.metronome_id or metronome.find_customer(alias=customer.stable_alias)
    if metronome_id:
        rename_customer(customer_id=metronome_id, name=_name(customer))
    else:
        metronome_id = _create(customer)
    if not customer.metronome_id:
        rows = Customer.objects.filter(pk=customer.pk, metronome_id=None)
        rows.update(metronome_id=metronome_id)
    _push_aliases(customer, metronome_id, now)


def _create(customer: Customer) -> str:
    try:
        return metronome.create_customer(name=_name(customer), alias=customer.stable_alias)
    except metronome.AlreadyDone as error:  # a concurrent worker created it
        found = metronome.find_customer(alias=customer.stable_alias)
        if not found:
            raise metronome.MetronomeUnavailable(
                f"the customer was created but is not listed yet: {error}"
            ) from error
        # The other worker may have used an older name.
        rename_customer(customer_id=found, name=_name(customer))
        return found


def _name(customer: Customer) -> str:
    return customer.user.get_full_name()[:NAME_CHARACTERS_MAX] or "Vocalis customer"


def _push_aliases(customer: Customer, metronome_id: str, now: datetime) -> None:
    """Replace Metronome's set with the stable alias and, if nobody owns it, the e-mail alias.

    The call replaces the whole set, so all aliases are sent together. Taking an alias from another
    Metronome customer might move that customer's usage to ours, so ownership is checked first.
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
    """Whether another Metronome customer keeps the e-mail alias. Notes that on the alias.

    Raises MetronomeUnavailable if the owner is a customer of ours who is about to give it up.
    """
    owner = metronome.find_customer(alias=email.name)
    if owner in (None, metronome_id):
        return False
    # The owner may be a customer of ours who changed their address, with the push still due. Our
    # own old address is released before waiting, or two customers swapping addresses would wait for
    # each other.
    if Customer.objects.filter(metronome_id=owner, due_at__isnull=False, dead_at=None).exists():
        stable_alias = email.customer.stable_alias
        metronome.set_aliases(customer_id=metronome_id, aliases=[stable_alias])
        raise metronome.MetronomeUnavailable(
            f"the alias {email.name} is being released by another customer"
        )
    _note_conflict(email, f"belongs to another Metronome customer, {owner}")
    return True


def _note_conflict(email: IngestAlias, reason: str) -> None:
    rows = IngestAlias.objects.filter(pk=email.pk, name=email.name)
    rows.update(conflict=reason, pushed_at=None)


def _note_pushed(names: list[str], now: datetime) -> None:
    """Mark aliases as pushed, by name.

    An alias renamed during the call was not pushed; its rename has made the row due again.
    """
    IngestAlias.objects.filter(name__in=names).update(pushed_at=now, conflict="")


PROVISION = RowJob("customers.provision", Customer, provision)
