import pytest
import stripe

from stripe_sandbox import Sandbox

from .world import NOW, SECRET, Shop, Wire


@pytest.fixture(scope="session", autouse=True)
def no_telemetry():
    """It would write a file into the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stripe, "enable_telemetry", False)
        yield


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def box(wire):
    return Sandbox(now=NOW, webhooks=[("http://app/hooks", SECRET)], sender=wire, seed=7)


@pytest.fixture
def shop(box):
    return Shop(box)


@pytest.fixture
def alice(shop):
    return shop.customer()


@pytest.fixture
def bob(shop):
    return shop.customer("bob@example.com")
