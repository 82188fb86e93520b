"""Detects recharges that do not come.

The balance is low, but Metronome has not requested a payment, or its request got lost.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from billing import metronome
from billing.models import AutoRecharge, Contract, Recharge, Wallet
from jobs.errors import Snooze

logger = logging.getLogger(__name__)

# Five times the three minutes Metronome may take to notice; includes some retries of its webhook.
STUCK_SECONDS = 900


def clear_low_balance(customer_id: UUID) -> None:
    """Clear the marks, because a recharge was granted or the balance has recovered."""
    AutoRecharge.objects.filter(customer_id=customer_id).update(low_since_at=None, stuck_at=None)


def track_low_balance(contract: Contract, now: datetime) -> None:
    """Store since when the balance is at or below the threshold with no recharge open, or clear it.

    Called whenever the contract is synchronised or its recharge configured. The row's job becomes
    due when this has lasted STUCK_SECONDS.
    """
    on = AutoRecharge.objects.filter(enabled=True, paused_until_at=None)
    row = on.filter(customer_id=contract.customer_id).first()
    if row is None:
        return
    if not _is_low(row):
        if row.low_since_at or row.stuck_at:
            clear_low_balance(row.customer_id)
    # The mirror job may have run since and left the row without a due time.
    elif row.low_since_at is None or (row.due_at is None and not row.stuck_at):
        low_since_at = row.low_since_at or now
        AutoRecharge.objects.filter(pk=row.pk, low_since_at=row.low_since_at).schedule_if_idle(
            low_since_at + timedelta(seconds=STUCK_SECONDS), low_since_at=low_since_at
        )


def is_stuck(row: AutoRecharge, now: datetime) -> bool:
    """Whether the balance is low for STUCK_SECONDS, and Metronome was not made to evaluate yet."""
    waited = row.low_since_at and now - row.low_since_at >= timedelta(seconds=STUCK_SECONDS)
    is_on = row.enabled and row.paused_until_at is None
    return bool(is_on and waited and not row.stuck_at and _is_low(row))


def make_metronome_evaluate(
    row: AutoRecharge, customer_id: str, contract_id: str, now: datetime
) -> None:
    """Switch auto-recharge off at Metronome, once.

    The mirror job then switches it on again, which makes Metronome evaluate the balance at once.

    `stuck_at` is set afterwards: if a worker is killed in between, the next one switches off again,
    which changes nothing, and then sets it. Until the mirror has run, the settings count as not
    applied, so that `follow_metronome` does not take the switch for a failed payment.
    """
    logger.error(
        "customer %s: the balance is low since %s and no recharge came",
        row.customer_id,
        row.low_since_at,
    )
    version = row.settings_version + 1
    if not AutoRecharge.objects.filter(pk=row.pk, settings_version=row.settings_version).update(
        settings_version=version
    ):
        raise Snooze("the settings have just changed")
    row.settings_version = version
    metronome.set_recharge(
        customer_id=customer_id,
        contract_id=contract_id,
        enabled=False,
        threshold_credits=row.threshold_credits,
        recharge_to_credits=row.recharge_to_credits,
        gate=settings.METRONOME_PAYMENT_GATE,
    )
    AutoRecharge.objects.filter(pk=row.pk, low_since_at=row.low_since_at).update(stuck_at=now)
    row.stuck_at = now


def _is_low(row: AutoRecharge) -> bool:
    """Whether a recharge should come. None does while the wallet is frozen."""
    low = Wallet.objects.filter(
        customer_id=row.customer_id, balance__lte=row.threshold_credits, frozen_at=None
    )
    return low.exists() and not has_open_recharge(row.customer_id)


def has_open_recharge(customer_id: UUID) -> bool:
    return Recharge.objects.open().filter(customer_id=customer_id).exists()
