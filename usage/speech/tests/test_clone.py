"""A voice of a recording in one step: made and paid once, or not at all. Recorded consents."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as site

from billing import keys, ledger
from billing.models import KeyBudget
from conftest import fund
from notifications import endpoints
from notifications.models import OutboundWebhook
from usage import voiceprint
from usage.engines import EngineFailed, engine
from usage.engines.remote.tests import contract_server as does
from usage.engines.tests.quick import QuickEngine
from usage.models import UsageEvent, Voice, VoiceConsent, VoiceCopy, VoiceMatch
from usage.speech import (
    abandoned,
    audio,
    clone,
    consent,
    consents,
    copies,
    match,
    own_voice,
    problems,
    voices,
    withdrawal,
)
from usage.speech.asked import ON_THE_SITE, Asked
from usage.speech.tests.test_copies import NOTHING, configure, server, work  # noqa: F401
from usage.speech.tests.test_match import balances, described
from usage.voiceprint import SampleRefused

pytestmark = pytest.mark.django_db

SAMPLE = b"RIFF\x24\0\0\0WAVEfmt of a voice"
READ = b"RIFF\x24\0\0\0WAVEfmt of a sentence"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A helper that hears a woman, and an engine of ours that speaks at once."""
    monkeypatch.setattr(voiceprint, "describe", lambda sample, *_: described())
    ours = QuickEngine()
    monkeypatch.setattr(
        own_voice, "engine", lambda name: engine(name) if name == "remote" else ours
    )
    return ours


@pytest.fixture
def rich(alice, now):
    return fund(alice, 60_000, now)


def make(customer, now, *, sample=SAMPLE, name="Mine", agreed=None, key="k", asked=ON_THE_SITE):
    return clone.make(
        customer=customer,
        name=name,
        sample=sample,
        agreed=consent.sentence() if agreed is None else agreed,
        address="192.0.2.7",
        key=key,
        now=now,
        asked=asked,
    )


def give(customer, now, *, recording=READ, name="Alice", language="en-US", key="c"):
    return consents.give(
        customer=customer,
        name=name,
        language=language,
        recording=recording,
        address="192.0.2.7",
        key=key,
        now=now,
    )


def stored() -> list[str]:
    return sorted(path.name for path in Path(site.MEDIA_ROOT).rglob("*") if path.is_file())


# A voice


def test_without_a_server_that_copies_it_is_the_nearest_of_ours(alice, rich, now):
    endpoints.create(alice, "https://alice.example", ["voice.ready"], now)

    made = make(alice, now)

    assert (made.is_new, made.voice.state, made.voice.engine) == (True, "ready", "kokoro")
    assert made.voice.settings["style"] == "af_heart"
    assert balances() == (35_000, 0)
    event = UsageEvent.objects.get()
    assert (event.event_type, event.credits) == ("voice_cloning", 25_000)
    assert VoiceMatch.objects.get().state == "kept"
    assert VoiceConsent.objects.get().sentence == consent.COMPARED
    assert OutboundWebhook.objects.get().kind == "voice.ready"
    assert stored() == []


def test_with_such_a_server_it_is_the_copy(alice, rich, now, server):  # noqa: F811
    made = make(alice, now)

    assert made.voice.settings["copy"] is True
    assert [one.description for one in voices.of(alice)] == ["A copy of your voice"]
    assert VoiceConsent.objects.get().sentence == consent.copied("Voice House")


@pytest.mark.parametrize("kind", ["voice_consents", "voices"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (does.fails(400, does.error("Nobody speaks.")), problems.Refused),
        (does.fails(500), problems.SpeechFailed),
    ],
)
def test_who_asks_for_a_copy_gets_no_other_voice(
    alice,
    rich,
    now,
    server,  # noqa: F811
    kind,
    answer,
    error,
):
    server.on_form[kind] = answer

    with pytest.raises(error, match="Voice House"):
        make(alice, now)

    assert balances() == (60_000, 0)
    assert not Voice.objects.exists() and VoiceMatch.objects.get().state == "failed"
    work(now + timedelta(seconds=copies.LOST_SECONDS + 1))
    server.on_form.clear()
    assert make(alice, now).is_new  # the same request, with its key


