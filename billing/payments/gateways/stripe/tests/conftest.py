from __future__ import annotations

import pytest

from billing.payments.gateways.stripe import client

from .scripted import scripted


@pytest.fixture
def stripe(settings):
    """Stripe as a script."""
    with scripted() as script:
        settings.STRIPE_SECRET_KEY = "rk_test_123"
        settings.STRIPE_API_URL = script.address
        client._client.cache_clear()
        yield script
    client._client.cache_clear()
