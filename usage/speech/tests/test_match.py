"""Voice match: free until a voice is kept, one at a time, and gone when it is to be."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as site
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from billing.ledger import InsufficientCredits
from billing.models import Reservation, Wallet
from conftest import fund
from usage import voiceprint
from usage.engines.tests.quick import QuickEngine
from usage.models import UsageEvent, Voice, VoiceConsent, VoiceMatch
from usage.speech import abandoned, candidates, match, own_voice, problems, voices, withdrawal
from usage.speech import consent as consents
from usage.voiceprint import Described, DescribeFailed, Reference, SampleRefused

SAMPLE = b"RIFF of a voice"
SHA256 = consents.sha256(consents.COMPARED)


def described(pitch_hz=210.0, **likeness) -> Described:
    """As if the sample were that near to each of these voices."""
    found = likeness or {
        "af_heart": 0.8,
        "af_bella": 0.7,
        "bf_emma": 0.66,
        "am_michael": 0.6,
        "bm_george": 0.5,
    }
    references = tuple(Reference(style, near, 0.9, 200.0) for style, near in found.items())
    return Described(12.0, pitch_hz, bytes(512), references)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A helper that hears a woman, and an engine that speaks at once."""
    monkeypatch.setattr(voiceprint, "describe", lambda sample: described())
    monkeypatch.setattr(own_voice, "engine", lambda name: QuickEngine())
    candidates.sample.cache_clear()


@pytest.fixture
def rich(alice, now):
    return fund(alice, 60_000, now)


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


def begin(customer, now, sample=SAMPLE, key="m-1", keeps_sample=False, consent=None):
    return match.begin(
        customer=customer,
        sample=sample,
        consent_sha256=SHA256 if consent is None else consent,
        keeps_sample=keeps_sample,
        address="192.0.2.7",
        key=key,
        now=now,
    )


def keep(customer, now, found, number=0, key="k-1", name="Mine"):
    return match.keep(
        customer=customer, match_id=found.id, number=number, name=name, key=key, now=now
    )


def balances() -> tuple[int, int]:
    return Wallet.objects.values_list("balance", "reserved").get()


def stored() -> list[Path]:
    return [path for path in Path(site.MEDIA_ROOT).rglob("*") if path.is_file()]


def pending(customer, now, **fields):
    """What a process that was killed at work left."""
    consent = VoiceConsent.objects.create(customer=customer, address="a", given_at=now)
    return VoiceMatch.objects.create(
        customer=customer, key="gone", consent=consent, created_at=now, **fields
    )


# Which voices are offered


def test_the_two_nearest_of_the_same_sex_and_their_blend_are_offered():
    found = candidates.nearest(described())

    assert [each["style"] for each in found] == [
        "af_heart",
        "af_heart=0.6,af_bella=0.4",
        "af_bella",
    ]
    assert [each["likeness"] for each in found] == [0.8, 0.75, 0.7]
    assert all(each["gain"] == 0.9 for each in found)


@pytest.mark.parametrize(("pitch_hz", "sex"), [(210.0, "f"), (110.0, "m")])
def test_where_the_likeness_is_unsure_the_pitch_says_whose_voice_it_is(pitch_hz, sex):
    near = {"af_heart": 0.61, "af_bella": 0.60, "am_michael": 0.62, "am_puck": 0.61}
    found = candidates.nearest(described(pitch_hz, **near))

    assert {each["style"][1] for each in found} == {sex}


def test_where_the_likeness_is_sure_a_low_voice_of_a_woman_stays_a_womans():
    found = candidates.nearest(
        described(120.0, af_heart=0.8, af_sky=0.78, am_adam=0.5, am_eric=0.5)
    )

    assert {each["style"][1] for each in found} == {"f"}


