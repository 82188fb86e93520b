"""Metronome's notifications: alerts on balances, and system and offset notifications of events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .client import (
    AlreadyDone,
    all_pages,
    reader,
    require_id,
    to_decimal,
    translate_errors,
    writer,
)


def any_customer_id() -> str | None:
    """The id of any customer, None if there is none.

    Metronome lists alerts by customer only, even those that watch all customers.
    """
    with translate_errors("list customers"):
        page = reader().v1.customers.list(limit=1)
        return next((require_id(customer) for customer in page.data), None)


def alerts(*, customer_id: str) -> list[tuple[str, Decimal, str]]:
    """The enabled alerts that watch this customer, as (type, threshold, pricing unit id)."""
    with translate_errors("list alerts"):
        items = all_pages(reader().v1.customers.alerts.list(customer_id=customer_id))
        return [
            (
                alert.type,
                to_decimal(alert.threshold),
                alert.credit_type.id if alert.credit_type else "",
            )
            for alert in (item.alert for item in items)
            if alert.status == "enabled"
        ]


def create_alert(*, key: str, name: str, type: str, threshold: int, unit_id: str) -> str:
    """Create an alert that watches all customers. Returns its id. AlreadyDone if `key` was used."""
    with translate_errors("create an alert", conflict=AlreadyDone):
        made = writer().v1.alerts.create(
            alert_type=type,  # type: ignore[arg-type]  # one of the SDK's literals
            name=name,
            threshold=threshold,
            credit_type_id=unit_id,
            uniqueness_key=key,
        )
        return require_id(made.data)


def enabled_notifications() -> set[str]:
    """The types of system notifications that are enabled."""
    with translate_errors("list system notifications"):
        found: list[Any] = []
        cursor: dict[str, Any] = {}
        while True:  # the SDK has no page class for this list
            page = reader().v2.notifications.system.list(extra_body=cursor or None)
            found += page.data
            if not page.cursor:
                return {item.policy.type for item in found if item.is_enabled}
            cursor = {"cursor": page.cursor}


def enable_notification(type: str) -> None:
    with translate_errors("enable a notification"):
        edited = writer().v2.notifications.offset.edit(policy={"type": type}, is_enabled=True)
        if edited.data.policy.type != type:
            raise TypeError(f"expected {type}")


def offset_notifications() -> set[tuple[str, str]]:
    """The active offset notifications as (type, offset), such as ("commit.segment.end", "-P3D")."""
    with translate_errors("list offset notifications"):
        page = reader().v2.notifications.offset.list(archive_filter="NOT_ARCHIVED")
        return {(item.policy.type, item.policy.offset) for item in all_pages(page)}


def create_offset_notification(*, key: str, name: str, type: str, offset: str) -> None:
    """Create a notification sent before (negative offset) or after an event.

    Raises AlreadyDone if `key` was used.
    """
    with translate_errors("create an offset notification", conflict=AlreadyDone):
        made = writer().v2.notifications.offset.create(
            name=name, policy={"type": type, "offset": offset}, uniqueness_key=key
        )
        require_id(made.data)