def test_the_same_request_again_is_the_same_voice_free(alice, rich, now):
    first = make(alice, now)
    again = make(alice, now)

    assert (again.voice.id, again.is_new) == (first.voice.id, False)
    assert balances() == (35_000, 0)
    for other in ({"name": "Another"}, {"sample": SAMPLE + b"."}):
        with pytest.raises(problems.KeyReused):
            make(alice, now, **other)
    assert make(alice, now, key="other").is_new
    assert Voice.objects.count() == 2


def test_the_same_request_again_is_free_without_credits(alice, now):
    fund(alice, 25_000, now)
    first = make(alice, now)

    assert balances() == (0, 0)
    assert make(alice, now).voice.id == first.voice.id


def test_each_api_key_has_keys_of_its_own_and_its_budget_is_charged(alice, rich, now):
    one, _ = keys.create(customer=alice, name="one", limit=30_000, now=now)
    two, _ = keys.create(customer=alice, name="two", limit=20_000, now=now)

    made = make(alice, now, asked=Asked(api_key_id=one.pk))
    with pytest.raises(ledger.BudgetExceeded):
        make(alice, now, asked=Asked(api_key_id=two.pk))

    assert made.voice.key.endswith("/k")
    assert KeyBudget.objects.get(api_key=one).spent == 25_000
    assert KeyBudget.objects.get(api_key=two).held == 0
    assert VoiceMatch.objects.count() == 1  # what is refused is not looked at


@pytest.mark.parametrize("frozen", [False, True])
def test_without_credits_nobody_looks_at_the_recording(alice, now, server, frozen):  # noqa: F811
    wallet = fund(alice, 60_000 if frozen else 24_999, now)
    if frozen:
        ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)

    with pytest.raises(ledger.WalletFrozen if frozen else ledger.InsufficientCredits):
        make(alice, now)

    assert server.forms == [] and not VoiceMatch.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a" * 61}, "name"),
        ({"sample": b""}, "sample"),
        ({"agreed": ""}, "consent"),
        ({"agreed": "I agree."}, "consent"),
        ({"agreed": "4b9a0f6e-0000-4000-8000-000000000000"}, "consent"),
        ({"key": "a b"}, "key"),
    ],
)
def test_what_is_wrong_is_said_by_its_field_and_leaves_nothing(alice, rich, now, wrong, field):
    with pytest.raises(problems.Refused) as refused:
        make(alice, now, **wrong)

    assert list(refused.value.errors) == [field]
    if field == "consent":
        assert consent.sentence() in str(refused.value)
    assert not VoiceMatch.objects.exists() and balances() == (60_000, 0)


def test_a_sample_that_is_refused_leaves_its_key_for_a_better_one(alice, rich, now, monkeypatch):
    def silent(sample, *_):
        raise SampleRefused("silent")

    with monkeypatch.context() as patch:
        patch.setattr(voiceprint, "describe", silent)
        with pytest.raises(problems.Refused, match="hardly any speech"):
            make(alice, now)

    assert make(alice, now, sample=SAMPLE + b"louder").is_new


def test_a_voice_that_cannot_speak_costs_nothing_and_is_tried_again(alice, rich, now, quick):
    def broken(*args, **how):
        raise EngineFailed("It broke.")

    speaks, quick.speak = quick.speak, broken
    with pytest.raises(problems.SpeechFailed):
        make(alice, now)
    assert balances() == (60_000, 0)
    quick.speak = speaks

    assert make(alice, now).is_new
    assert VoiceMatch.objects.count() == 1  # the sample was compared once
    assert balances() == (35_000, 0)


def test_a_day_has_as_many_as_on_the_page(alice, now):
    fund(alice, 25_000 * 11, now)
    for number in range(match.MATCHES_A_DAY):
        make(alice, now, key=f"k{number}")

    with pytest.raises(problems.TooManyMatches):
        make(alice, now, key="more")


def test_a_copy_that_took_its_time_is_not_taken_for_abandoned(
    alice,
    rich,
    now,
    monkeypatch,
):
    later = now + timedelta(seconds=own_voice.ABANDONED_SECONDS + 30)
    monkeypatch.setattr(clone, "ticking", lambda now: lambda: later)
    seen = []
    real = own_voice._listen

    def listen(*args):
        seen.append(abandoned.GIVE_UP_VOICES.run(later))
        real(*args)

    monkeypatch.setattr(own_voice, "_listen", listen)

    assert make(alice, now).voice.state == "ready" and seen == [0]


# A recorded consent


