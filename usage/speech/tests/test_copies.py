"""Copies of voices: offered beside our own voices, kept as one of them, and deleted at their
server when nobody wants them any more. Against a server that keeps the contract, or breaks it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse

from conftest import fund
from jobs.models import PausedJob
from usage import engines, voiceprint
from usage.engines import remote
from usage.engines.remote.clones import Clones
from usage.engines.remote.configuration import read_servers
from usage.engines.remote.tests import contract_server as does
from usage.engines.remote.tests.contract_server import ContractServer
from usage.models import UsageEvent, Voice, VoiceConsent, VoiceCopy, VoiceMatch
from usage.speech import (
    abandoned,
    candidates,
    consent,
    copies,
    match,
    own_voice,
    problems,
    speak,
    voices,
    withdrawal,
)
from usage.speech.tests.test_match import balances, described
from usage.voiceprint.tests import samples

SAMPLE = b"RIFF\x24\0\0\0WAVEfmt of a voice"
OPTIONS = "?model=m&voices=alloy&label=Voice%20House&clones=yes"
NOTHING = {"voice_consents": {}, "voices": {}}
PIECES = 2  # of the sentence that is heard
LOST = timedelta(seconds=copies.LOST_SECONDS + 1)
pytestmark = pytest.mark.django_db


def configure(monkeypatch, *servers, options=OPTIONS):
    written = ", ".join(f"{server.address}{options}" for server in servers)
    monkeypatch.setattr(remote, "_servers", read_servers(written))
    engines.close()
    engines.missing.cache_clear()


@pytest.fixture
def server(monkeypatch):
    server = ContractServer()
    configure(monkeypatch, server)
    yield server
    if not server.ended.is_set():
        server.die()
    engines.close()
    engines.missing.cache_clear()


@pytest.fixture(autouse=True)
def helper(monkeypatch):
    """A helper that hears a woman in every sample."""
    monkeypatch.setattr(voiceprint, "describe", lambda sample: described())


@pytest.fixture
def alone(monkeypatch):
    """A machine on which our own voices cannot be matched."""
    monkeypatch.setattr(match, "missing", lambda name: "Install it.")


@pytest.fixture
def rich(alice, now):
    return fund(alice, 60_000, now)


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


def begin(customer, now, *, sample=SAMPLE, key="m-1", keeps_sample=False, **more):
    return match.begin(
        customer=customer,
        sample=sample,
        consent_sha256=consent.sha256(consent.sentence()),
        keeps_sample=keeps_sample,
        address="192.0.2.7",
        key=key,
        now=now,
        **more,
    )


def keep(customer, now, found, number=0, key="k-1"):
    return match.keep(
        customer=customer, match_id=found.id, number=number, name="Mine", key=key, now=now
    )


def revoke(customer, now, found):
    withdrawal.revoke(customer=customer, match_id=found.id, now=now)


def work(now) -> VoiceCopy:
    """What a worker does a second later, and the one row after it."""
    copies.DELETE_COPIES.run(now + timedelta(seconds=1))
    return VoiceCopy.objects.get()


# The whole way


def test_a_copy_is_made_heard_kept_spoken_with_and_deleted_at_the_server(
    alice, rich, now, server, monkeypatch
):
    monkeypatch.undo()  # the real helper
    configure(monkeypatch, server)
    sound = samples.speech()
    sample = samples.written(samples.numbers(sound), sound.sample_rate, "WAV")

    found = begin(alice, now, sample=sample)

    copy = VoiceCopy.objects.get()
    assert [form[:1] + form[2:] for form in server.forms] == [
        ("voice_consents", f"{copy.name}-consent"),
        ("voices", f"{copy.name}-voice"),
    ]
    consents, made = (form[1] for form in server.forms)
    assert consents["recording"] == ("recording.wav", "audio/wav", sample)
    assert (consents["language"], consents["name"]) == ("en", copy.name)
    assert made["audio_sample"][2] == sample and made["consent"] == copy.consent_id
    assert (found.state, found.candidates[0]) == ("ready", {"copy": "Voice House"})
    assert found.candidates[1]["style"] == "af_heart" and len(found.candidates) == 4
    assert balances() == (60_000, 0)

    assert candidates.heard(found, 0)[:2] in (b"\xff\xfb", b"\xff\xf3", b"ID")
    assert server.asked[-1]["voice"] == {"id": copy.voice_id}

    voice = keep(alice, now, found)
    assert (voice.state, voice.engine) == ("ready", "remote")
    assert voice.settings == {"voice": copy.voice_id, "group": "voice_house", "copy": True}
    assert balances() == (35_000, 0)
    assert UsageEvent.objects.get().event_type == "voice_cloning"
    assert [(one.name, one.description) for one in voices.of(alice)] == [
        ("Mine", "A copy of your voice")
    ]

    spoken = speak.speak(
        customer=alice, text="Hello there.", voice_id=str(voice.id), key="s", now=now
    )
    assert (spoken.state, spoken.credits) == ("done", 12)
    assert server.asked[-1]["voice"] == {"id": copy.voice_id}
    assert work(now + LOST).deleted_at is None  # it is wanted

    for _ in range(2):
        revoke(alice, now, found)
        assert work(now).deleted_at
    assert server.kept == NOTHING and len(server.deleted) == 2
    assert Voice.objects.get().settings == {}
    assert voices.of(alice) == []
    left = VoiceCopy.objects.get()
    assert (left.voice_id, left.consent_id, left.due_at) == ("", "", None)


def test_the_server_is_asked_outside_any_transaction(
    transactional_db, alice, now, server, monkeypatch
):
    class Watched(Clones):
        def __enter__(self):
            assert not connection.in_atomic_block
            return super().__enter__()

    monkeypatch.setattr(copies, "Clones", Watched)
    found = begin(alice, now)
    revoke(alice, now, found)

    assert work(now).deleted_at and server.kept == NOTHING


def test_nobody_else_can_speak_with_a_copy_or_see_it(alice, bob, now, server):
    begin(alice, now)
    copy = VoiceCopy.objects.get()
    server.voices, server.lists_copies = [], True
    engines.engine("remote").warm()

    assert [one.name for one in voices.house() if one.group] == ["alloy"]
    for customer in (alice, bob):
        with pytest.raises(problems.UnknownVoice):
            voices.resolve(customer, f"remote-voice_house-{quote(copy.voice_id, safe='')}")


def test_a_server_that_made_copies_once_does_not_list_them_for_everybody(
    alice, now, server, monkeypatch
):
    begin(alice, now)
    server.lists_copies = True
    server.kept["voices"]["own"] = {"id": "own", "name": "Of the house"}
    configure(monkeypatch, server, options="?model=m&label=Voice%20House")
    engines.engine("remote").warm()

    assert [one.name for one in voices.house() if one.group] == ["Of the house"]


def test_a_copy_is_heard_free_twenty_times(alice, now, server):
    found = begin(alice, now)
    VoiceCopy.objects.update(heard=copies.HEARD_MAX - 1)
    candidates.heard(found, 0)
    with pytest.raises(problems.Refused, match="20 times"):
        candidates.heard(found, 0)
    assert len(server.asked) == PIECES


def test_what_is_heard_of_a_copy_is_not_remembered(alice, now, server):
    found = begin(alice, now)
    for _ in range(2):
        candidates.heard(found, 0)
    assert len(server.asked) == 2 * PIECES


# By the rules of OpenAI's own service


@pytest.fixture
def openai(server, monkeypatch):
    configure(monkeypatch, server, options="?model=m&label=OpenAI&clones=openai")
    return server


def test_openai_gets_its_phrase_alone_and_a_short_sample(alice, now, openai):
    alone = b"RIFF\x24\0\0\0WAVE of a phrase"
    found = begin(alice, now, consent_recording=alone)

    consents, made = (form[1] for form in openai.forms)
    assert (consents["recording"][2], made["audio_sample"][2]) == (alone, SAMPLE)
    assert found.candidates[0] == {"copy": "OpenAI"}
    assert begin(alice, now, consent_recording=alone).id == found.id
    with pytest.raises(problems.KeyReused):
        begin(alice, now, consent_recording=alone + b".")
    assert len(openai.forms) == 2


def test_a_sample_that_is_too_long_for_openai_is_not_sent(alice, now, openai, monkeypatch):
    long = replace(described(), seconds=30.5)
    monkeypatch.setattr(voiceprint, "describe", lambda sample: long)
    found = begin(alice, now, consent_recording=SAMPLE)

    assert "it takes samples of at most 30 seconds" in copies.failure_of(found)
    assert len(found.candidates) == 3 and openai.forms == []


@pytest.mark.parametrize(
    ("recording", "words"), [(b"", "Choose a file"), (bytes(1_500_001), "more than 1.5 MB")]
)
def test_openai_wants_a_recording_of_its_phrase(alice, now, openai, recording, words):
    with pytest.raises(problems.Refused, match=words) as refused:
        begin(alice, now, consent_recording=recording)
    assert list(refused.value.errors) == ["consent_recording"]
    assert not VoiceMatch.objects.exists()


def test_the_page_asks_for_both_recordings_of_openai(page, alice, rich, openai):
    html = page.get(reverse("own-voice")).content.decode()
    assert html.index(consent.OPENAI_PHRASE) < html.index("sends this recording to OpenAI")
    assert html.count('type="file"') == 2 and "10 to 30 seconds" in html
    assert "why would" not in html.lower()  # the text is so short that it fits

    form = {
        "consent": consent.sha256(consent.sentence()),
        "key": "m-1",
        "sample": SimpleUploadedFile("voice.wav", SAMPLE),
    }
    missing = page.post(reverse("voice-match"), form)
    assert (missing.status_code, "Choose a file" in missing.content.decode()) == (422, True)
    form["sample"] = SimpleUploadedFile("voice.wav", SAMPLE)
    form["consent_recording"] = SimpleUploadedFile("phrase.wav", SAMPLE + b" alone")
    assert page.post(reverse("voice-match"), form).url == reverse("own-voice")
    assert openai.forms[0][1]["recording"][2] == SAMPLE + b" alone"


# A server that does not make one


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (does.fails(400, does.error("Nobody speaks.")), "take this recording: “Nobody speaks.”"),
        (does.fails(422), "does not take this recording."),
        (does.fails(429), "has too much to do just now."),
        (does.fails(401), "cannot make copies just now."),
        (does.fails(500), "cannot make copies just now."),
        (does.answers(b"[]"), "cannot make copies just now."),
    ],
)
@pytest.mark.parametrize("kind", ["voice_consents", "voices"])
def test_without_a_copy_there_are_still_our_own_voices_and_the_reason(
    alice, now, server, page, answer, words, kind
):
    server.on_form[kind] = answer
    server.lists_copies = True
    found = begin(alice, now)

    assert (found.state, len(found.candidates)) == ("ready", 3)
    assert all("style" in each for each in found.candidates)
    html = page.get(reverse("own-voice")).content.decode()
    assert "No copy of your voice could be made: Voice House" in html and words in html
    assert "made by Voice House</" not in html
    work(now)
    assert work(now + LOST).deleted_at is not None
    assert server.kept == NOTHING
    withdrawal.forget(found, now)
    assert VoiceCopy.objects.get().failure == ""


def test_a_dead_server_leaves_our_own_voices(alice, now, server):
    server.die()
    found = begin(alice, now)

    assert len(found.candidates) == 3
    assert copies.failure_of(found) == "Voice House cannot be reached just now."
    assert work(now).deleted_at  # it never got anything


def test_without_voices_of_our_own_a_failed_copy_is_an_error_in_words(alice, now, server, alone):
    server.on_form["voices"] = does.fails(400, does.error("Nobody speaks."))
    with pytest.raises(problems.SpeechFailed, match="Voice House does not take this recording"):
        begin(alice, now, keeps_sample=True)

    found = VoiceMatch.objects.get()
    assert (found.state, found.sample) == ("failed", "")
    assert "Nobody speaks" in found.failure
    assert work(now).deleted_at and server.kept == NOTHING


def test_without_voices_of_our_own_the_copy_is_the_only_candidate(alice, rich, now, server, alone):
    found = begin(alice, now)

    assert match.is_offered() and not match.finds_here()
    assert (found.candidates, found.embedding) == ([{"copy": "Voice House"}], None)
    assert keep(alice, now, found).state == "ready"


@pytest.mark.parametrize("sample", [b"no sound at all", bytes(10_000_001)])
def test_without_voices_of_our_own_a_file_that_is_no_sample_is_refused_unsent(
    alice, now, server, alone, sample
):
    with pytest.raises((problems.Refused, problems.SpeechFailed), match="Send"):
        begin(alice, now, sample=sample)
    assert server.forms == []
    assert work(now).deleted_at


def test_neither_voices_of_our_own_nor_a_server_match_nothing(alice, now, alone):
    assert not match.is_offered()
    with pytest.raises(problems.SpeechFailed, match="does not work just now"):
        begin(alice, now)


def test_a_sample_that_is_refused_here_is_never_sent(alice, now, server, monkeypatch):
    def refused(sample):
        raise voiceprint.SampleRefused("silent")

    monkeypatch.setattr(voiceprint, "describe", refused)
    with pytest.raises(problems.Refused):
        begin(alice, now)
    assert server.forms == []


def test_a_copy_that_cannot_speak_costs_nothing_and_stays(alice, rich, now, server):
    found = begin(alice, now)
    server.answer = does.fails(500)
    with pytest.raises(problems.SpeechFailed):
        keep(alice, now, found)
    server.answer = does.good

    assert balances() == (60_000, 0)
    assert work(now + LOST).deleted_at is None
    server.ended.wait(1.2)  # the first pause of a server that failed
    assert keep(alice, now, found, key="k-2").state == "ready"


# Gone again


def test_a_copy_that_nobody_keeps_goes_with_its_match(alice, now, server):
    begin(alice, now)
    later = now + timedelta(hours=withdrawal.UNKEPT_HOURS, seconds=1)
    assert work(now + LOST).deleted_at is None

    assert abandoned.FORGET_MATCHES.run(later) == 1
    left = work(later)

    assert left.match is None and left.deleted_at
    assert server.kept == NOTHING
    assert not VoiceMatch.objects.exists() and not VoiceConsent.objects.exists()


def test_a_copy_goes_when_another_candidate_is_kept(alice, rich, now, server, monkeypatch):
    found = begin(alice, now)
    monkeypatch.setattr(own_voice, "preview_matched", lambda settings, text: None)
    assert keep(alice, now, found, number=1).engine == "kokoro"

    assert work(now).deleted_at
    assert server.kept == NOTHING


def test_a_consent_withdrawn_while_the_copy_is_made_leaves_none(alice, now, server):
    real = copies.Clones.make_voice

    def meanwhile(self, **arguments):
        made = real(self, **arguments)
        revoke(alice, now, VoiceMatch.objects.get())
        work(now)  # it waits: an answer is on its way
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies.Clones, "make_voice", meanwhile)
        with pytest.raises(problems.SpeechFailed, match="withdrawn"):
            begin(alice, now)

    assert work(now).deleted_at
    assert server.kept == NOTHING


def killed(customer, now, server, **fields) -> VoiceCopy:
    """What is left of a process that was killed while the server answered."""
    given = VoiceConsent.objects.create(customer=customer, address="a", given_at=now)
    found = VoiceMatch.objects.create(customer=customer, key="g", consent=given, created_at=now)
    copy = copies.prepare(found, remote.cloner(), now)
    VoiceCopy.objects.filter(id=copy.id).update(**fields)
    for kind in server.kept:
        server.kept[kind]["lost"] = {"id": "lost", "name": copy.name}
        server.kept[kind]["other"] = {"id": "other", "name": "of somebody else"}
    return copy


@pytest.mark.parametrize("kind", ["voice", "consent"])
def test_what_a_killed_process_did_not_hear_of_is_found_by_its_name(alice, now, server, kind):
    server.lists_copies = True
    killed(alice, now, server, asking=kind)
    path = "voices" if kind == "voice" else "voice_consents"

    abandoned.GIVE_UP_MATCHES.run(now + timedelta(seconds=match.ABANDONED_SECONDS + 1))
    assert work(now + timedelta(seconds=match.ABANDONED_SECONDS + 1)).deleted_at is None
    assert server.deleted == []  # it may still be made
    assert work(now + LOST).deleted_at

    assert list(server.kept[path]) == ["other"]
    assert VoiceMatch.objects.get().state == "failed"


def test_a_process_that_answers_after_all_leaves_no_copy(alice, now, server, monkeypatch):
    """It stood still for so long that a worker was done with its row."""
    real = copies.Clones.make_voice

    def late(self, **arguments):
        abandoned.GIVE_UP_MATCHES.run(now + LOST)
        assert work(now + LOST).deleted_at
        return real(self, **arguments)

    server.lists_copies = True
    monkeypatch.setattr(copies.Clones, "make_voice", late)
    with pytest.raises(problems.SpeechFailed, match="took too long"):
        begin(alice, now)

    assert work(now + LOST).deleted_at
    assert server.kept == NOTHING


def test_where_the_server_lists_no_voices_a_person_is_asked_to_look(
    alice, now, server, client, staff
):
    copy = killed(alice, now, server, asking="voice", consent_id="lost")
    VoiceMatch.objects.update(state="failed")
    left = work(now + LOST)

    assert left.dead_at and copy.name in left.last_error
    assert "does not list its voices" in left.last_error
    assert list(server.kept["voice_consents"]) == ["other"]  # what was known is deleted
    client.force_login(staff)
    client.post(
        reverse("admin:usage_voicecopy_changelist"),
        {
            "action": "close",
            "_selected_action": [str(copy.id)],
            "reason": "Looked, and deleted it",
            "confirmed": "yes",
        },
    )
    left = VoiceCopy.objects.get()
    assert left.deleted_at and left.dead_at is None and left.asking == ""


def test_a_deletion_waits_for_a_server_that_is_away(alice, now, server, monkeypatch):
    found = begin(alice, now)
    port = server.server_port
    server.die()
    revoke(alice, now, found)

    left = work(now)
    assert (left.attempts, left.deleted_at, left.dead_at) == (1, None, None)
    assert "there is no connection" in left.last_error
    again = ContractServer(port=port)
    try:
        again.kept = server.kept
        later = now + timedelta(minutes=3)
        assert work(later).deleted_at
        assert again.kept == NOTHING
    finally:
        again.die()


def test_a_refused_key_pauses_the_deletions(alice, now, server):
    found = begin(alice, now)
    server.key = "changed"
    revoke(alice, now, found)
    left = work(now)

    assert (left.attempts, left.dead_at) == (0, None)
    assert "its key is missing" in PausedJob.objects.get(name="copies.delete").reason
    server.key = ""
    assert work(now + timedelta(seconds=copies.PAUSE_SECONDS)).deleted_at


@pytest.mark.parametrize("why", ["removed", "refuses"])
def test_what_cannot_be_deleted_needs_a_person_and_is_tried_again_when_one_says_so(
    alice, now, server, monkeypatch, why
):
    found = begin(alice, now)
    if why == "removed":
        monkeypatch.setattr(remote, "_servers", ())
    else:
        server.on_delete = lambda handler, *_: handler.whole(405, "text/plain", b"")
    revoke(alice, now, found)
    left = work(now)
    assert left.dead_at
    assert ("no server at" if why == "removed" else "it deletes none") in left.last_error

    server.on_delete = does.deletes
    configure(monkeypatch, server)
    VoiceCopy.objects.run_now(now)
    assert work(now).deleted_at and server.kept == NOTHING


def test_who_is_forgotten_leaves_a_row_that_names_nobody(alice, rich, now, server):
    keep(alice, now, begin(alice, now))
    server.on_delete = lambda handler, *_: handler.whole(503, "text/plain", b"")
    withdrawal.forget_all(alice, now)
    left = work(now)

    assert (left.match, left.deleted_at, left.attempts) == (None, None, 1)
    assert not VoiceMatch.objects.exists() and not VoiceConsent.objects.exists()
    assert Voice.objects.get().settings == {}
    server.on_delete = does.deletes
    assert work(now + timedelta(minutes=3)).deleted_at and server.kept == NOTHING


# The page


def test_the_page_says_which_of_the_two_it_is_before_anything_is_sent(page, rich, server):
    html = page.get(reverse("own-voice")).content.decode()

    assert "Your recording is sent to Voice House, which makes a copy of your voice." in html
    assert "Vocalis sends this recording to Voice House" in html
    assert consent.sha256(consent.copied("Voice House")) in html
    assert "Send to Voice House" in html and "No copy of your voice is made" not in html


def test_without_such_a_server_the_page_says_that_no_copy_is_made(page, rich):
    html = page.get(reverse("own-voice")).content.decode()

    assert "No copy of your voice is made" in html and consent.COMPARED in html


def test_who_agreed_to_be_compared_has_not_agreed_to_be_copied(alice, now, server, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(remote, "_servers", ())
        agreed = consent.sha256(consent.sentence())
    with pytest.raises(problems.Refused, match="The sentence has changed"):
        match.begin(
            customer=alice,
            sample=SAMPLE,
            consent_sha256=agreed,
            keeps_sample=False,
            address="a",
            key="k",
            now=now,
        )
    assert server.forms == []
    begin(alice, now)
    assert VoiceConsent.objects.get().sentence == consent.copied("Voice House")


def test_the_page_offers_the_copy_first_keeps_it_and_withdraws_it(page, alice, rich, server):
    form = {
        "consent": consent.sha256(consent.sentence()),
        "key": "m-1",
        "sample": SimpleUploadedFile("voice.wav", SAMPLE),
    }
    assert page.post(reverse("voice-match"), form).url == reverse("own-voice")
    found = VoiceMatch.objects.get()
    html = page.get(reverse("own-voice")).content.decode()
    assert html.count('name="candidate"') == 4
    assert html.index("A copy of your voice, made by Voice House") < html.index("American, woman")
    assert html.count("of this kind, not this person") == 4
    assert "A copy is at Voice House" in html

    heard = page.get(reverse("voice-match-sample", args=[found.id, 0]))
    assert (heard.status_code, heard["Content-Type"]) == (200, "audio/mpeg")
    chosen = {"candidate": "0", "name": "Mine", "key": "k-1"}
    for _ in range(2):
        answer = page.post(reverse("voice-match-keep", args=[found.id]), chosen)
        assert answer.url == reverse("own-voice")
    assert Voice.objects.get().engine == "remote" and balances() == (35_000, 0)

    told = page.post(
        reverse("voice-match-forget", args=[found.id]), {"what": "consent"}, follow=True
    )
    assert "Voice House is being asked to delete its copy." in told.content.decode()
