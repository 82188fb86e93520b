"""Customers at Metronome: their names, and the ingest aliases under which usage is reported."""

from __future__ import annotations

from collections.abc import Sequence

from .client import (
    AlreadyDone,
    MetronomeRejected,
    all_pages,
    reader,
    require_empty,
    require_id,
    translate_errors,
    writer,
)


def find_customer(*, alias: str) -> str | None:
    """Id of the customer (not archived) that owns this ingest alias, None if there is none."""
    with translate_errors("find a customer"):
        found = all_pages(reader().v1.customers.list(ingest_alias=alias))
        return require_id(found[0]) if found else None


def create_customer(*, name: str, alias: str) -> str:
    """Create a customer. Returns its id. Raises AlreadyDone if another customer owns the alias."""
    with translate_errors("create a customer", conflict=AlreadyDone):
        made = writer().v1.customers.create(name=name[:160], ingest_aliases=[alias])
        return require_id(made.data)


def set_aliases(*, customer_id: str, aliases: Sequence[str]) -> None:
    """Replace the customer's ingest aliases. MetronomeRejected if another customer owns one."""
    with translate_errors("set ingest aliases", conflict=MetronomeRejected):
        require_empty(
            writer().v1.customers.with_raw_response.set_ingest_aliases(
                customer_id=customer_id, ingest_aliases=list(aliases)
            )
        )


def name_and_aliases(*, customer_id: str) -> tuple[str, list[str]]:
    """The customer's name and ingest aliases."""
    with translate_errors("read a customer"):
        found = reader().v1.customers.retrieve(customer_id=customer_id).data
        return str(found.name), list(found.ingest_aliases)


def rename_customer(*, customer_id: str, name: str) -> None:
    """Set the customer's name. Safe to repeat."""
    with translate_errors("rename a customer"):
        require_id(writer().v1.customers.set_name(customer_id=customer_id, name=name).data)


def bill_through_stripe(*, customer_id: str, stripe_customer_id: str) -> None:
    """Have Metronome charge this customer of Stripe for recharges gated by Stripe. Safe to repeat.

    https://docs.metronome.com/api-reference/customers/set-customer-billing-configurations
    """
    with translate_errors("read billing configurations"):
        known = reader().v1.customers.retrieve_billing_configurations(customer_id=customer_id).data
        for one in known:
            is_same = one.configuration.get("stripe_customer_id") == stripe_customer_id
            if one.billing_provider == "stripe" and one.archived_at is None and is_same:
                return
    configuration: dict[str, object] = {
        "stripe_customer_id": stripe_customer_id,
        "stripe_collection_method": "charge_automatically",
    }
    with translate_errors("set a billing configuration"):
        writer().v1.customers.set_billing_configurations(
            data=[
                {
                    "customer_id": customer_id,
                    "billing_provider": "stripe",
                    "delivery_method": "direct_to_billing_provider",
                    "configuration": configuration,
                }
            ]
        )
