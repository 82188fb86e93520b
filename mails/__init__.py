"""Mails as rows: each is written once, in the transaction of its cause, and sent by a worker.

    write (kind, key, data) → OutboundMail → a worker renders it from kind and data, and sends it

Apps above call `write`, or `notifications.emit`, which also tells customers' programs. Nothing here
calls anybody until the worker does. Users are known by reference only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any


def write(
    user_id: int, kind: str, key: str, data: dict[str, Any], now: datetime, *, to: str = ""
) -> None:
    """Have a mail of this kind sent to the user, unless one with the same key was written before.

    Call it in the transaction that makes it true. `data` is ids, numbers and words of ours, never
    what a person has typed. `to` is the address if it is not the one that the user has when the
    mail is sent.

    Raises ValueError for a kind that is not in `kinds.KINDS` or a key that is too long.
    """
    from .outbox import write as write_row  # the models: they are there once the apps are loaded

    write_row(user_id, kind, key, data, now, to=to)