def test_likeness_is_said_in_words():
    assert candidates.in_words(0.95) == "Very near in kind"
    assert candidates.in_words(0.78) == "Near in kind"
    assert candidates.in_words(0.2) == "The nearest we have, and not very near"
    assert candidates.in_kind("am_michael=0.5,bm_george=0.5") == (
        "Between American and British, man"
    )


# Comparing a sample


def test_a_match_costs_nothing_and_keeps_the_consent_but_not_the_sample(alice, rich, now):
    found = begin(alice, now)

    assert (found.state, len(found.candidates)) == ("ready", 3)
    consent = VoiceConsent.objects.get()
    assert (consent.sentence, consent.address) == (consents.COMPARED, "192.0.2.7")
    assert (consent.sentence_sha256, consent.given_at) == (SHA256, now)
    assert bytes(VoiceMatch.objects.get().embedding) == bytes(512)
    assert stored() == []
    assert balances() == (60_000, 0)
    assert not Reservation.objects.exists() and not UsageEvent.objects.exists()


def test_a_sample_is_stored_only_for_who_wants_it_and_can_be_deleted_alone(alice, now):
    found = begin(alice, now, keeps_sample=True)

    assert [path.read_bytes() for path in stored()] == [SAMPLE]
    assert found.sample.endswith(".wav")

    match.forget_sample(found)
    assert stored() == []
    assert VoiceMatch.objects.get().sample == ""


def test_the_same_form_twice_is_one_match_and_another_sample_wants_a_new_key(alice, now):
    assert begin(alice, now).id == begin(alice, now).id
    assert VoiceConsent.objects.count() == 1
    with pytest.raises(problems.KeyReused):
        begin(alice, now, sample=b"another")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"consent": ""}, "consent"),
        ({"consent": "0" * 64}, "consent"),
        ({"sample": b""}, "sample"),
        ({"key": "with space"}, "key"),
    ],
)
def test_without_consent_or_sample_nothing_is_looked_at(alice, now, wrong, field):
    with pytest.raises(problems.Refused) as refused:
        begin(alice, now, **wrong)

    assert list(refused.value.errors) == [field]
    assert not VoiceMatch.objects.exists() and not VoiceConsent.objects.exists()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (SampleRefused("silent"), problems.Refused),
        (DescribeFailed("it died"), problems.SpeechFailed),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_a_sample_that_cannot_be_compared_leaves_nothing(alice, now, monkeypatch, error, raised):
    def broken(sample):
        raise error

    monkeypatch.setattr(voiceprint, "describe", broken)
    with pytest.raises(raised):
        begin(alice, now, keeps_sample=True)

    found = VoiceMatch.objects.get()
    assert (found.state, found.embedding, found.candidates) == ("failed", None, [])
    assert found.sample == "" and stored() == []
    monkeypatch.setattr(voiceprint, "describe", lambda sample: described())
    assert begin(alice, now, key="m-2").state == "ready"


def test_a_storage_that_is_away_fails_the_match(alice, now, monkeypatch):
    def away(name, sample):
        raise problems.SpeechFailed("The sample could not be stored. Try again in a moment.")

    monkeypatch.setattr(match.audio, "store_sample", away)
    with pytest.raises(problems.SpeechFailed, match="stored"):
        begin(alice, now, keeps_sample=True)
    assert VoiceMatch.objects.get().state == "failed"


def test_one_sample_is_compared_at_a_time_and_a_killed_one_makes_way(alice, now):
    pending(alice, now)
    with pytest.raises(problems.MatchInProgress):
        begin(alice, now)
    assert VoiceConsent.objects.count() == 1

    later = now + timedelta(seconds=match.ABANDONED_SECONDS + 1)
    assert begin(alice, later).state == "ready"
    assert VoiceMatch.objects.get(key="gone").state == "failed"