def test_a_recorded_consent_is_for_many_samples(alice, now, server):  # noqa: F811
    fund(alice, 60_000, now)
    given = give(alice, now)

    made = [
        make(alice, now, agreed=str(given.id), key=f"k{n}", sample=SAMPLE + b"%d" % n)
        for n in range(2)
    ]

    assert len({each.voice.id for each in made}) == 2
    assert stored() == [f"consent-{given.id}.wav"]
    assert set(VoiceMatch.objects.values_list("consent", flat=True)) == {given.id}
    sent = [form["recording"][2] for kind, form, _ in server.forms if kind == "voice_consents"]
    assert sent == [READ, READ]
    assert VoiceConsent.objects.get().used_at == now


def test_what_is_recorded_is_kept_with_the_sentence(alice, now):
    given = give(alice, now)

    assert (given.name, given.language, given.sentence) == ("Alice", "en-US", consent.COMPARED)
    assert consents.recording_of(given) == READ
    assert list(consents.kept(alice)) == [given]
    assert give(alice, now).id == given.id
    with pytest.raises(problems.KeyReused):
        give(alice, now, name="Else")
    consents.rename(given, " Else ")
    assert VoiceConsent.objects.get().name == "Else"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"language": "english please"}, "language"),
        ({"language": "de-DE"}, "language"),
        ({"language": "en" + "-a" * 20}, "language"),
        ({"recording": b""}, "recording"),
        ({"key": "a b"}, "key"),
    ],
)
def test_a_consent_that_is_none_is_refused_by_field(alice, now, wrong, field):
    with pytest.raises(problems.Refused) as refused:
        give(alice, now, **wrong)

    assert list(refused.value.errors) == [field]
    assert not VoiceConsent.objects.exists() and stored() == []


def test_a_recording_in_which_nobody_speaks_is_no_consent(alice, now, monkeypatch):
    def silent(sample, bounds):
        raise SampleRefused("silent", bounds)

    monkeypatch.setattr(voiceprint, "describe", silent)
    with pytest.raises(problems.Refused, match="speech in the recording. Speak for at least 3"):
        give(alice, now)
    assert not VoiceConsent.objects.exists()


def test_a_storage_that_is_away_keeps_no_consent(alice, now, monkeypatch):
    def away(*_):
        raise problems.SpeechFailed("The sample could not be stored. Try again in a moment.")

    monkeypatch.setattr(audio, "store_sample", away)
    with pytest.raises(problems.SpeechFailed):
        give(alice, now)
    assert not VoiceConsent.objects.exists()


def test_a_killed_process_stored_nothing_and_the_same_request_does(alice, now):
    given = give(alice, now)
    audio.delete_sample(given.recording)
    with pytest.raises(problems.Refused, match="not there"):
        consents.recording_of(given)

    assert give(alice, now).id == given.id
    assert consents.recording_of(given) == READ


def test_a_customer_keeps_a_hundred_consents(alice, bob, now, monkeypatch):
    monkeypatch.setattr(consents, "CONSENTS_MAX", 1)
    give(alice, now)
    with pytest.raises(problems.TooManyConsents):
        give(alice, now, key="c2")
    give(bob, now)


def test_nobody_elses_consent_will_do(alice, bob, rich, now):
    given = give(bob, now)

    with pytest.raises(problems.Refused):
        make(alice, now, agreed=str(given.id))
    with pytest.raises(problems.UnknownConsent):
        consents.of(alice, str(given.id))


def test_a_withdrawn_consent_takes_all_with_it(alice, now, server):  # noqa: F811
    fund(alice, 60_000, now)
    given = give(alice, now)
    for number in range(2):
        make(alice, now, agreed=str(given.id), key=f"k{number}", sample=SAMPLE + b"%d" % number)

    for _ in range(2):
        withdrawal.revoke_consent(given, now)

    assert voices.of(alice) == [] and stored() == []
    left = VoiceConsent.objects.get()
    assert (left.revoked_at, left.recording) == (now, "")
    assert {each.state for each in VoiceMatch.objects.all()} == {"revoked"}
    copies.DELETE_COPIES.run(now + timedelta(seconds=1))
    copies.DELETE_COPIES.run(now + timedelta(seconds=2))
    assert server.kept == NOTHING
    with pytest.raises(problems.Refused):
        make(alice, now, agreed=str(given.id), key="more")
    with pytest.raises(problems.KeyReused):
        give(alice, now)


