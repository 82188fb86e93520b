"""Copies of voices at a speech server, against one that keeps the contract, or breaks it."""

import time

import pytest

from usage.engines.remote import clones as module
from usage.engines.remote.clones import Clones, Kind, media_type
from usage.engines.remote.configuration import read_servers
from usage.engines.remote.failures import (
    Broken,
    Busy,
    Misconfigured,
    Refused,
    TimedOut,
    Unreachable,
)
from usage.engines.remote.tests import contract_server as does

WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(3_000_000)
MAKES = ["voice_consents", "voices"]


@pytest.fixture
def asks(serve):
    """The calls to a server: `asks(server)`."""
    opened = []

    def asks(server, key="") -> Clones:
        address = f"http://{f'{key}@' if key else ''}{server.address[7:]}"
        (found,) = read_servers(f"{address}?model=m&label=Studio&clones=yes")
        opened.append(Clones(found))
        return opened[-1]

    yield asks
    for each in opened:
        each.__exit__()


def make(clones: Clones, kind: str) -> str:
    if kind == "voices":
        return clones.make_voice(name="c-1", consent_id="consent", sample=WAV, key="k-2")
    return clones.give_consent(name="c-1", language="en", recording=WAV, key="k-1")


def test_a_consent_and_then_a_voice_are_made_as_the_contract_says(serve, asks):
    server = serve(key="right")
    clones = asks(server, key="right")
    consent = clones.give_consent(name="c-1", language="en", recording=WAV, key="k-1")
    voice = clones.make_voice(name="c-1", consent_id=consent, sample=WAV, key="k-2")

    assert (consent, voice) == ("voice_consent 1/é", "voice 2/é")
    assert server.forms == [
        (
            "voice_consents",
            {
                "name": "c-1",
                "language": "en",
                "recording": ("recording.wav", "audio/wav", WAV),
            },
            "k-1",
        ),
        (
            "voices",
            {
                "name": "c-1",
                "consent": consent,
                "audio_sample": ("audio_sample.wav", "audio/wav", WAV),
            },
            "k-2",
        ),
    ]


def test_each_is_deleted_and_twice_is_as_once(serve, asks):
    server = serve()
    clones = asks(server)
    ids = {Kind.CONSENT: make(clones, "voice_consents"), Kind.VOICE: make(clones, "voices")}
    for _ in range(2):
        for kind, id_ in ids.items():
            clones.delete(kind, id_)

    assert server.kept == {"voice_consents": {}, "voices": {}}
    assert len(server.deleted) == 4


def test_what_was_made_is_found_by_its_name_on_every_page_of_a_list(serve, asks):
    server = serve()
    server.lists_copies = True
    clones = asks(server)
    for name in ("a", "b", "c", "b", "d"):
        clones.give_consent(name=name, language="en", recording=WAV, key=name)
    make(clones, "voices")

    assert clones.named(Kind.CONSENT, "b") == ["voice_consent 2/é", "voice_consent 4/é"]
    assert clones.named(Kind.CONSENT, "x") == []
    assert clones.named(Kind.VOICE, "c-1") == ["voice 6/é"]


def test_a_server_that_lists_no_voices_finds_none_and_says_so(serve, asks):
    assert asks(serve()).named(Kind.VOICE, "c-1") is None


def test_a_bare_list_of_voices_is_read_too(serve, asks):
    server = serve(voices=["alloy", {"id": "v", "name": "c-1"}, {"name": "c-1"}])

    assert asks(server).named(Kind.VOICE, "c-1") == ["v"]


def test_a_list_without_end_is_given_up(serve, asks, monkeypatch):
    server = serve()
    clones = asks(server)
    monkeypatch.setattr(
        does.Handler, "page", lambda self, kind: {"data": [{"id": "x"}], "has_more": True}
    )
    with pytest.raises(Broken, match="no end"):
        clones.named(Kind.CONSENT, "c-1")
    assert len(server.looked) == module.PAGES_MAX


def _says(**other):
    return lambda made: made | other


@pytest.mark.parametrize("kind", MAKES)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (does.makes_half_an_answer, "broke off"),
        (does.makes_and_hangs_up, "broke off"),
        (does.answers(b"<html>"), "no JSON"),
        (does.answers(b'{"id": "x"'), "no JSON"),
        (does.answers(b"[" * 100_000), "no JSON"),
        (does.answers(lambda made: [made]), "no object"),
        (does.answers(_says(id=5)), "something else"),
        (does.answers(_says(id="")), "something else"),
        (does.answers(_says(id="x" * 201)), "something else"),
        (does.answers(_says(object="audio.speech")), "something else"),
        (does.answers(b" " * 2_000_000), "longer than"),
        (does.fails(500), "answers 500"),
        (does.fails(503), "answers 503"),
    ],
)
def test_an_answer_that_is_no_such_thing_may_have_made_it(serve, asks, kind, answer, words):
    server = serve()
    server.on_form[kind] = answer
    with pytest.raises(Broken, match=words) as caught:
        make(asks(server), kind)
    assert caught.value.may_be_billed


