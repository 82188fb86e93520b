"""The customer's auto-recharge settings, and their mirror on the Metronome contract."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F

from accounts.models import Customer
from billing import metronome, plans
from billing.models import AutoRecharge, Contract, Recharge
from jobs.errors import Snooze
from jobs.worker import RowJob

from .watchdog import (
    STUCK_SECONDS,
    has_open_recharge,
    is_stuck,
    make_metronome_evaluate,
    track_low_balance,
)

TO_CREDITS_MAX = 40_000_000  # $10,000 in one charge: more is probably a typing error

CONTRACT_CHECK_SECONDS = 60  # without a plan there is no contract yet that could be recharged


class SettingsInvalid(Exception):
    """Metronome would refuse these settings.

    `errors`: field name to a sentence for the customer.
    """

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = errors


def save_settings(
    *,
    customer: Customer,
    enabled: bool,
    threshold_credits: int,
    recharge_to_credits: int,
    now: datetime,
) -> AutoRecharge:
    """Store the settings; the job copies them to Metronome. Raises SettingsInvalid.

    Clears an earlier failure: when auto-recharge is switched on, Metronome checks the balance at
    once.
    """
    _check(threshold_credits, recharge_to_credits)
    fields = {
        "enabled": enabled,
        "threshold_credits": threshold_credits,
        "recharge_to_credits": recharge_to_credits,
        "failure": "",
        "low_since_at": None,
        "stuck_at": None,
    }
    with transaction.atomic():
        row = AutoRecharge.objects.get_or_create(customer=customer, defaults=fields)[0]
        rows = AutoRecharge.objects.filter(pk=row.pk)
        rows.run_now(now, **fields, settings_version=F("settings_version") + 1)
        if not enabled:
            _check_unpaid(customer.pk, now)
    row.refresh_from_db()
    return row


def is_switched_off(customer_id: UUID) -> bool:
    """Whether auto-recharge was switched off in our settings, by the customer or by a failure.

    False without settings: then somebody set it up at Metronome by hand.
    """
    return AutoRecharge.objects.filter(customer_id=customer_id, enabled=False).exists()


def is_off_by_choice(customer_id: UUID) -> bool:
    """Whether the customer switched it off, so that there is no failure to report."""
    return AutoRecharge.objects.filter(customer_id=customer_id, enabled=False, failure="").exists()


def switch_off(*, customer_id: UUID, failure: str = "", now: datetime) -> None:
    """Switch it off in our settings; the job then does so at Metronome.

    `failure` is the reason shown to the customer, '' if it is the customer's choice.
    """
    with transaction.atomic():
        if AutoRecharge.objects.filter(customer_id=customer_id, enabled=True).update(
            enabled=False,
            failure=failure,
            low_since_at=None,
            stuck_at=None,
            settings_version=F("settings_version") + 1,
        ):
            AutoRecharge.objects.filter(customer_id=customer_id).run_now(now)
            _check_unpaid(customer_id, now)


def _check_unpaid(customer_id: UUID, now: datetime) -> None:
    """Make a recharge that waits for its payment due; its job sees that it is switched off."""
    Recharge.objects.filter(customer_id=customer_id, state=Recharge.State.PAYING).run_now(now)


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
        or ours.enabled == enabled
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
    if is_stuck(row, now):
        make_metronome_evaluate(row, customer_id, contract_id, now)
    wanted = metronome.RechargeConfiguration(
        row.enabled, row.threshold_credits, row.recharge_to_credits
    )
    found = metronome.recharge_configuration(customer_id=customer_id, contract_id=contract_id)
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
    if not (row.enabled and row.low_since_at) or row.stuck_at:
        return None
    return row.low_since_at + timedelta(seconds=STUCK_SECONDS)


def _push(customer_id: str, contract_id: str, wanted: metronome.RechargeConfiguration) -> None:
    metronome.set_recharge(
        customer_id=customer_id,
        contract_id=contract_id,
        enabled=wanted.enabled,
        threshold_credits=wanted.threshold_credits,
        recharge_to_credits=wanted.recharge_to_credits,
    )


def remember(contract: Contract, found: metronome.RechargeConfiguration | None) -> None:
    """Store the configuration that Metronome has now, None if it has none."""
    Contract.objects.filter(pk=contract.pk).update(
        recharge_enabled=found.enabled if found else None,
        recharge_threshold_credits=found.threshold_credits if found else None,
        recharge_to_credits=found.recharge_to_credits if found else None,
    )


def is_mirrored(row: AutoRecharge) -> bool:
    """Whether the current settings were applied at Metronome.

    If so, a different configuration there was caused by Metronome or set by hand.
    """
    return row.applied_version == row.settings_version


def _check(threshold_credits: int, recharge_to_credits: int) -> None:
    """Check Metronome's minimums and our maximum. Raises SettingsInvalid."""
    if errors := errors_of(threshold_credits, recharge_to_credits):
        raise SettingsInvalid(errors)


def errors_of(threshold: int | None, recharge_to: int | None) -> dict[str, str]:
    """Errors of the two numbers (credits) for the customer, by field. None: not a number.

    A customer who enters the numbers that the errors name is not refused again: the minimum of the
    target is computed from an allowed threshold, even if the one entered is refused.
    """
    errors: dict[str, str] = {}
    lowest, smallest = plans.RECHARGE_THRESHOLD_CREDITS_MIN, plans.RECHARGE_CREDITS_MIN
    highest = TO_CREDITS_MAX - smallest
    if threshold is not None and not lowest <= threshold <= highest:
        bound, limit = ("least", lowest) if threshold < lowest else ("most", highest)
        errors["threshold_credits"] = f"The threshold is at {bound} {_credits(limit)}."
    allowed = min(max(threshold or lowest, lowest), highest)
    if recharge_to is not None and recharge_to < allowed + smallest:
        errors["recharge_to_credits"] = (
            f"At least {allowed + smallest:,} credits: {smallest:,} (${_dollars(smallest)}) above "
            f"a threshold of {allowed:,}, the smallest payment there is."
        )
    elif recharge_to is not None and recharge_to > TO_CREDITS_MAX:
        errors["recharge_to_credits"] = f"At most {_credits(TO_CREDITS_MAX)}."
    return errors


def _credits(credits: int) -> str:
    return f"{credits:,} credits (${_dollars(credits)})"


def _dollars(credits: int) -> str:
    return f"{credits / plans.CREDITS_PER_CENT / 100:,.0f}"


MIRROR = RowJob("recharge.mirror", AutoRecharge, mirror)
