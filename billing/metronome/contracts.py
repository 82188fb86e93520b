"""Contracts at Metronome, and the auto-recharge on them: its configuration, the release of its payment, its invoice."""

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
    an_id,
    nothing,
    reader,
    talk,
    writer,
)
from .setup import credit_type_id, credits_product_id, rate_card_id

RELEASE_PATH = "/v1/contracts/commits/threshold-billing/release"


@dataclass(frozen=True, slots=True)
class RechargeConfiguration:
    enabled: bool
    threshold_credits: int
    recharge_to_credits: int


def create_contract(*, customer_id: str, key: str, name: str, starts_at: datetime) -> str:
    """Make an open-ended, empty contract on our rate card, returning its id. `starts_at` on the hour."""
    card_id = rate_card_id()
    with talk("create a contract", conflict=AlreadyDone):
        made = writer().v1.contracts.create(
            customer_id=customer_id, rate_card_id=card_id, name=name, starting_at=starts_at, uniqueness_key=key
        )
        return an_id(made.data)


def find_contract(*, customer_id: str, name: str) -> str | None:
    with talk("find a contract"):
        for contract in all_pages(reader().v2.contracts.list(customer_id=customer_id)):
            if contract.name == name:
                return an_id(contract)
    return None


def recharge_configuration(*, customer_id: str, contract_id: str) -> RechargeConfiguration | None:
    """The contract's auto-recharge as Metronome has it; None if it was never configured."""
    with talk("read a contract"):
        contract = reader().v2.contracts.retrieve(customer_id=customer_id, contract_id=contract_id).data
        found = contract.prepaid_balance_threshold_configuration
        if found is None:
            return None
        return RechargeConfiguration(
            enabled=bool(found.is_enabled),
            threshold_credits=int(found.threshold_amount),
            recharge_to_credits=int(found.recharge_to_amount),
        )


def set_recharge(
    *, customer_id: str, contract_id: str, enabled: bool, threshold_credits: int, recharge_to_credits: int
) -> None:
    """Bring the contract's auto-recharge to this state; safe to repeat.

    Metronome wants it added the first time and updated afterwards, so it is read first. Adding, changing and enabling
    make Metronome evaluate the balance at once. Its payment is ours to take (EXTERNAL): see `release`.
    """
    is_there = recharge_configuration(customer_id=customer_id, contract_id=contract_id) is not None
    configuration: dict[str, Any] = {
        "is_enabled": enabled,
        "threshold_amount": threshold_credits,
        "recharge_to_amount": recharge_to_credits,
    }
    if not is_there:
        configuration |= {
            "commit": {
                "product_id": credits_product_id(),
                "name": plans.RECHARGE_COMMIT_NAME,
                "priority": plans.PRIORITY_PACK,
            },
            "payment_gate_config": {"payment_gate_type": "EXTERNAL"},
            "custom_credit_type_id": credit_type_id(),
        }
    verb = "update" if is_there else "add"
    change: dict[str, Any] = {f"{verb}_prepaid_balance_threshold_configuration": configuration}
    with talk("configure auto-recharge"):
        an_id(writer().v2.contracts.edit(customer_id=customer_id, contract_id=contract_id, **change).data)


def release(*, workflow_id: str, outcome: Literal["paid", "failed"]) -> bool:
    """Tell Metronome how the payment of a recharge went; `paid` makes its commit usable. Safe to repeat.

    False if the workflow is over and Metronome does not say how it ended. MetronomeRejected when it is unknown, or ended
    the other way. The SDK has no method for this as of 4.12; when it has, this function becomes a call of it.
    https://docs.metronome.com/api-reference/credits-and-commits/release-external-payment-gate-threshold-commit
    """
    try:
        with talk("release a recharge", conflict=MetronomeRejected):
            answer = {"workflow_id": workflow_id, "outcome": outcome}
            nothing(writer().post(RELEASE_PATH, cast_to=httpx.Response, body=answer))
    except MetronomeRejected as refusal:
        if state := re.search(r"already in state (\w+)", refusal.text, re.IGNORECASE):
            if (state[1].upper() == "COMMITTED") == (outcome == "paid"):
                return True
        elif "not in COMMITTING state" in refusal.text:
            return False
        elif refusal.status == 409:  # undocumented here: money is at stake, so ask again rather than guess
            raise MetronomeUnavailable(str(refusal)) from refusal
        raise
    return True


def invoice_status(*, customer_id: str, invoice_id: str) -> str:
    """DRAFT, FINALIZED, VOID, or whatever else Metronome calls it."""
    with talk("read an invoice"):
        found = reader().v1.customers.invoices.retrieve(customer_id=customer_id, invoice_id=invoice_id)
        return str(found.data.status).upper()
