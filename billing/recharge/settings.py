"""The customer's auto-recharge settings. `mirror` copies them to the Metronome contract."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.models import Customer
from billing import ledger
from billing.models import AutoRecharge, Recharge, Subscription
from billing.payments import cards, tax

from . import gate, limits
from .immediate import AtOnce, at_once
from .numbers import errors_of
from .requests import own_workflow_id, request_own

CHOOSE_A_PLAN = "Choose a plan first: auto-recharge keeps a plan going when its credits run out."
ON_HOLD = "Your credits are on hold. Nothing is charged until that is settled."
SAVE_A_CARD = "Save a card first: auto-recharge charges it."


class SettingsInvalid(Exception):
    """Metronome would refuse these settings.

    `errors`: field name to a sentence for the customer.
    """

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = errors


class NotShown(Exception):
    """Saving would charge an amount at once that the customer has not been shown, or none any more.

    `at_once` is what it would do now, None if nothing. Nothing was saved or charged.
    """

    def __init__(self, at_once: AtOnce | None) -> None:
        super().__init__(f"saving charges {at_once.due_cents if at_once else 0} cents now")
        self.at_once = at_once


def save_settings(
    *,
    customer: Customer,
    enabled: bool,
    threshold_credits: int,
    recharge_to_credits: int,
    limit_cents: int | None = None,
    shown_cents: int = 0,
    key: UUID | None = None,
    now: datetime,
) -> AutoRecharge:
    """Store the settings; the job copies them to Metronome. Raises SettingsInvalid or NotShown.

    Without `limit_cents` the month's limit is that of three recharges. If the balance is low, this
    starts a recharge at once, and `shown_cents` must be its amount; `preview` says it before. Then
    `key` names the form: the same one again changes nothing. Clears an earlier failure and a pause.
    """
    _check(customer, threshold_credits, recharge_to_credits, limit_cents)
    fields: dict[str, Any] = {
        "enabled": enabled,
        "threshold_credits": threshold_credits,
        "recharge_to_credits": recharge_to_credits,
        "limit_cents": limit_cents,
        "failure": "",
        "low_since_at": None,
        "stuck_at": None,
        "paused_until_at": None,
    }
    try:
        row = _save(customer, fields, shown_cents=shown_cents, key=key or uuid4(), now=now)
    except IntegrityError:  # Metronome has just requested a recharge, and one is open at a time
        raise NotShown(None) from None
    row.refresh_from_db()
    return row


def _save(
    customer: Customer, fields: dict[str, Any], *, shown_cents: int, key: UUID, now: datetime
) -> AutoRecharge:
    """Write the settings and the recharge they start, in one transaction."""
    enabled = fields["enabled"]
    with transaction.atomic():
        row = _locked(customer, fields)
        if Recharge.objects.filter(customer=customer, workflow_id=own_workflow_id(key)).exists():
            return row
        if enabled and not row.enabled:
            _check_can_switch_on(customer)
        found = _at_once(row, fields, now) if enabled else None
        if found and (because := tax.why_not(customer.pk)):
            raise SettingsInvalid({"enabled": because})
        if (found.due_cents if found else 0) != shown_cents:
            raise NotShown(found)
        if found and found.is_over_limit:
            fields["paused_until_at"] = found.month.resets_at
        rows = AutoRecharge.objects.filter(pk=row.pk)
        rows.run_now(now, **fields, settings_version=F("settings_version") + 1)
        # If Metronome charges, it does so once it has the settings, by the same arithmetic.
        if found and not found.is_over_limit and not gate.is_metronomes():
            request_own(
                customer=customer,
                key=key,
                credits=found.credits,
                tax_cents=found.tax_cents,
                now=now,
            )
        if not enabled:
            _check_unpaid(customer.pk, now)
        if not enabled or _has_another_limit(row, fields):
            limits.take_down_told(customer.pk, now)
    return row


def _has_another_limit(row: AutoRecharge, fields: dict[str, Any]) -> bool:
    before, after = row.limit_cents, fields["limit_cents"]
    if before is None and after is None:  # that of three recharges
        return bool(row.recharge_to_credits != fields["recharge_to_credits"])
    return bool(before != after)


def preview(
    *,
    customer: Customer,
    threshold_credits: int,
    recharge_to_credits: int,
    limit_cents: int | None,
    now: datetime,
) -> AtOnce | None:
    """What saving these settings, switched on, would charge at once. Writes nothing."""
    return at_once(
        customer_id=customer.pk,
        threshold_credits=threshold_credits,
        recharge_to_credits=recharge_to_credits,
        limit_cents=limit_cents,
        now=now,
    )


def _locked(customer: Customer, fields: dict[str, Any]) -> AutoRecharge:
    """The customer's row, locked; made switched off if there is none."""
    made = fields | {"enabled": False}
    AutoRecharge.objects.get_or_create(customer=customer, defaults=made)
    return AutoRecharge.objects.select_for_update().get(customer=customer)


