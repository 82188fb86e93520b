"""Tax ids of a customer: given and removed. They are read by expanding `tax_ids` of it."""

import copy
from typing import Any

from stripe_sandbox.customers import add_tax_id
from stripe_sandbox.find import customer
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import Request, missing
from stripe_sandbox.world import World


def create(world: World, request: Request) -> Resource:
    owner = customer(world.store.customers, request.names["customer"], request, None)
    add_tax_id(world, owner, request.given["type"], request.given["value"])
    return _resource(owner.hidden["tax_ids"][-1])


def delete(world: World, request: Request) -> Resource:
    owner = customer(world.store.customers, request.names["customer"], request, None)
    kept = [one for one in owner.hidden["tax_ids"] if one["id"] != request.names["id"]]
    if len(kept) == len(owner.hidden["tax_ids"]):
        raise missing("tax_id", request.names["id"], param="id", status=404)
    owner.hidden["tax_ids"] = kept
    world.store.customers.put(owner)
    body = {"id": request.names["id"], "object": "tax_id", "deleted": True}
    return Resource(id=request.names["id"], body=body)


def _resource(one: dict[str, Any]) -> Resource:
    return Resource(id=one["id"], body=copy.deepcopy(one))
