"""What a customer's own programs are told of speech, voices and the credits they take."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from billing import events, keys, ledger
from billing.models import AutoRecharge, Subscription, Wallet
from conftest import fund
from notifications import endpoints
from notifications.kinds import KINDS
from notifications.models import OutboundWebhook
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation
from usage.speech import long, outcome, own_voice, problems, speak
from usage.speech.asked import Asked

from .test_long import TEXT, UNTIL, engine, slices, speak_pieces  # noqa: F401  fixtures

SPOKEN = "A text that nobody else shall read."  # 35 characters


@pytest.fixture(autouse=True)
def endpoint(alice, now):
    return endpoints.create(alice, "https://alice.example", list(KINDS), now)[0]


@pytest.fixture
def quick(monkeypatch):
    fake = QuickEngine()
    monkeypatch.setattr(speak, "engine", lambda name: fake)
    return fake


def say(customer, now, text=SPOKEN, key="key-1"):
    return speak.speak(customer=customer, text=text, voice_id="standard", key=key, now=now)


def told(*kinds: str) -> list[tuple[str, dict]]:
    """Type and data of the events, in order; of these kinds only, if any are named."""
    bodies = map(json.loads, OutboundWebhook.objects.values_list("body", flat=True))
    events = [(body["type"], body["data"]) for body in bodies]
    return [one for one in events if not kinds or one[0] in kinds]


def fail(*args, **options):
    raise EngineFailed(f"The engine cannot speak this passage: '{SPOKEN}'. Change it.")


def test_a_text_that_is_spoken_is_told_without_what_it_says(alice, wallet, quick, now):
    generation = say(alice, now)
    say(alice, now)  # the same key

    [(kind, data)] = told()
    assert kind == "generation.completed"
    assert data.pop("duration_seconds") == round(generation.duration_seconds, 3) > 0
    assert data == {
        "generation": str(generation.id),
        "state": "done",
        "voice": generation.voice,
        "voice_type": "standard",
        "characters": 35,
        "credits": 35,
    }
    assert SPOKEN not in OutboundWebhook.objects.get().body


def test_a_text_that_fails_is_told_without_what_it_says_each_time(alice, wallet, quick, now):
    quick.during = fail
    for seconds in (0, 1):
        with pytest.raises(problems.SpeechFailed):
            say(alice, now + timedelta(seconds=seconds))

    generation = Generation.objects.get()
    assert SPOKEN in generation.failure
    assert [kind for kind, _ in told()] == ["generation.failed"] * 2
    for _, data in told():
        assert (data["generation"], data["credits"]) == (str(generation.id), 0)
    assert not any(SPOKEN in row.body for row in OutboundWebhook.objects.all())


def test_an_abandoned_text_is_told_once(alice, wallet, quick, now):
    say(alice, now)
    OutboundWebhook.objects.all().delete()
    Generation.objects.update(state="pending")
    generation = Generation.objects.get()
    for _ in range(2):
        speak.give_up(generation, now)

    assert [kind for kind, _ in told()] == ["generation.failed"]


def test_what_does_not_commit_is_not_told(alice, wallet, quick, now, monkeypatch):
    """The reservation has expired: the generation is not finished in that transaction."""
    monkeypatch.setattr(
        outcome.capture, "capture_and_report", lambda **sent: (_ for _ in ()).throw(OSError)
    )
    with pytest.raises(OSError):
        say(alice, now)

    assert [kind for kind, _ in told()] == ["generation.failed"]


def test_a_long_text_that_is_stopped_is_told_with_what_was_delivered(
    alice,
    wallet,
    now,
    engine,  # noqa: F811
    slices,  # noqa: F811
):
    generation = say(alice, now, TEXT)
    assert told() == []
    speak_pieces(2, now)
    long.stop(generation, now)

    [(kind, data)] = told()
    assert kind == "generation.completed"
    assert (data["characters"], data["credits"]) == (UNTIL[2], UNTIL[2])


def test_a_long_text_that_is_cancelled_is_told_once(alice, wallet, now, engine):  # noqa: F811
    generation = say(alice, now, TEXT)
    assert long.fail(generation, long.CANCELLED, now)
    assert not long.fail(generation, long.CANCELLED, now)

    assert [(kind, data["credits"]) for kind, data in told()] == [("generation.failed", 0)]


def test_a_voice_that_is_ready_is_told(alice, now, monkeypatch):
    fund(alice, 60_000, now)
    monkeypatch.setattr(own_voice, "engine", lambda name: QuickEngine())
    settings = {"pitch": 0.95, "range": 1.2, "pace": 0.9}
    wanted = {"customer": alice, "name": "Mine", "settings": settings, "key": "k", "now": now}
    voice = own_voice.set_up(**wanted)
    own_voice.set_up(**wanted)

    assert told() == [("voice.ready", {"voice": str(voice.id), "credits": 25_000})]


# --- Credits --------------------------------------------------------------------------------------


def recharging(alice, threshold, **fields):
    AutoRecharge.objects.create(
        customer=alice,
        threshold_credits=threshold,
        recharge_to_credits=1_000,
        **({"enabled": True} | fields),
    )


def test_a_balance_at_the_threshold_is_told_once_until_credits_are_added(alice, wallet, quick, now):
    recharging(alice, 430)
    for key in ("a", "b", "c"):
        say(alice, now, key=key)
    assert told("balance.low") == [("balance.low", {"balance": 430, "threshold": 430})]

    fund(alice, 20, now)
    say(alice, now, key="d")
    assert told("balance.low")[1:] == [("balance.low", {"balance": 380, "threshold": 430})]


def test_without_recharge_a_tenth_of_the_plan_is_low(alice, now, quick):
    fund(alice, 25_030, now)
    recharging(alice, 500_000, enabled=False)
    Subscription.objects.create(
        customer=alice, plan="creator", key="k", state="active", created_at=now
    )
    say(alice, now)

    assert told("balance.low") == [("balance.low", {"balance": 24_995, "threshold": 25_000})]


def test_without_recharge_and_plan_nothing_is_low_and_the_last_credit_is_told(alice, now, quick):
    fund(alice, 70, now)
    say(alice, now, key="a")
    assert told("balance.low", "balance.depleted") == []
    say(alice, now, key="b")

    assert told("balance.low", "balance.depleted") == [
        ("balance.depleted", {"balance": 0, "available": 0})
    ]


def test_a_refused_request_is_told_once_until_credits_are_added(alice, now, quick):
    fund(alice, 20, now)
    for key in ("a", "b"):
        with pytest.raises(ledger.InsufficientCredits):
            say(alice, now, key=key)
    depleted = ("balance.depleted", {"balance": 20, "available": 20, "needed": 35})
    assert told() == [depleted]

    fund(alice, 15, now)
    say(alice, now, key="a")
    assert told("balance.depleted")[1:] == [("balance.depleted", {"balance": 0, "available": 0})]
    with pytest.raises(ledger.InsufficientCredits):
        say(alice, now, key="b")
    assert len(told("balance.depleted")) == 2


def test_a_refusal_for_ended_credits_says_that_they_have_ended(alice, now, quick):
    """The refusal wrote them off, and was rolled back with that."""
    fund(alice, 90, now, ends_at=now + timedelta(hours=1))
    later = now + timedelta(hours=1)

    with pytest.raises(ledger.InsufficientCredits):
        say(alice, later)

    assert told() == [("balance.depleted", {"balance": 0, "available": 0, "needed": 35})]


def test_a_refusal_is_not_told_when_the_credits_have_come_meanwhile(alice, now, quick):
    """Or this event would stand for the next real one, since each is told once for a rise."""
    fund(alice, 20, now)
    with pytest.raises(ledger.InsufficientCredits), events.refusals_told(alice.id, now):
        fund(alice, 15, now)
        raise ledger.InsufficientCredits(needed=35, available=20)
    assert told() == []

    with pytest.raises(ledger.InsufficientCredits):
        say(alice, now, SPOKEN * 2)
    assert told() == [("balance.depleted", {"balance": 35, "available": 35, "needed": 70})]


def test_a_voice_that_is_refused_for_lack_of_credits_is_told(alice, wallet, now):
    settings = {"pitch": 0.95, "range": 1.2, "pace": 0.9}
    with pytest.raises(ledger.InsufficientCredits):
        own_voice.set_up(customer=alice, name="Mine", settings=settings, key="k", now=now)

    assert told() == [("balance.depleted", {"balance": 500, "available": 500, "needed": 25_000})]


def test_credits_of_others_say_nothing(alice, bob, wallet, now, quick):
    fund(bob, 35, now)
    say(bob, now)

    assert told() == [] and Wallet.objects.get(customer=bob).balance == 0


def test_only_what_is_wanted_is_looked_up(alice, endpoint, now, quick):
    fund(alice, 35, now)
    endpoints.change(endpoint, now, url=endpoint.url, events=["balance.recharged"])
    with pytest.raises(ledger.InsufficientCredits):
        say(alice, now, SPOKEN * 2)
    say(alice, now)

    assert told() == []


def test_without_endpoints_a_capture_asks_one_query_more(
    alice, endpoint, wallet, now, quick, django_assert_max_num_queries, monkeypatch
):
    endpoints.delete(endpoint, now)
    from billing import events

    monkeypatch.setattr(events, "spent", lambda *args: pytest.fail("nobody is told"))
    with django_assert_max_num_queries(1):
        assert not events.is_anybody_told(alice.id)
    say(alice, now)

    assert told() == []


def test_a_budget_that_is_reached_is_told_once_a_period(alice, wallet, quick, now):
    key, _ = keys.create(customer=alice, name="k", limit=20, period="day", now=now)
    asked = Asked(api_key_id=key.pk)
    days = (now, now, now + timedelta(days=1))
    for number, at in enumerate(days):
        with pytest.raises(ledger.BudgetExceeded):
            speak.begin(
                customer=alice,
                text=SPOKEN,
                voice_id="standard",
                key=f"key-{number}",
                now=at,
                asked=asked,
            )

    events = told("key.budget_reached")
    assert len(events) == 2
    data = events[0][1]
    assert (data["key"], data["limit"], data["needed"]) == (str(key.pk), 20, 35)
    assert data["resets_at"] > now.isoformat()
