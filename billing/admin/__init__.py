"""What operators see of money: the rows, and one wallet beside Metronome.
The ledger and everything that comes from outside is read-only.

Django finds the classes by this package.
"""

from . import credits, drift, payments, subscriptions, wallets, webhooks  # noqa: F401  registers