def _at_once(row: AutoRecharge, fields: dict[str, Any], now: datetime) -> AtOnce | None:
    return preview(
        customer=row.customer,
        threshold_credits=fields["threshold_credits"],
        recharge_to_credits=fields["recharge_to_credits"],
        limit_cents=fields["limit_cents"],
        now=now,
    )


def why_not_on(customer: Customer) -> str:
    """Why the customer cannot switch it on, '' if they can: it takes a plan and a card.

    Not while the credits are on hold, or the tax on a recharge is unknown.
    """
    if ledger.is_on_hold(customer.pk):
        return ON_HOLD
    if not Subscription.objects.live().filter(customer=customer).exists():
        return CHOOSE_A_PLAN
    if cards.card_of(customer.pk) is None:
        return SAVE_A_CARD
    return tax.why_not(customer.pk)


def _check_can_switch_on(customer: Customer) -> None:
    if reason := why_not_on(customer):
        raise SettingsInvalid({"enabled": reason})


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
            paused_until_at=None,
            settings_version=F("settings_version") + 1,
        ):
            AutoRecharge.objects.filter(customer_id=customer_id).run_now(now)
            _check_unpaid(customer_id, now)
            limits.take_down_told(customer_id, now)


def pause(*, customer_id: UUID, until_at: datetime, now: datetime) -> None:
    """Keep it off at Metronome until then, because the month's limit is reached.

    The job switches it on there again at that moment, or when the settings are saved.
    """
    AutoRecharge.objects.filter(customer_id=customer_id, enabled=True).run_now(
        now,
        paused_until_at=until_at,
        low_since_at=None,
        stuck_at=None,
        settings_version=F("settings_version") + 1,
    )


def mirror_again(*, customer_id: UUID, now: datetime) -> None:
    """Have the settings copied anew: Metronome switched off what we had not, or we did for a while.

    Until that is done, its switch says nothing about a failed payment.
    """
    AutoRecharge.objects.filter(customer_id=customer_id).run_now(
        now, settings_version=F("settings_version") + 1
    )


def _check_unpaid(customer_id: UUID, now: datetime) -> None:
    """Make a recharge that is not paid yet due; its job sees that it is switched off."""
    unpaid = [Recharge.State.REQUESTED, Recharge.State.PAYING]
    Recharge.objects.filter(customer_id=customer_id, state__in=unpaid).run_now(now)


def _check(
    customer: Customer, threshold_credits: int, recharge_to_credits: int, limit_cents: int | None
) -> None:
    """Check Metronome's minimums, our maximum and the limit. Raises SettingsInvalid."""
    with_tax = partial(tax.with_tax, customer.pk)
    if errors := errors_of(threshold_credits, recharge_to_credits, limit_cents, with_tax):
        raise SettingsInvalid(errors)