def test_what_a_killed_process_stored_is_deleted_by_a_worker(alice, now):
    name = f"{alice.id}/sample-gone.wav"
    match.audio.store_sample(name, SAMPLE)
    pending(alice, now, sample=name)

    assert abandoned.GIVE_UP_MATCHES.run(now) == 0
    later = now + timedelta(seconds=match.ABANDONED_SECONDS + 1)
    assert abandoned.GIVE_UP_MATCHES.run(later) == 1
    assert VoiceMatch.objects.get().state == "failed" and stored() == []
    assert abandoned.GIVE_UP_MATCHES.run(later) == 0


def test_after_ten_matches_in_a_day_one_waits_and_is_told_how_long(alice, bob, now):
    for number in range(match.MATCHES_A_DAY):
        begin(alice, now + timedelta(minutes=number), key=f"m-{number}")

    with pytest.raises(problems.TooManyMatches, match="24 hours") as refused:
        begin(alice, now + timedelta(minutes=30), key="more")

    assert refused.value.retry_after_seconds == 86_400 - 30 * 60
    assert not VoiceMatch.objects.filter(key="more").exists()
    assert VoiceConsent.objects.count() == match.MATCHES_A_DAY
    assert begin(bob, now).state == "ready"
    assert begin(alice, now + timedelta(days=1, seconds=1), key="more").state == "ready"


# Keeping a voice


def test_keeping_a_candidate_captures_once_and_makes_one_event_due(alice, rich, now):
    found = begin(alice, now)
    voice = keep(alice, now, found, number=1)

    assert (voice.state, voice.engine) == ("ready", "kokoro")
    assert voice.settings == {"style": "af_heart=0.6,af_bella=0.4", "gain": 0.9}
    assert balances() == (35_000, 0)
    event = UsageEvent.objects.get()
    assert (event.event_type, event.properties) == ("voice_cloning", {"voice_id": str(voice.id)})
    assert VoiceMatch.objects.get().state == "kept"
    assert keep(alice, now, found, number=1).id == voice.id  # a double click
    assert balances() == (35_000, 0)
    with pytest.raises(problems.Refused, match="have kept"):
        keep(alice, now, found, number=0, key="k-2")
    assert [one.name for one in voices.of(alice)] == ["Mine"]


def test_a_voice_that_cannot_speak_costs_nothing_and_the_match_stays(alice, rich, now, monkeypatch):
    def broken(settings, text=""):
        raise problems.SpeechFailed("The engine did not answer.")

    found = begin(alice, now)
    with monkeypatch.context() as patch:
        patch.setattr(own_voice, "preview_matched", broken)
        with pytest.raises(problems.SpeechFailed):
            keep(alice, now, found)

    assert balances() == (60_000, 0)
    assert VoiceMatch.objects.get().state == "ready" and not UsageEvent.objects.exists()
    assert keep(alice, now, found, key="k-2").state == "ready"


def test_too_few_credits_leave_the_match(alice, wallet, now):
    found = begin(alice, now)
    with pytest.raises(InsufficientCredits):
        keep(alice, now, found)

    assert not Voice.objects.exists()
    assert VoiceMatch.objects.get().state == "ready"


def test_a_consent_withdrawn_while_a_voice_is_set_up_makes_no_voice(alice, rich, now, monkeypatch):
    found = begin(alice, now)
    monkeypatch.setattr(
        own_voice,
        "preview_matched",
        lambda settings, text: withdrawal.revoke(customer=alice, match_id=found.id, now=now),
    )
    with pytest.raises(problems.SpeechFailed, match="over"):
        keep(alice, now, found)

    assert balances() == (60_000, 0)
    assert Voice.objects.get().state == "failed" and not UsageEvent.objects.exists()


def test_nobody_keeps_hears_or_withdraws_what_is_somebody_elses(alice, bob, rich, now):
    found = begin(bob, now)
    for attempt in (
        lambda: keep(alice, now, found),
        lambda: match.of(alice, found.id),
        lambda: withdrawal.revoke(customer=alice, match_id=found.id, now=now),
    ):
        with pytest.raises(problems.UnknownMatch):
            attempt()
    assert VoiceMatch.objects.get().state == "ready"
    with pytest.raises(problems.UnknownMatch):
        keep(bob, now, found, number=3)