@pytest.mark.parametrize("kind", MAKES)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (does.fails(429, **{"Retry-After": 7}), Busy),
        (does.fails(403), Misconfigured),
        (does.fails(404, {"detail": "Not Found"}), Misconfigured),
        (does.fails(307, Location="/elsewhere"), Misconfigured),
    ],
)
def test_a_server_that_does_not_do_it_now_has_made_nothing(serve, asks, kind, answer, error):
    server = serve()
    server.on_form[kind] = answer
    with pytest.raises(error) as caught:
        make(asks(server), kind)
    assert not caught.value.may_be_billed


@pytest.mark.parametrize("kind", MAKES)
def test_a_recording_that_is_refused_is_refused_in_the_words_of_the_server(serve, asks, kind):
    server = serve()
    server.on_form[kind] = does.fails(400, does.error("The phrase is not in it."))
    with pytest.raises(Refused) as caught:
        make(asks(server), kind)
    assert caught.value.said == "The phrase is not in it."


def test_a_wrong_key_is_a_misconfiguration_and_is_not_shown(serve, asks):
    clones = asks(serve(key="right"), key="sk-wrong")
    for attempt in (
        lambda: make(clones, "voices"),
        lambda: clones.delete(Kind.VOICE, "v"),
        lambda: clones.named(Kind.VOICE, "v"),
    ):
        with pytest.raises(Misconfigured) as caught:
            attempt()
        assert "sk-wrong" not in str(caught.value)


def test_a_dead_server_is_unreachable_for_every_call(serve, asks):
    server = serve()
    clones = asks(server)
    server.die()
    for attempt in (
        lambda: make(clones, "voice_consents"),
        lambda: make(clones, "voices"),
        lambda: clones.delete(Kind.VOICE, "v"),
        lambda: clones.named(Kind.VOICE, "v"),
    ):
        with pytest.raises(Unreachable) as caught:
            attempt()
        assert not caught.value.may_be_billed


@pytest.fixture
def short(monkeypatch):
    for name in ("CONSENT_SECONDS", "VOICE_SECONDS", "SHORT_SECONDS"):
        monkeypatch.setattr(module, name, 0.3)


@pytest.mark.parametrize("kind", MAKES)
@pytest.mark.parametrize("answer", [does.hangs, does.drips])
def test_a_slow_server_is_given_up_and_may_have_made_it(serve, asks, short, kind, answer):
    server = serve()
    server.on_form[kind] = answer
    began = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        make(asks(server), kind)
    assert caught.value.may_be_billed
    assert time.monotonic() - began < 3


def test_a_server_that_does_not_delete_or_list_in_time_is_given_up(serve, asks, short):
    server = serve()
    clones = asks(server)
    server.on_delete = lambda handler, kind, id_: does.hangs(handler, None)
    with pytest.raises(TimedOut):
        clones.delete(Kind.VOICE, "v")


def test_a_server_that_takes_a_recording_drop_by_drop_is_given_up(serve, asks, short, monkeypatch):
    class Slow(module._Timed):
        def read(self, size=-1, /):
            time.sleep(0.2)
            return super().read(size)

    monkeypatch.setattr(module, "_Timed", Slow)
    with pytest.raises(TimedOut, match="did not take the recording"):
        make(asks(serve()), "voices")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda handler, *_: handler.json({"deleted": False}), Broken),
        (lambda handler, *_: handler.json([]), Broken),
        (lambda handler, *_: handler.whole(200, "text/html", b"<html>"), Broken),
        (lambda handler, *_: handler.whole(500, "text/plain", b"no"), Broken),
        (lambda handler, *_: handler.whole(429, "text/plain", b"no"), Busy),
        (lambda handler, *_: handler.whole(405, "text/plain", b"no"), Refused),
        (lambda handler, *_: handler.whole(403, "text/plain", b"no"), Misconfigured),
    ],
)
def test_only_what_is_said_to_be_deleted_is(serve, asks, answer, error):
    server = serve()
    server.on_delete = answer
    with pytest.raises(error):
        asks(server).delete(Kind.VOICE, "v")


def test_an_answer_without_content_has_deleted(serve, asks):
    server = serve()
    server.on_delete = lambda handler, *_: handler.whole(204, "text/plain", b"")
    asks(server).delete(Kind.VOICE, "v")


@pytest.mark.parametrize("sample", [b"MZ no sound", b"", WAV + bytes(module.FILE_BYTES_MAX)])
def test_a_file_of_another_type_or_too_large_is_never_sent(serve, asks, sample):
    server = serve()
    with pytest.raises(Refused):
        asks(server).make_voice(name="c", consent_id="x", sample=sample, key="k")
    assert server.forms == []


@pytest.mark.parametrize(
    ("begins", "found"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"RIFF\x24\0\0\0AVI LIST", ""),
        (b"ID3\x04\0", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"\xff\xf1\x50", "audio/aac"),
        (b"OggS\0", "audio/ogg"),
        (b"fLaC\0", "audio/flac"),
        (b"\x1a\x45\xdf\xa3", "audio/webm"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
        (b"<html>", ""),
        (b"\xff", ""),
    ],
)
def test_the_type_of_a_file_is_read_from_its_beginning(begins, found):
    assert media_type(begins) == found
