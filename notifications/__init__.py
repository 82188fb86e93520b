"""Tells customers and their programs what has happened: by mail, by a banner on the pages, and by
webhooks after the rules of Standard Webhooks (https://www.standardwebhooks.com).

    emit (in the transaction of the cause)
      → a mail (`mails`)                        → a worker sends it
      → a row for each endpoint that wants it   → a worker delivers it

Apps above call `emit`. It writes rows and calls nobody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID


def emit(
    customer_id: UUID,
    kind: str,
    key: str,
    data: dict[str, Any],
    now: datetime,
    *,
    by_webhook: bool = True,
    by_mail: bool = True,
) -> None:
    """Tell the customer, and every endpoint that wants events of this kind, of one.

    A kind of `kinds.KINDS` goes to endpoints, one of `kinds.NOTICES` to the customer by mail; one
    of both goes both ways, unless the caller names one.

    Call it in the transaction that makes it true: then the event is told if, and only if, that
    commits. `key` names the event among those of its kind (100 characters at most): the same one
    again tells nobody twice. `data` is small and goes out as JSON: ids, numbers and words of ours,
    never what a customer has written. For a customer without endpoints, an event for endpoints
    only is one indexed query.

    Raises ValueError for a kind that is in neither list, or a key that is too long.
    """
    from .outbox import emit as write  # the models: they are there once the apps are loaded

    write(customer_id, kind, key, data, now, by_webhook=by_webhook, by_mail=by_mail)
