"""The result of one health check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "error"]
STATUSES: tuple[Status, ...] = ("ok", "warn", "error")  # the report has the worst of its checks


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    `admin` names the changelist with the rows in question, such as "billing_drift?state=open".
    """

    name: str
    status: Status
    detail: str
    admin: str = ""
