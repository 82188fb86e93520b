"""Usage by day is the sum of the rows, whoever died, imported, deleted or had audio made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.models import Customer
from usage import rollup

if TYPE_CHECKING:
    from .world import World


def agree(world: World) -> None:
    for customer in Customer.objects.all():
        found = rollup.differences(customer, world.now())
        assert not found, f"{customer}: the rows have more than the days: {found}"
