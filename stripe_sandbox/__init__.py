"""Stripe's API, emulated:
stateful, with its hosted pages, a clock that can be moved and failures on demand."""

from stripe_sandbox.app import DEFAULT_KEY, Sandbox
from stripe_sandbox.wire import API_VERSION

__all__ = ["API_VERSION", "DEFAULT_KEY", "Sandbox"]
