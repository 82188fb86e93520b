"""Contracts at Metronome, and their auto-recharge: configuration, release and invoice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import httpx

from billing import plans

from . import overage
from .client import (
    AlreadyDone,
    MetronomeRejected,
    MetronomeUnavailable,
    all_pages,
    reader,
    require_empty,
    require_id,
    translate_errors,
    writer,
)
from .setup import credit_type_id, credits_product_id, rate_card_id

EXTERNAL, STRIPE = "EXTERNAL", "STRIPE"  # who charges a recharge: we, or Metronome through Stripe
GATES: dict[str, dict[str, Any]] = {
    EXTERNAL: {"payment_gate_type": EXTERNAL},
    # Each charge is an invoice at Stripe, with what Stripe does for invoices.
    STRIPE: {"payment_gate_type": STRIPE, "stripe_config": {"payment_type": "INVOICE"}},
}
RELEASE_PATH = "/v1/contracts/commits/threshold-billing/release"


@dataclass(frozen=True, slots=True)
class RechargeConfiguration:
    """A contract's auto-recharge: raises a balance below the threshold to `recharge_to_credits`."""

    enabled: bool
    threshold_credits: int
    recharge_to_credits: int
    gate: str = EXTERNAL


@dataclass(frozen=True, slots=True)
class Terms:
    """A contract's terms as they are at Metronome: its auto-recharge, None if that was never
    configured, and whether usage beyond its credits costs nothing (`overage`)."""

    recharge: RechargeConfiguration | None
    zero_overage: bool


def create_contract(*, customer_id: str, key: str, name: str, starts_at: datetime) -> str:
    """Create an open-ended contract without credits on our rate card. Returns its id. Usage beyond
    the credits it will have costs nothing.

    `starts_at` must be on the hour. Raises AlreadyDone if `key` was used.
    """
    card_id = rate_card_id()
    overrides: Any = overage.overrides(starts_at)
    with translate_errors("create a contract", conflict=AlreadyDone):
        made = writer().v1.contracts.create(
            customer_id=customer_id,
            rate_card_id=card_id,
            name=name,
            starting_at=starts_at,
            overrides=overrides,
            uniqueness_key=key,
        )
        return require_id(made.data)


def find_contract(*, customer_id: str, name: str) -> str | None:
    """Id of the customer's contract with this name, None if there is none."""
    with translate_errors("find a contract"):
        for contract in all_pages(reader().v2.contracts.list(customer_id=customer_id)):
            if contract.name == name:
                return require_id(contract)
    return None


def recharge_configuration(*, customer_id: str, contract_id: str) -> RechargeConfiguration | None:
    """The contract's auto-recharge at Metronome, None if it was never configured."""
    return terms(customer_id=customer_id, contract_id=contract_id).recharge


def terms(*, customer_id: str, contract_id: str) -> Terms:
    with translate_errors("read a contract"):
        answer = reader().v2.contracts.retrieve(customer_id=customer_id, contract_id=contract_id)
        found = answer.data.prepaid_balance_threshold_configuration
        recharge = None
        if found is not None:
            recharge = RechargeConfiguration(
                enabled=bool(found.is_enabled),
                threshold_credits=int(found.threshold_amount),
                recharge_to_credits=int(found.recharge_to_amount),
                gate=str(found.payment_gate_config.payment_gate_type).upper(),
            )
        return Terms(recharge, overage.is_guaranteed(answer.data))


def set_recharge(
    *,
    customer_id: str,
    contract_id: str,
    enabled: bool,
    threshold_credits: int,
    recharge_to_credits: int,
    gate: str = EXTERNAL,
) -> None:
    """Set the contract's auto-recharge. Safe to repeat.

    Metronome's API adds the configuration the first time and updates it afterwards, so it is read
    first. After each edit that enables or changes it, Metronome evaluates the balance at once. With
    the gate EXTERNAL we collect the payment and report it with `release`; with STRIPE Metronome
    charges the customer's default card at Stripe (`customers.bill_through_stripe`).
    """
    ids: dict[str, Any] = {"customer_id": customer_id, "contract_id": contract_id}
    found = recharge_configuration(**ids)
    configuration: dict[str, Any] = {
        "is_enabled": enabled,
        "threshold_amount": threshold_credits,
        "recharge_to_amount": recharge_to_credits,
    }
    if found is None:
        configuration |= {
            "commit": {
                "product_id": credits_product_id(),
                "name": plans.RECHARGE_COMMIT_NAME,
                "priority": plans.PRIORITY_PACK,
            },
            "payment_gate_config": GATES[gate],
            "custom_credit_type_id": credit_type_id(),
        }
    elif found.gate != gate:
        configuration["payment_gate_config"] = GATES[gate]
    verb = "update" if found else "add"
    change: dict[str, Any] = {f"{verb}_prepaid_balance_threshold_configuration": configuration}
    with translate_errors("configure auto-recharge"):
        require_id(writer().v2.contracts.edit(**ids, **change).data)


def release(*, workflow_id: str, outcome: Literal["paid", "failed"]) -> bool:
    """Report the result of a recharge's payment; `paid` makes its commit usable. Safe to repeat.

    Returns False if the workflow has ended and Metronome does not say how. Raises MetronomeRejected
    if the workflow is unknown or ended with the other outcome.

    The SDK has no method for this as of 4.12:
    https://docs.metronome.com/api-reference/credits-and-commits/release-external-payment-gate-threshold-commit
    """
    try:
        with translate_errors("release a recharge", conflict=MetronomeRejected):
            answer = {"workflow_id": workflow_id, "outcome": outcome}
            require_empty(writer().post(RELEASE_PATH, cast_to=httpx.Response, body=answer))
    except MetronomeRejected as refusal:
        if state := re.search(r"already in state (\w+)", refusal.text, re.IGNORECASE):
            if (state[1].upper() == "COMMITTED") == (outcome == "paid"):
                return True
        elif "not in COMMITTING state" in refusal.text:
            return False
        elif refusal.status == 409:  # undocumented for this call, and about money: try again
            raise MetronomeUnavailable(str(refusal)) from refusal
        raise
    return True


def invoice_status(*, customer_id: str, invoice_id: str) -> str:
    """The invoice's status in capitals: DRAFT, FINALIZED, VOID, or another of Metronome's."""
    with translate_errors("read an invoice"):
        found = reader().v1.customers.invoices.retrieve(
            customer_id=customer_id, invoice_id=invoice_id
        )
        return str(found.data.status).upper()


def invoice_cents(*, customer_id: str, invoice_id: str) -> Decimal:
    """What the invoice is about in cents, with fractions, also once it is void."""
    with translate_errors("read an invoice"):
        found = reader().v1.customers.invoices.retrieve(
            customer_id=customer_id, invoice_id=invoice_id
        )
        return Decimal(str(found.data.total))
