"""Auto-recharge as the customer wants it, and its mirror on the Metronome contract."""

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
    make_metronome_look_again,
    track_low_balance,
)

TO_CREDITS_MAX = 40_000_000  # $10,000 in one charge: more is a slip of the finger

CONTRACT_LOOK_SECONDS = 60  # a customer without a plan has no contract yet that could be recharged


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
    """Store the customer's wish and have a worker mirror it. Raises SettingsInvalid.

    Switching on forgets an earlier failure: Metronome then looks at the balance at once.
    """
    _check(threshold_credits, recharge_to_credits)
    wish = {
        "enabled": enabled,
        "threshold_credits": threshold_credits,
        "recharge_to_credits": recharge_to_credits,
        "failure": "",
        "low_since_at": None,
        "stuck_at": None,
    }
    with transaction.atomic():
        row = AutoRecharge.objects.get_or_create(customer=customer, defaults=wish)[0]
        rows = AutoRecharge.objects.filter(pk=row.pk)
        rows.run_now(now, **wish, settings_version=F("settings_version") + 1)
        if not enabled:
            _call_off_unpaid(customer.pk, now)
    row.refresh_from_db()
    return row


def is_switched_off(customer_id: UUID) -> bool:
    """Whether the customer, or a failure, switched it off here.

    Without a row it was set up at Metronome by hand.
    """
    return AutoRecharge.objects.filter(customer_id=customer_id, enabled=False).exists()


def is_off_by_choice(customer_id: UUID) -> bool:
    """Whether the customer switched it off: then there is no failure to tell."""
    return AutoRecharge.objects.filter(customer_id=customer_id, enabled=False, failure="").exists()


def switch_off(*, customer_id: UUID, failure: str = "", now: datetime) -> None:
    """Switch off here, and have a worker do it at Metronome.

    `failure`: of the recharge that made it so, for the customer.
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
            _call_off_unpaid(customer_id, now)


def _call_off_unpaid(customer_id: UUID, now: datetime) -> None:
    """Have a recharge that waits for its payment find out that it is switched off."""
    Recharge.objects.filter(customer_id=customer_id, state=Recharge.State.PAYING).run_now(now)


def follow_metronome(contract: Contract, *, enabled: bool, now: datetime) -> None:
    """Metronome's switch as just read.

    Off there while on here, with nothing of ours under way: a payment failed.

    It is read once more before we believe it, for the customer may have switched on since the first
    reading. On there while off here is the work of a worker that was overtaken and died: the mirror
    switches it off.
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
    """Bring Metronome's configuration to the customer's wish, and wake a recharge that does not
    come.
    """
    contract = (
        Contract.objects.filter(customer_id=row.customer_id).exclude(metronome_id=None).first()
    )
    if contract is None:
        if row.enabled:
            raise Snooze("takes effect with the first plan", seconds=CONTRACT_LOOK_SECONDS)
        return None
    customer_id, contract_id = row.customer.metronome_id or "", contract.metronome_id or ""
    if is_stuck(row, now):
        make_metronome_look_again(row, customer_id, contract_id, now)
    wish = metronome.RechargeConfiguration(
        row.enabled, row.threshold_credits, row.recharge_to_credits
    )
    found = metronome.recharge_configuration(customer_id=customer_id, contract_id=contract_id)
    if found != wish and (found or row.enabled):
        _push(customer_id, contract_id, wish)
        found = wish
    if not AutoRecharge.objects.filter(pk=row.pk, settings_version=row.settings_version).update(
        applied_version=row.settings_version
    ):
        # They have changed meanwhile. If another worker has told Metronome of that before our push,
        # ours undid it.
        AutoRecharge.objects.filter(pk=row.pk).run_now(now, applied_version=row.settings_version)
    remember(contract, found)
    # Metronome looks at the balance now, too: what it asks for may get lost
    track_low_balance(contract, now)
    row.refresh_from_db(fields=["low_since_at", "stuck_at"])
    if not (row.enabled and row.low_since_at) or row.stuck_at:
        return None
    return row.low_since_at + timedelta(seconds=STUCK_SECONDS)


def _push(customer_id: str, contract_id: str, wish: metronome.RechargeConfiguration) -> None:
    metronome.set_recharge(
        customer_id=customer_id,
        contract_id=contract_id,
        enabled=wish.enabled,
        threshold_credits=wish.threshold_credits,
        recharge_to_credits=wish.recharge_to_credits,
    )


def remember(contract: Contract, found: metronome.RechargeConfiguration | None) -> None:
    """Note the configuration as Metronome has it now."""
    Contract.objects.filter(pk=contract.pk).update(
        recharge_enabled=found.enabled if found else None,
        recharge_threshold_credits=found.threshold_credits if found else None,
        recharge_to_credits=found.recharge_to_credits if found else None,
    )


def is_mirrored(row: AutoRecharge) -> bool:
    """Whether Metronome was brought to these settings; then what it says otherwise is news."""
    return row.applied_version == row.settings_version


def _check(threshold_credits: int, recharge_to_credits: int) -> None:
    """Metronome's minimums and our maximum, said before Metronome refuses."""
    if errors := errors_of(threshold_credits, recharge_to_credits):
        raise SettingsInvalid(errors)


def errors_of(threshold: int | None, recharge_to: int | None) -> dict[str, str]:
    """What is wrong with the two numbers, by field, in words for the customer. None is no number.

    The numbers in the sentences are accepted together: a target is measured from the threshold
    that will be allowed, not from one that is refused beside it.
    """
    errors: dict[str, str] = {}
    lowest, step = plans.RECHARGE_THRESHOLD_CREDITS_MIN, plans.RECHARGE_STEP_CREDITS_MIN
    highest = TO_CREDITS_MAX - step
    if threshold is not None and not lowest <= threshold <= highest:
        bound, limit = ("least", lowest) if threshold < lowest else ("most", highest)
        errors["threshold_credits"] = f"The threshold is at {bound} {_credits(limit)}."
    allowed = min(max(threshold or lowest, lowest), highest)
    if recharge_to is not None and recharge_to < allowed + step:
        errors["recharge_to_credits"] = (
            f"At least {allowed + step:,} credits: {step:,} (${_dollars(step)}) above "
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
