"""Who charges recharges: we, or Metronome itself through Stripe. One gate for the installation."""

from __future__ import annotations

from django.conf import settings

from billing import metronome


def is_metronomes() -> bool:
    """Whether Metronome charges them, so that we neither charge nor release, nor keep a limit."""
    return bool(settings.METRONOME_PAYMENT_GATE == metronome.STRIPE)
