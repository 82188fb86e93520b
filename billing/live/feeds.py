"""Feeds: what an event stream tells besides the balance. Apps above billing add theirs at start."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

# By wallet id, what there is to tell of it now, as JSON. Read often: it makes one cheap query.
Read = Callable[[Collection[int]], dict[int, dict[str, Any]]]
Told = tuple[tuple[str, str], ...]  # (event, data as JSON) of each feed that has something to tell

_feeds: dict[str, Read] = {}


def add(event: str, read: Read) -> None:
    """Tell in events of that name, which no other feed has, what `read` returns, as it changes.

    A change is told within a second, or at once after `billing.live.wake`. A wallet that `read`
    leaves out has nothing to tell any more: it is told an empty object once.
    """
    _feeds[event] = read


def told(wallet_ids: Collection[int]) -> dict[int, Told]:
    """What all feeds have to tell, by wallet id. Wallets without anything are left out."""
    found: dict[int, Told] = {}
    for event, read in _feeds.items():
        for wallet_id, data in read(wallet_ids).items():
            found[wallet_id] = (*found.get(wallet_id, ()), (event, json.dumps(data)))
    return found
