"""Handlers of stored webhooks. `table` maps the type of an event to its handler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from accounts.models import Customer
from billing import events
from billing.models import (
    CreditGrant,
    InboundWebhook,
    Payment,
    Recharge,
    Subscription,
    Wallet,
)
from billing.recharge import by_metronome, gate
from billing.recharge import requests as recharges
from billing.subscriptions import reminders
from billing.sync import invoices, schedule
from jobs.errors import Rejected, Snooze
from jobs.worker import RowJob
from notifications import emit

from . import stripe_handlers

Handler = Callable[[InboundWebhook, datetime], str]


def table() -> dict[str, Handler]:
    """Handlers by type, or by family of types ("commit.*"). Other types are stored and ignored.

    Events arrive late, twice and in any order. So a handler treats an event as a hint that
    something changed and reads the current state itself. It must be safe to run again, and it
    returns a short text for operators that says what it did.
    """
    return {
        "payment_gate.external_initiate": start_recharge,
        "payment_gate.payment_status": check_recharge,
        "payment_gate.payment_pending_action_required": check_recharge,
        "payment_gate.threshold_reached": read_contract,
        "alerts.low_remaining_contract_credit_and_commit_balance_reached": mail_out_of_credits,
        "commit.segment.end": end_segment,
        "credit.segment.end": end_segment,
        "commit.*": read_contract,
        "credit.*": read_contract,
        "contract.*": read_contract,
        "invoice.billing_provider_error": log_error,
        "integration.issue": log_error,
        "invoice.*": record_invoice,
        "webhooks.test": record_test,
    }


logger = logging.getLogger(__name__)

# An event may name a Metronome id that provisioning has not stored yet.
UNKNOWN_CUSTOMER_SECONDS = 60
# Metronome's alert about an expiry may arrive before our worker has expired the grant.
CATCH_UP_SECONDS = 60


class FieldMissing(Rejected):
    """The event lacks a field without which it cannot be acted on."""


class WrongGate(Rejected):
    """Metronome asks us for a payment, but is to charge recharges itself."""


class UnknownCustomer(Exception):
    """None of our customers has the Metronome id of this event."""


def process(event: InboundWebhook, now: datetime) -> None:
    """Run the event's handler and store the outcome. Safe to run again (Replay in the admin)."""
    handlers = TABLES[event.source]()
    handler = handlers.get(event.type) or _of_family(event.type, handlers)
    try:
        outcome = handler(event, now) if handler else "ignored: nothing here reacts to this type"
    except UnknownCustomer:
        outcome = "ignored: no customer here has this Metronome id"
    InboundWebhook.objects.filter(pk=event.pk).update(processed_at=now, outcome=outcome[:200])


def _of_family(kind: str, handlers: dict[str, Handler]) -> Handler | None:
    """The handler of a family of types, "commit.*" or "checkout.session.*", if there is one."""
    first, second = kind.partition(".")[0], kind.rpartition(".")[0]
    return handlers.get(f"{second}.*") or handlers.get(f"{first}.*")


# --- Handlers -------------------------------------------------------------------------------------


def start_recharge(event: InboundWebhook, now: datetime) -> str:
    """Metronome requests the payment of a recharge.

    Store it; its job charges the card and reports the result to Metronome. Raises FieldMissing,
    WrongGate if Metronome is to charge recharges itself, or what `requests.request` of recharges
    raises."""
    if gate.is_metronomes():
        raise WrongGate(
            "METRONOME_PAYMENT_GATE is STRIPE, and this contract still asks us to pay: run "
            "backfill_recharge_gates (docs/payments.md says what becomes of this request)"
        )
    customer, fields = _customer(event, now), _fields(event)
    workflow_id = fields.get("workflow_id")
    if not isinstance(workflow_id, str) or not 0 < len(workflow_id) <= 64:
        raise FieldMissing("no workflow_id: nothing can be paid or released")
    recharge = recharges.request(
        customer=customer,
        workflow_id=workflow_id,
        invoice_id=str(fields.get("invoice_id") or "")[:64],
        invoice_total=fields.get("invoice_total"),
        currency=str(fields.get("invoice_currency") or "USD"),
        asked_at=event.received_at,
        now=now,
    )
    return f"recharge {recharge.pk}"


def check_recharge(event: InboundWebhook, now: datetime) -> str:
    """The state of a payment changed at Metronome.

    Make our payment and recharge due, because our own rows have the authoritative state."""
    customer, fields = _customer(event, now), _fields(event)
    schedule.run_now(customer.pk, now)
    if told := _told_by_stripe(event, fields):
        made = by_metronome.record(customer=customer, told=told, now=now)
        return f"{told.status}: recharge {made.pk}, charged by Metronome"
    recharge = Recharge.objects.filter(
        customer=customer, invoice_id=str(fields.get("invoice_id") or "-")
    ).first()
    status = str(fields.get("payment_status") or event.type.rpartition(".")[2])[:40]
    if recharge is None:
        return f"{status}: no recharge of ours; contract is read again"
    Payment.objects.open().filter(recharge=recharge).run_now(now)
    Recharge.objects.open().filter(pk=recharge.pk).run_now(now)
    return f"{status}: recharge {recharge.pk} is {recharge.state}"


