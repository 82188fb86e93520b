"""The adapter to Metronome: the only package that uses its SDK.

Takes plain arguments and returns small frozen dataclasses. Every failure leaves as one of two
exceptions: `MetronomeUnavailable` (try again later) or `MetronomeRejected` (never succeeds).

Credits sent are whole amounts of our pricing unit. Credits received are Decimals, as Metronome may
have fractions. Money is in cents.

The adapter decides nothing, stores nothing and repeats no call: retries belong to the rows whose
jobs call it. Every write may be sent twice, because it carries a uniqueness key, has a natural key,
or sets a final state.

This module exports the everyday calls. Set-up, catalogue and reading usage are in their modules.
All calls use the client of `client.client`.
"""

from . import client
from .client import AlreadyDone, MetronomeRejected, MetronomeUnavailable, NotFound, call_timeout
from .contracts import (
    EXTERNAL,
    RELEASE_PATH,
    STRIPE,
    RechargeConfiguration,
    create_contract,
    find_contract,
    recharge_configuration,
    release,
    set_recharge,
    terms,
)
from .credits import Commit, add_grant, balances, commits, net_balance, set_amount
from .customers import bill_through_stripe, create_customer, find_customer, set_aliases
from .invoices import invoices
from .overage import guarantee
from .setup import CREDITS_PRODUCT_NAME, credit_type_id, credits_product_id, rate_card_id
from .usage import ingest

__all__ = [
    "CREDITS_PRODUCT_NAME",
    "EXTERNAL",
    "RELEASE_PATH",
    "STRIPE",
    "AlreadyDone",
    "Commit",
    "MetronomeRejected",
    "MetronomeUnavailable",
    "NotFound",
    "RechargeConfiguration",
    "add_grant",
    "balances",
    "bill_through_stripe",
    "call_timeout",
    "client",
    "commits",
    "create_contract",
    "create_customer",
    "credit_type_id",
    "credits_product_id",
    "find_contract",
    "find_customer",
    "guarantee",
    "ingest",
    "invoices",
    "net_balance",
    "rate_card_id",
    "recharge_configuration",
    "release",
    "set_aliases",
    "set_amount",
    "set_recharge",
    "terms",
]
