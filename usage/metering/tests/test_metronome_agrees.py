"""What was spoken here is what Metronome rates: the balances agree to the credit."""

from __future__ import annotations

from billing import metronome
from billing.models import Wallet
from billing.subscriptions import choose as subscriptions
from usage.speech import own_voice, speak


def test_metronome_rates_what_was_captured(stage, alice):
    subscriptions.select_plan(customer=alice, plan="trial", key="plan", now=stage.now())
    stage.drain()
    alice.refresh_from_db()

    spoken = [
        ("standard", "Café\r\nau lait"),
        ("premium", "A premium sentence."),
        ("standard-classic", "x" * 3_000),
    ]
    for number, (voice, text) in enumerate(spoken):
        speak.speak(customer=alice, text=text, voice_id=voice, key=str(number), now=stage.now())
    own = own_voice.set_up(
        customer=alice, name="Mine", settings={"pitch": 1.05}, key="own", now=stage.now()
    )
    speak.speak(
        customer=alice, text="With my own voice.", voice_id=str(own.id), key="mine", now=stage.now()
    )
    stage.drain()
    stage.advance(minutes=1)

    balance = Wallet.objects.get(customer=alice).balance
    assert balance == 50_000 - 12 - 2 * 19 - 3_000 - 25_000 - 18
    assert metronome.net_balance(customer_id=alice.metronome_id) == balance