# Going again


def test_withdrawing_deletes_sample_and_embedding_and_silences_the_voice(alice, rich, now):
    found = begin(alice, now, keeps_sample=True)
    voice = keep(alice, now, found)

    for _ in range(2):
        withdrawal.revoke(customer=alice, match_id=found.id, now=now)

    left = VoiceMatch.objects.get()
    assert (left.state, left.embedding, left.candidates, left.sample, left.body_hash) == (
        "revoked",
        None,
        [],
        "",
        "",
    )
    assert left.consent.revoked_at == now and stored() == []
    assert Voice.objects.get().state == "revoked"
    assert voices.of(alice) == []
    with pytest.raises(problems.UnknownVoice):
        voices.resolve(alice, str(voice.id))
    assert balances() == (35_000, 0)


def test_a_sample_that_cannot_be_deleted_is_not_forgotten(alice, now, monkeypatch):
    found = begin(alice, now, keeps_sample=True)
    with monkeypatch.context() as patch:

        def away(name):
            raise OSError("the storage is away")

        patch.setattr(match.audio, "delete_sample", away)
        with pytest.raises(OSError, match="away"):
            withdrawal.revoke(customer=alice, match_id=found.id, now=now)
        assert VoiceMatch.objects.get().embedding is None

    withdrawal.revoke(customer=alice, match_id=found.id, now=now)
    assert stored() == []


def test_a_match_that_nobody_keeps_goes_after_a_day_and_a_kept_one_stays(alice, rich, now):
    kept = begin(alice, now)
    keep(alice, now, kept)
    begin(alice, now, key="m-2", keeps_sample=True)
    later = now + timedelta(hours=withdrawal.UNKEPT_HOURS, seconds=1)

    assert abandoned.FORGET_MATCHES.run(now) == 0
    assert abandoned.FORGET_MATCHES.run(later) == 1

    assert [left.id for left in VoiceMatch.objects.all()] == [kept.id]
    assert [left.matches.get().id for left in VoiceConsent.objects.all()] == [kept.id]
    assert stored() == []
    assert abandoned.FORGET_MATCHES.run(later) == 0


def test_who_wants_to_be_forgotten_is(alice, bob, rich, now):
    keep(alice, now, begin(alice, now, keeps_sample=True))
    begin(bob, now)

    withdrawal.forget_all(alice, now)

    assert [left.customer for left in VoiceMatch.objects.all()] == [bob]
    assert [left.customer for left in VoiceConsent.objects.all()] == [bob]
    assert stored() == []
    assert Voice.objects.get().match is None
    pending(alice, now)
    with pytest.raises(problems.MatchInProgress):
        withdrawal.forget_all(alice, now)


# The page


def form(**changed):
    fields = {"consent": SHA256, "key": "m-1"} | changed
    return fields | {"sample": SimpleUploadedFile("voice.wav", SAMPLE)}


def test_the_page_leads_with_the_match_and_says_what_it_is(page, rich):
    html = page.get(reverse("own-voice")).content.decode()

    assert html.index("Match your voice") < html.index("Tune one by ear")
    assert consents.COMPARED in html and "not a copy of" in html
    assert 'accept=".wav,.mp3,.ogg,.flac' in html