def test_a_consent_withdrawn_while_a_voice_is_made_leaves_none(alice, rich, now, monkeypatch):
    given = give(alice, now)

    def meanwhile(sample, *_):
        withdrawal.revoke_consent(given, now)
        return described()

    monkeypatch.setattr(voiceprint, "describe", meanwhile)
    with pytest.raises(problems.SpeechFailed, match="withdrawn"):
        make(alice, now, agreed=str(given.id))

    assert not Voice.objects.exists() and stored() == []
    assert balances() == (60_000, 0)


def test_a_consent_withdrawn_before_the_match_is_there_begins_none(alice, rich, now, monkeypatch):
    given = give(alice, now)
    real = consents.recording_of

    def meanwhile(row):
        data = real(row)
        withdrawal.revoke_consent(VoiceConsent.objects.get(id=row.id), now)
        return data

    monkeypatch.setattr(consents, "recording_of", meanwhile)
    with pytest.raises(problems.Refused, match="withdrawn"):
        make(alice, now, agreed=str(given.id))
    assert not VoiceMatch.objects.exists()


def test_a_voice_that_is_deleted_leaves_its_recorded_consent(alice, now):
    fund(alice, 60_000, now)
    given = give(alice, now)
    one = make(alice, now, agreed=str(given.id)).voice
    two = make(alice, now, agreed=str(given.id), key="k2", sample=SAMPLE + b"2").voice

    withdrawal.delete_voice(customer=alice, voice_id=str(one.id), now=now)

    assert [each.id for each in voices.of(alice)] == [str(two.id)]
    assert consents.of(alice, str(given.id)) == given
    assert VoiceMatch.objects.get(voices=one).embedding is None
    # Withdrawn on the page, the consent goes for both.
    withdrawal.revoke(customer=alice, match_id=two.match_id, now=now)
    assert voices.of(alice) == [] and stored() == []


def test_what_nobody_kept_goes_and_the_recorded_consent_stays(alice, rich, now):
    given = give(alice, now)
    VoiceMatch.objects.create(
        customer=alice, key="m", consent=given, state="failed", created_at=now
    )
    VoiceMatch.objects.create(
        customer=alice, key="n", consent=given, state="failed", created_at=now
    )
    later = now + timedelta(hours=withdrawal.UNKEPT_HOURS, seconds=1)

    assert abandoned.FORGET_MATCHES.run(later) == 2
    assert not VoiceMatch.objects.exists() and consents.of(alice, str(given.id))


def test_of_a_withdrawn_consent_the_last_match_takes_the_row(alice, now):
    given = give(alice, now)
    for key in "mn":
        VoiceMatch.objects.create(
            customer=alice, key=key, consent=given, state="ready", created_at=now
        )
    withdrawal.revoke_consent(given, now)
    later = now + timedelta(hours=withdrawal.UNKEPT_HOURS, seconds=1)

    assert abandoned.FORGET_MATCHES.run(later) == 2
    assert not VoiceConsent.objects.exists()


def test_who_is_forgotten_leaves_no_consent_and_no_recording(alice, rich, now):
    given = give(alice, now)
    give(alice, now, key="unused")
    make(alice, now, agreed=str(given.id))

    withdrawal.forget_all(alice, now)

    assert stored() == []
    assert not VoiceConsent.objects.exists() and not VoiceMatch.objects.exists()


# A server that wants a phrase of its own


@pytest.fixture
def openai(server, monkeypatch):  # noqa: F811
    configure(monkeypatch, server, options="?model=m&label=OpenAI&clones=openai")
    return server


def test_a_server_that_wants_its_phrase_alone_gets_the_recorded_consent(alice, rich, now, openai):
    for agreed in (consent.sentence(), ""):
        with pytest.raises(problems.Refused, match="recording of its own") as refused:
            make(alice, now, agreed=agreed)
        assert consent.OPENAI_PHRASE in str(refused.value)
    assert consents.to_read() == consent.OPENAI_PHRASE

    assert make(alice, now, agreed=str(give(alice, now).id)).is_new
    assert openai.forms[0][1]["recording"][2] == READ


def test_a_consent_to_be_compared_is_none_to_be_copied(alice, rich, now, server, monkeypatch):  # noqa: F811
    with monkeypatch.context() as patch:
        patch.setattr(copies.remote, "_servers", ())
        given = give(alice, now)
    assert given.sentence == consent.COMPARED

    with pytest.raises(problems.Refused, match="changed since"):
        make(alice, now, agreed=str(given.id))
    assert server.forms == [] and VoiceCopy.objects.count() == 0
