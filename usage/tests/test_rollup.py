"""Usage by day is the sum of what was used, at any moment and whoever dies."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.db import connections

from billing import keys, ledger
from billing.tests.money_stage import Killed
from billing.tests.operate import run
from conftest import fund
from usage import credit_back, rollup
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import SITE, Generation, UsageDay, UsageEvent
from usage.speech import asked, capture, own_voice, problems, retention, speak
from vocalis.operations import deletion

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    class Fake(QuickEngine):
        def speak(self, pieces, **how):
            if any("fail" in piece.spoken for piece in pieces):
                raise EngineFailed("The speech engine is busy.")
            return super().speak(pieces, **how)

    fake = Fake()
    for module in (speak, own_voice):
        monkeypatch.setattr(module, "engine", lambda name: fake)
    return fake


@pytest.fixture
def noon(db, alice, now):
    noon = now.replace(hour=12, minute=0, second=0)
    fund(alice, 100_000, noon - 20 * DAY)
    return noon


def say(customer, now, text="Hello", key="k", voice="standard-ava", api_key_id=None):
    begun = speak.begin(
        customer=customer,
        text=text,
        voice_id=voice,
        key=key,
        now=now,
        asked=asked.Asked(api_key_id=api_key_id),
    )
    if not begun.generation.replayed:
        speak._make(begun, lambda: now)
    return begun.generation


def days(customer):
    fields = ("day", "kind", "voice", "voice_type", "api_key", "voice_name")
    numbers = ("characters", "credits", "generations", "audio_ms")
    rows = UsageDay.objects.filter(customer=customer).order_by("day", "kind", "voice", "api_key")
    return list(rows.values_list(*fields, *numbers))


def test_a_day_sums_what_was_spoken_by_voice_and_key(alice, bob, noon):
    key, _ = keys.create(customer=alice, name="Pipeline", limit=None, period="none", now=noon)
    say(alice, noon, "Hello", "1")
    say(alice, noon + timedelta(minutes=1), "Hello you", "2")
    say(alice, noon, "Premium", "3", "premium-nora")
    say(alice, noon, "By key", "4", api_key_id=key.id)
    say(alice, noon - DAY, "Before", "5")
    with pytest.raises(problems.SpeechFailed):
        say(alice, noon, "fail", "6")

    today, ava = noon.date(), ("speech", "standard-ava", "standard")
    assert days(alice) == [
        (today - DAY, *ava, SITE, "Ava", 6, 6, 1, 10),
        (today, "speech", "premium-nora", "premium", SITE, "Nora", 7, 14, 1, 10),
        (today, *ava, SITE, "Ava", 14, 14, 2, 20),
        (today, *ava, key.id, "Ava", 6, 6, 1, 10),
    ]
    assert days(bob) == []
    assert rollup.differences(alice, noon) == {}


def test_the_same_key_again_and_audio_made_again_count_once(alice, noon):
    first = say(alice, noon)
    say(alice, noon)
    before = days(alice)

    default_storage.delete(first.audio)
    retention.make_again(generation=Generation.objects.get(), now=noon + DAY)

    assert days(alice) == before


def test_audio_that_is_longer_when_made_again_is_counted_as_long(alice, noon, engine):
    first = say(alice, noon)
    default_storage.delete(first.audio)
    engine.samples = bytes(960)
    retention.make_again(generation=Generation.objects.get(), now=noon + DAY)

    (only,) = days(alice)
    assert only[-4:] == (5, 5, 1, 20)
    assert rollup.differences(alice, noon) == {}


def test_a_credit_back_leaves_usage_as_it_was(alice, noon, staff):
    generation = say(alice, noon)
    before = days(alice)
    credit_back.credit_back(generation=generation, by=staff, reason="It stuttered", now=noon)

    assert days(alice) == before
    assert rollup.differences(alice, noon) == {}


def test_an_own_voice_is_counted_as_what_it_is(alice, noon):
    settings = {"pitch": 0.95, "range": 1.2, "pace": 0.9}
    voice = own_voice.set_up(customer=alice, name="Mine", settings=settings, key="v", now=noon)

    assert days(alice) == [
        (noon.date(), "own_voice", str(voice.id), "", SITE, "Mine", 0, 25_000, 1, 0)
    ]
    assert rollup.differences(alice, noon) == {}


def test_a_process_killed_at_the_capture_counts_nothing(alice, noon, monkeypatch):
    def killed(**how):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "capture", killed)
        with pytest.raises(Killed):
            say(alice, noon)

    assert days(alice) == [] and not UsageEvent.objects.exists()


def imported(customer, name, at):
    """A captured use with an event and no text, as the import of another system leaves it."""
    with_ledger = ledger.reserve(wallet_id=customer.wallet.pk, key=name, amount=70, now=at)
    capture.capture_and_report(
        customer_id=customer.pk,
        reservation=with_ledger,
        transaction_id=name,
        event_type="voice_generation",
        properties={"voice_type": "standard", "text_length": "70"},
        now=at,
    )


def test_the_command_counts_anew_from_the_rows(alice, noon, monkeypatch):
    monkeypatch.setattr("operations.command.timezone.now", lambda: noon)
    key, _ = keys.create(customer=alice, name="Pipeline", limit=None, period="none", now=noon)
    say(alice, noon, "Hello", "1")
    say(alice, noon, "By key", "2", "premium-nora", api_key_id=key.id)
    settings = {"pitch": 0.95, "range": 1.2, "pace": 0.9}
    own_voice.set_up(customer=alice, name="Mine", settings=settings, key="v", now=noon)
    imported(alice, "recent", noon - 5 * DAY)
    right = days(alice)
    assert len(right) == 4

    assert run("rebuild_usage_days") == (0, "Summary: 1 agree.\n")
    UsageDay.objects.filter(voice="standard-ava").delete()
    UsageDay.objects.filter(voice="premium-nora").update(credits=999, characters=1)
    UsageDay.objects.create(
        customer=alice, day=noon.date(), kind="speech", voice="nobody", credits=7
    )
    dry = run("rebuild_usage_days", "--dry-run")
    assert dry.code == 1 and "would be put right 3 rows" in dry.text
    assert len(days(alice)) == 4 and days(alice) != right

    put_right = run("rebuild_usage_days", "--customer", alice.user.email)
    assert put_right.code == 0 and "put right 3 rows" in put_right.text
    assert days(alice) == right
    assert rollup.differences(alice, noon) == {}


def test_imported_usage_stays_when_its_events_are_deleted(alice, noon):
    imported(alice, "old", noon - 10 * DAY)
    later = noon + 30 * DAY
    before = days(alice)
    UsageEvent.objects.all().delete()

    assert rollup.repair(alice, dry_run=False, now=later) == 0
    assert days(alice) == before


def test_a_deleted_customer_leaves_numbers_without_names(alice, noon):
    say(alice, noon - DAY)
    own_voice.set_up(customer=alice, name="Mine", settings={"pitch": 1.05}, key="v", now=noon)
    list(deletion.delete(alice, dry_run=False, now=noon + DAY))

    assert set(UsageDay.objects.values_list("voice_name", flat=True)) == {""}
    assert rollup.differences(alice, noon + DAY) == {}


@pytest.mark.django_db(transaction=True)
def test_many_at_once_and_two_repairs_among_them_lose_nothing(alice, now):
    fund(alice, 100_000, now)
    say(alice, now, "Before", "before")
    UsageDay.objects.update(credits=1)  # wrong, so that the repairs have something to add
    barrier = threading.Barrier(8)

    def one(number):
        barrier.wait()
        try:
            if number < 2:
                rollup.repair(alice, dry_run=False, now=now)
            else:
                say(alice, now, "Hello", f"k{number}")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))

    assert rollup.differences(alice, now) == {}
    assert UsageDay.objects.values_list("credits", "generations").get() == (6 + 6 * 5, 7)
