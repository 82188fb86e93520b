"""The mirror of the auto-recharge settings on the Metronome contract, in both directions."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from billing import ledger, metronome
from billing.models import AutoRecharge, Contract, GatewayCustomer, Recharge, Subscription
from jobs.errors import Rejected, Snooze
from jobs.worker import RowJob

from . import gate
from .watchdog import (
    STUCK_SECONDS,
    has_open_recharge,
    is_stuck,
    make_metronome_evaluate,
    track_low_balance,
)

CONTRACT_CHECK_SECONDS = 60  # without a plan there is no contract yet that could be recharged
PLAN_CHECK_SECONDS = 10
GATE_CHECK_SECONDS = 60


def follow_metronome(contract: Contract, *, enabled: bool, now: datetime) -> None:
    """React to Metronome's switch `enabled`, which was just read, if it differs from ours.

    Nothing is done while our own change or a recharge is in progress. If Metronome has switched it
    off, a payment failed, and we switch it off too. Metronome is read a second time before that,
    because the customer may have switched it on in between. If it is on at Metronome only, a worker
    died after an outdated push, and the mirror job switches it off.
    """
    ours = AutoRecharge.objects.filter(customer_id=contract.customer_id).first()
    if (
        ours is None
        or _is_on_there(ours) == enabled
        or not is_mirrored(ours)
        or has_open_recharge(contract.customer_id)
    ):
        return
    as_read = AutoRecharge.objects.filter(
        pk=ours.pk, settings_version=ours.settings_version, applied_version=ours.settings_version
    )
    if enabled:
        as_read.run_now(now)
        return
    found = metronome.recharge_configuration(
        customer_id=contract.customer.metronome_id or "", contract_id=contract.metronome_id or ""
    )
    if found and not found.enabled:
        as_read.update(
            enabled=False,
            failure="The last automatic payment failed.",
            low_since_at=None,
            stuck_at=None,
            settings_version=ours.settings_version + 1,
            applied_version=ours.settings_version + 1,
        )


def mirror(row: AutoRecharge, now: datetime) -> datetime | None:
    """Copy the settings to the Metronome contract, and toggle them if a recharge does not come.

    Returns when the watchdog has to check again, None if it need not.
    """
    contract = (
        Contract.objects.filter(customer_id=row.customer_id).exclude(metronome_id=None).first()
    )
    if contract is None:
        if row.enabled:
            raise Snooze("takes effect with the first plan", seconds=CONTRACT_CHECK_SECONDS)
        return None
    customer_id, contract_id = row.customer.metronome_id or "", contract.metronome_id or ""
    _end_pause(row, now)
    if is_stuck(row, now):
        make_metronome_evaluate(row, customer_id, contract_id, now)
    is_on = _is_on_there(row)
    if is_on and not contract.recharge_enabled:
        _wait_for_plan(row)
    wanted = metronome.RechargeConfiguration(
        is_on, row.threshold_credits, row.recharge_to_credits, settings.METRONOME_PAYMENT_GATE
    )
    found = metronome.recharge_configuration(customer_id=customer_id, contract_id=contract_id)
    if found and found.gate != wanted.gate and has_open_recharge(row.customer_id):
        raise Snooze("a recharge through the former gate is under way", seconds=GATE_CHECK_SECONDS)
    if is_on and gate.is_metronomes():
        _bill_through_stripe(row, customer_id)
    if found != wanted and (found or row.enabled):
        _push(customer_id, contract_id, wanted)
        found = wanted
    if not AutoRecharge.objects.filter(pk=row.pk, settings_version=row.settings_version).update(
        applied_version=row.settings_version
    ):
        # The settings have changed in the meantime. If another worker pushed the new ones before
        # our push, ours has overwritten them, so they must be pushed again.
        AutoRecharge.objects.filter(pk=row.pk).run_now(now, applied_version=row.settings_version)
    remember(contract, found)
    # Metronome evaluates the balance now, too, and its request may get lost.
    track_low_balance(contract, now)
    row.refresh_from_db(fields=["low_since_at", "stuck_at"])
    if row.paused_until_at:
        return row.paused_until_at
    if not (row.enabled and row.low_since_at) or row.stuck_at:
        return None
    return row.low_since_at + timedelta(seconds=STUCK_SECONDS)


def _bill_through_stripe(row: AutoRecharge, customer_id: str) -> None:
    known = GatewayCustomer.objects.filter(customer_id=row.customer_id, gateway="stripe").first()
    if known is None:  # saving a card makes one, and it takes a card to switch recharges on
        raise Rejected("the customer is not known at Stripe: a card has to be saved again")
    metronome.bill_through_stripe(customer_id=customer_id, stripe_customer_id=known.reference)


def _is_on_there(row: AutoRecharge) -> bool:
    """Whether Metronome is to have it on.

    Not while the month's limit is reached, as each refusal there switches it off. Nor while staff
    has frozen the wallet, because nobody could spend what is bought. Nor while the balance is
    filled up by a recharge of our own, or Metronome would request another one.
    """
    is_wanted = row.enabled and row.paused_until_at is None
    return is_wanted and not (ledger.is_on_hold(row.customer_id) or _is_filling_up(row))


def _is_filling_up(row: AutoRecharge) -> bool:
    return Recharge.objects.open().own().filter(customer_id=row.customer_id).exists()


def _end_pause(row: AutoRecharge, now: datetime) -> None:
    if row.paused_until_at is None or row.paused_until_at > now:
        return
    version = row.settings_version + 1
    if not AutoRecharge.objects.filter(pk=row.pk, settings_version=row.settings_version).update(
        paused_until_at=None, settings_version=version
    ):
        raise Snooze("the settings have just changed")
    row.paused_until_at, row.settings_version = None, version


def _wait_for_plan(row: AutoRecharge) -> None:
    """Metronome evaluates the balance when it is switched on: not before the plan's credits."""
    mine = Subscription.objects.live().filter(customer_id=row.customer_id)
    states = set(mine.values_list("state", flat=True))
    if states == {Subscription.State.REQUESTED}:
        raise Snooze("takes effect with the plan", seconds=PLAN_CHECK_SECONDS)


def _push(customer_id: str, contract_id: str, wanted: metronome.RechargeConfiguration) -> None:
    metronome.set_recharge(
        customer_id=customer_id,
        contract_id=contract_id,
        enabled=wanted.enabled,
        threshold_credits=wanted.threshold_credits,
        recharge_to_credits=wanted.recharge_to_credits,
        gate=wanted.gate,
    )


def remember(contract: Contract, found: metronome.RechargeConfiguration | None) -> None:
    """Store the configuration that Metronome has now, None if it has none."""
    Contract.objects.filter(pk=contract.pk).update(
        recharge_enabled=found.enabled if found else None,
        recharge_threshold_credits=found.threshold_credits if found else None,
        recharge_to_credits=found.recharge_to_credits if found else None,
        recharge_gate=found.gate if found else "",
    )


def is_mirrored(row: AutoRecharge) -> bool:
    """Whether the current settings were applied at Metronome.

    If so, a different configuration there was caused by Metronome or set by hand.
    """
    return row.applied_version == row.settings_version


MIRROR = RowJob("recharge.mirror", AutoRecharge, mirror)
