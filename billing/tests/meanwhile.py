"""Another process that does something between two statements of the one under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection


class Meanwhile:
    """For `connection.execute_wrapper`: does `act` before the statement of this number, or as soon
    after it as no transaction is open. `is_done` says whether there were so many."""

    def __init__(self, number: int, act: Callable[[], object]) -> None:
        self.left, self.act, self.is_done = number, act, False

    def __call__(self, execute: Callable[..., Any], *statement: Any) -> Any:
        self.left -= 1
        if self.left <= 0 and not self.is_done and not connection.in_atomic_block:
            self.is_done = True
            self.act()
        return execute(*statement)
