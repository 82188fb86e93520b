"""Tells a customer's own programs what has happened: webhooks out, by the rules of Standard
Webhooks (https://www.standardwebhooks.com).

    emit (in the transaction of the cause) → a row for each endpoint → a worker delivers it

Apps above call `emit`. It writes rows and calls nobody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID


def emit(customer_id: UUID, kind: str, key: str, data: dict[str, Any], now: datetime) -> None:
    """Have every endpoint of the customer that wants events of this kind told of one.

    Call it in the transaction that makes it true: then the event is told if, and only if, that
    commits. `key` names the event among those of its kind (100 characters at most): the same one
    again tells nobody twice. `data` is small and goes out as JSON: ids, numbers and words of ours,
    never what a customer has written. For a customer without endpoints this is one indexed query.

    Raises ValueError for a kind that is not in `kinds.KINDS` or a key that is too long.
    """
    from .outbox import emit as write  # the models: they are there once the apps are loaded

    write(customer_id, kind, key, data, now)
