"""Everything Vocalis says to Metronome: the only package on its SDK.

Plain arguments in, small frozen dataclasses out. Whatever goes wrong leaves here as one of two kinds:
`MetronomeUnavailable` (try again) or `MetronomeRejected` (never); nothing else escapes. Credits are amounts of our
pricing unit and whole going out; Decimal coming in, because Metronome may have fractions. Money is in cents.

Nothing here decides or stores anything, and nothing repeats a call by itself: the rows that owe one do that, and
every write is safe to send twice (a uniqueness key, a natural key, or the same final state).

What the rest of billing says every day is named here; set-up, catalogue and the reading of usage are in their modules.
All of it goes through `client.client`.
"""

from . import client
from .client import AlreadyDone, MetronomeRejected, MetronomeUnavailable, NotFound, hurry
from .contracts import (
    RELEASE_PATH,
    RechargeConfiguration,
    create_contract,
    find_contract,
    recharge_configuration,
    release,
    set_recharge,
)
from .credits import Commit, add_grant, commits, net_balance
from .customers import create_customer, find_customer, set_aliases
from .setup import CREDITS_PRODUCT_NAME, credit_type_id, credits_product_id, rate_card_id
from .usage import ingest

__all__ = [
    "CREDITS_PRODUCT_NAME", "RELEASE_PATH", "AlreadyDone", "Commit", "MetronomeRejected", "MetronomeUnavailable", "NotFound",
    "RechargeConfiguration", "add_grant", "client", "commits", "create_contract", "create_customer", "credit_type_id",
    "credits_product_id", "find_contract", "find_customer", "hurry", "ingest", "net_balance",
    "rate_card_id", "recharge_configuration", "release", "set_aliases", "set_recharge",
]  # fmt: skip
