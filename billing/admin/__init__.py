"""Admin of billing: the rows, and a page that compares one wallet with Metronome.

The ledger and everything that comes from outside is read-only.

Django finds the classes by this package.
"""

from . import (  # noqa: F401  registers
    credits,
    drift,
    invoices,
    keys,
    money_back,
    payments,
    subscriptions,
    wallets,
    webhooks,
)
