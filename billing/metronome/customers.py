"""Customers at Metronome: their names, and the aliases usage is reported under."""

from __future__ import annotations

from collections.abc import Sequence

from .client import AlreadyDone, MetronomeRejected, all_pages, an_id, nothing, reader, talk, writer


def find_customer(*, alias: str) -> str | None:
    """Id of the live customer that owns this ingest alias."""
    with talk("find a customer"):
        found = all_pages(reader().v1.customers.list(ingest_alias=alias))
        return an_id(found[0]) if found else None


def create_customer(*, name: str, alias: str) -> str:
    """Make a customer, returning its id. The alias is the natural key: AlreadyDone if a customer owns it."""
    with talk("create a customer", conflict=AlreadyDone):
        return an_id(writer().v1.customers.create(name=name[:160], ingest_aliases=[alias]).data)


def set_aliases(*, customer_id: str, aliases: Sequence[str]) -> None:
    """Replace the customer's set of ingest aliases. MetronomeRejected if one belongs to somebody else."""
    with talk("set ingest aliases", conflict=MetronomeRejected):
        nothing(
            writer().v1.customers.with_raw_response.set_ingest_aliases(
                customer_id=customer_id, ingest_aliases=list(aliases)
            )
        )


def known_as(*, customer_id: str) -> tuple[str, list[str]]:
    """The customer's name and ingest aliases."""
    with talk("read a customer"):
        found = reader().v1.customers.retrieve(customer_id=customer_id).data
        return str(found.name), list(found.ingest_aliases)


def rename_customer(*, customer_id: str, name: str) -> None:
    with talk("rename a customer"):
        an_id(writer().v1.customers.set_name(customer_id=customer_id, name=name).data)
