"""Another Vocalis as a speech server: the engine `remote` speaks by the public API of a real
process, which charges the key it is given, once a piece.
"""

from __future__ import annotations

import pytest

from billing import keys
from billing.models import Wallet
from usage.engines import EngineFailed
from usage.engines.remote import Remote
from usage.engines.remote.configuration import read_servers
from usage.models import Generation
from usage.text.pieces import pieces

from . import processes

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

TEXT = "The first sentence is this one. The second sentence is that one."


@pytest.fixture
def engine(site):
    """Speaks through the other Vocalis with a key."""
    opened = []

    def made(secret: str) -> Remote:
        address = f"http://{secret}@127.0.0.1:{site.base_url.port}/v1?model=tts-1&label=Branch"
        opened.append(Remote(helpers=1, servers=read_servers(address)))
        return opened[-1]

    yield made
    for each in opened:
        each.close()


def speak(engine, voice="standard-ava"):
    settings = {"voice": voice, "group": "branch"}
    return list(engine.speak(pieces(TEXT, characters_max=100), settings=settings))


def test_it_lists_its_voices_and_speaks_with_them_for_its_credits(alice, wallet, engine, now):
    key, secret = keys.create(customer=alice, name="other", limit=200, now=now)
    remote = engine(secret)
    remote.warm()

    assert {"standard-ava", "premium-nora"} <= {each.id for each in remote.remote_voices()}
    spoken = speak(remote)

    assert len(spoken) == 2
    for each in spoken:
        assert len(each.samples) > 24_000  # half a second
        assert [begin for begin, _ in each.times] == sorted(begin for begin, _ in each.times)
    processes.wait_until(
        lambda: not Generation.objects.filter(state="pending").exists(), "end of the pieces"
    )
    assert Generation.objects.filter(state="done", api_key=key).count() == 2
    said = sum(len(each.piece.spoken) for each in spoken)
    assert Wallet.objects.values_list("balance", "reserved").get() == (500 - said, 0)


def test_without_credits_there_it_fails_in_words_and_costs_nothing(alice, wallet, engine, now):
    _, secret = keys.create(customer=alice, name="other", limit=5, now=now)

    with pytest.raises(EngineFailed) as error:
        speak(engine(secret))

    assert secret not in str(error.value)
    assert Wallet.objects.values_list("balance", "reserved").get() == (500, 0)