def _told_by_stripe(event: InboundWebhook, fields: dict[str, Any]) -> by_metronome.Told | None:
    """What the event says of a charge that Metronome has made through Stripe, None of others."""
    provider = fields.get("billing_provider")
    if not isinstance(provider, dict) or provider.get("type") != "stripe":
        return None
    stripe = provider.get("stripe")
    details: dict[str, Any] = stripe if isinstance(stripe, dict) else {}
    invoice_id = fields.get("invoice_id")
    if not isinstance(invoice_id, str) or not 0 < len(invoice_id) <= 50:
        raise FieldMissing("no invoice_id: nobody knows what was charged")
    status = str(fields.get("payment_status") or "pending").lower()
    if status not in by_metronome.STATES:
        raise FieldMissing(f"payment_status {status[:40]!r} is neither paid nor failed")
    error = details.get("error")
    said = error.get("message") if isinstance(error, dict) else fields.get("error_message")
    return by_metronome.Told(
        invoice_id=invoice_id,
        intent_id=str(details.get("payment_intent_id") or "")[:200],
        status=status,
        failure=str(said or "The payment failed.")[:500] if status == "failed" else "",
    )


def read_contract(event: InboundWebhook, now: datetime) -> str:
    schedule.run_now(_customer(event, now).pk, now)
    return "contract is read again"


def end_segment(event: InboundWebhook, now: datetime) -> str:
    """Some credits end.

    With an offset the event announces the end, and the customer gets a mail if some of them are
    left."""
    customer = _customer(event, now)
    schedule.run_now(customer.pk, now)
    if not event.payload.get("offset_duration") or event.processed_at:
        return "contract is read again"
    segment_id = str(event.payload.get("segment_id") or "-")
    grant = CreditGrant.objects.filter(segment_id=segment_id, wallet__customer=customer).first()
    if grant is None or grant.remaining == 0 or grant.ends_at <= now:
        return "no mail: nothing left to lose"
    if trial := _trial_ending_with(grant):
        is_told = reminders.remind_of(trial, now)
        return "mail: the trial ends" if is_told else "no mail: told before, or not yet"
    ends_at = grant.ends_at.isoformat()
    data = {"credits": grant.remaining, "ends_at": ends_at, "grant": grant.name}
    emit(customer.pk, "credits.ending", f"{grant.pk}-{ends_at}", data, now)
    return f"mail: {grant.remaining:,} credits end"


def mail_out_of_credits(event: InboundWebhook, now: datetime) -> str:
    """Write a mail, unless there are credits again or a payment for some is in progress."""
    customer = _customer(event, now)
    schedule.run_now(customer.pk, now)
    if event.processed_at:
        return "no mail: processed before"
    if Wallet.objects.filter(customer=customer, balance__gt=0).exists():
        if now - event.received_at < timedelta(seconds=CATCH_UP_SECONDS):
            raise Snooze(
                "Metronome has no credits left, the wallet has: wait until both agree", seconds=15
            )
        return "no mail: there are credits"
    if events.is_refilling(customer.pk):
        return "no mail: a payment is on its way"
    events.tell_depleted(customer.pk, now)
    return "mail: out of credits"


def record_invoice(event: InboundWebhook, now: datetime) -> str:
    """An invoice became final or void, or changed. Have all of the customer's read again."""
    if event.customer_ref:
        invoices.run_now(_customer(event, now).pk, now, whole=True)
    invoice_id = str(_fields(event).get("invoice_id") or "")[:64]
    recharge = Recharge.objects.filter(invoice_id=invoice_id).first() if invoice_id else None
    return f"invoice {invoice_id or 'without id'}" + (
        f" of recharge {recharge.pk}" if recharge else ""
    )


def log_error(event: InboundWebhook, now: datetime) -> str:
    fields = _fields(event)
    details = str(fields.get("billing_provider_error") or fields.get("error") or "no details")
    logger.error("Metronome reports %s: %s (event %s)", event.type, details[:500], event.event_id)
    return f"logged: {details}"


def record_test(event: InboundWebhook, now: datetime) -> str:
    return "test received"


# --- Fields of an event ---------------------------------------------------------------------------


def _fields(event: InboundWebhook) -> dict[str, Any]:
    properties = event.payload.get("properties")
    return properties if isinstance(properties, dict) else event.payload


def _customer(event: InboundWebhook, now: datetime) -> Customer:
    """The customer of the event.

    If there is none, raises Snooze for UNKNOWN_CUSTOMER_SECONDS, because provisioning may be about
    to store the id, and UnknownCustomer after that.
    """
    if not event.customer_ref:
        raise UnknownCustomer
    if customer := Customer.objects.filter(metronome_id=event.customer_ref).first():
        return customer
    if now - event.received_at < timedelta(seconds=UNKNOWN_CUSTOMER_SECONDS):
        raise Snooze("no customer here has this Metronome id yet", seconds=5)
    raise UnknownCustomer


def _trial_ending_with(grant: CreditGrant) -> Subscription | None:
    return Subscription.objects.filter(
        customer__wallet=grant.wallet_id,
        plan="trial",
        state=Subscription.State.ACTIVE,
        period_end_at=grant.ends_at,
    ).first()


TABLES: dict[str, Callable[[], dict[str, Handler]]] = {
    InboundWebhook.Source.METRONOME: table,
    InboundWebhook.Source.STRIPE: stripe_handlers.table,
}

PROCESS = RowJob("inbox.process", InboundWebhook, process)