def test_without_script_a_file_is_sent_three_are_heard_and_one_is_kept(page, alice, rich):
    assert page.post(reverse("voice-match"), form()).url == reverse("own-voice")
    found = VoiceMatch.objects.get()
    html = page.get(reverse("own-voice")).content.decode()
    assert html.count('name="candidate"') == 3
    assert "of this kind, not this person" in html

    for number in range(3):
        heard = page.get(reverse("voice-match-sample", args=[found.id, number]))
        assert (heard.status_code, heard["Content-Type"]) == (200, "audio/mpeg")
    assert page.get(reverse("voice-match-sample", args=[found.id, 3])).status_code == 404

    chosen = {"candidate": "2", "name": "Mine", "key": "k-1"}
    for _ in range(2):
        answer = page.post(reverse("voice-match-keep", args=[found.id]), chosen)
        assert answer.url == reverse("own-voice")
    assert Voice.objects.get().settings["style"] == "af_bella"
    assert balances() == (35_000, 0)
    assert "Speak with it" in page.get(reverse("own-voice")).content.decode()


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (form(consent=""), 422, "tick that you agree"),
        ({"consent": SHA256, "key": "m-1"}, 422, "Choose a file"),
    ],
)
def test_the_page_says_what_is_missing_of_a_sample(page, sent, status, words):
    answer = page.post(reverse("voice-match"), sent)

    assert answer.status_code == status
    assert words in answer.content.decode()
    assert not VoiceMatch.objects.exists()


def test_the_page_says_why_a_sample_is_refused_and_gives_a_new_key(page, monkeypatch):
    def refused(sample):
        raise SampleRefused("too_long")

    monkeypatch.setattr(voiceprint, "describe", refused)
    answer = page.post(reverse("voice-match"), form())

    assert answer.status_code == 422
    assert "longer than 5 minutes" in answer.content.decode()
    assert 'name="key" value="m-1"' not in answer.content.decode()


def test_the_page_names_what_is_missing_to_keep_one(page, alice, wallet, now):
    found = begin(alice, now)
    answer = page.post(
        reverse("voice-match-keep", args=[found.id]), {"candidate": "1", "name": "Mine"}
    )

    assert answer.status_code == 402
    assert "24,500</span> credits short" in answer.content.decode()
    unnamed = page.post(reverse("voice-match-keep", args=[found.id]), {"candidate": "1"})
    assert unnamed.status_code == 422 and "1 to 60 characters" in unnamed.content.decode()
    nothing = page.post(reverse("voice-match-keep", args=[found.id]), {"name": "Mine"})
    assert nothing.status_code == 404


def test_the_page_withdraws_and_deletes_and_hands_the_sample_out(page, alice, rich, now):
    found = begin(alice, now, keeps_sample=True)
    keep(alice, now, found)
    recording = page.get(reverse("voice-match-recording", args=[found.id]))
    assert recording.content == SAMPLE
    assert 'filename="vocalis-sample.wav"' in recording["Content-Disposition"]

    page.post(reverse("voice-match-forget", args=[found.id]))
    assert stored() and Voice.objects.get().state == "ready"
    page.post(reverse("voice-match-forget", args=[found.id]), {"what": "sample"})
    assert page.get(reverse("voice-match-recording", args=[found.id])).status_code == 404
    assert Voice.objects.get().state == "ready"

    page.post(reverse("voice-match-forget", args=[found.id]), {"what": "consent"})
    html = page.get(reverse("own-voice")).content.decode()
    assert "Mine" in page.get(reverse("usage")).content.decode()
    assert "Mine speaks no more" in html and "Withdraw consent" not in html


def test_a_site_that_cannot_compare_says_so_and_still_tunes(page, monkeypatch):
    monkeypatch.setattr(match, "missing", lambda name: "Install it.")
    html = page.get(reverse("own-voice")).content.decode()

    assert "does not work just now" in html and "Set up this voice" in html


def test_a_sample_needs_the_token_of_the_form(alice, now):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice.user)

    assert strict.post(reverse("voice-match"), form()).status_code == 403
    assert not VoiceMatch.objects.exists()


def test_a_sample_never_touches_a_disk_on_its_way(page, monkeypatch):
    import tempfile

    def refuse(*args, **kwargs):
        raise AssertionError("a file is made")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    large = SimpleUploadedFile("voice.wav", b"RIFF" + bytes(6_000_000))

    answer = page.post(reverse("voice-match"), form() | {"sample": large})

    assert answer.url == reverse("own-voice")
