"""Contracts at Metronome, and their auto-recharge: configuration, release and invoice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import httpx

from billing import plans

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

RELEASE_PATH = "/v1/contracts/commits/threshold-billing/release"


@dataclass(frozen=True, slots=True)
class RechargeConfiguration:
    """A contract's auto-recharge: raises a balance below the threshold to `recharge_to_credits`."""

    enabled: bool
    threshold_credits: int
    recharge_to_credits: int


def create_contract(*, customer_id: str, key: str, name: str, starts_at: datetime) -> str:
    """Create an open-ended contract without credits on our rate card. Returns its id.

    `starts_at` must be on the hour. Raises AlreadyDone if `key` was used.
    """
    card_id = rate_card_id()
    with translate_errors("create a contract", conflict=AlreadyDone):
        made = writer().v1.contracts.create(
            customer_id=customer_id,
            rate_card_id=card_id,
            name=name,
            starting_at=starts_at,
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
    with translate_errors("read a contract"):
        answer = reader().v2.contracts.retrieve(customer_id=customer_id, contract_id=contract_id)
        found = answer.data.prepaid_balance_threshold_configuration
        if found is None:
            return None
        return RechargeConfiguration(
            enabled=bool(found.is_enabled),
            threshold_credits=int(found.threshold_amount),
            recharge_to_credits=int(found.recharge_to_amount),
        )


def set_recharge(
    *,
    customer_id: str,
    contract_id: str,
    enabled: bool,
    threshold_credits: int,
    recharge_to_credits: int,
) -> None:
    """Set the contract's auto-recharge. Safe to repeat.

    Metronome's API adds the configuration the first time and updates it afterwards, so it is read
    first. After each edit that enables or changes it, Metronome evaluates the balance at once. We
    collect the payment (payment gate EXTERNAL) and report it with `release`.
    """
    ids: dict[str, Any] = {"customer_id": customer_id, "contract_id": contract_id}
    exists = recharge_configuration(**ids) is not None
    configuration: dict[str, Any] = {
        "is_enabled": enabled,
        "threshold_amount": threshold_credits,
        "recharge_to_amount": recharge_to_credits,
    }
    if not exists:
        configuration |= {
            "commit": {
                "product_id": credits_product_id(),
                "name": plans.RECHARGE_COMMIT_NAME,
                "priority": plans.PRIORITY_PACK,
            },
            "payment_gate_config": {"payment_gate_type": "EXTERNAL"},
            "custom_credit_type_id": credit_type_id(),
        }
    verb = "update" if exists else "add"
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
