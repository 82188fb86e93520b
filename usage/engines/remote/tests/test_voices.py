import logging

import pytest

from tests.stopwatch import Stopwatch
from usage.engines import EngineFailed
from usage.engines.remote import RemoteVoice, voices
from usage.engines.remote.tests import contract_server as does
from usage.text.pieces import pieces


def ids(engine):
    return [voice.id for voice in engine.remote_voices()]


def speak(engine, voice):
    return list(engine.speak(pieces("One."), settings={"voice": voice}))


@pytest.mark.parametrize(
    "answer",
    [
        ["af_heart", "bm_george"],
        {"voices": ["af_heart", "bm_george", "af_heart", "", None, 7, " x", "a\nb"]},
        {"voices": [{"id": "af_heart"}, {"voice_id": "bm_george"}, {"other": "x"}]},
        {"object": "list", "data": [{"name": "af_heart"}, {"name": "bm_george"}]},
    ],
)
def test_voices_are_read_from_every_shape_servers_answer_with(serve, engine, answer):
    server = serve(voices=answer)

    assert engine(server, options="").remote_voices() == [
        RemoteVoice("af_heart", "af_heart", "en-us", f"127.0.0.1:{server.server_port}/v1"),
        RemoteVoice("bm_george", "bm_george", "en-gb", f"127.0.0.1:{server.server_port}/v1"),
    ]


@pytest.mark.parametrize(
    ("entry", "name", "language"),
    [
        ({"id": "v1", "name": "Ana", "language": "es_ES"}, "Ana", "es-es"),
        ({"id": "v1", "languages": ["fr", "en"]}, "v1", "fr"),
        ({"id": "v1", "language": "American English"}, "v1", ""),
        ({"id": "pf_dora"}, "pf_dora", "pt-br"),
        ({"id": "en_US-amy-medium"}, "en_US-amy-medium", "en-us"),
        ({"id": "de-DE-KatjaNeural"}, "de-DE-KatjaNeural", "de-de"),
        ({"id": "alloy"}, "alloy", ""),
    ],
)
def test_a_voice_has_a_name_and_the_language_the_server_says_or_its_id_suggests(
    serve, engine, entry, name, language
):
    (voice,) = engine(serve(voices=[entry]), options="").remote_voices()

    assert (voice.name, voice.language) == (name, language)


def test_each_voice_is_listed_once_and_settings_need_no_list(serve, engine):
    servers = [serve(voices=["a", "b"]), serve(voices=["b", "c"])]

    assert ids(engine(*servers, options="")) == ["a", "b", "c"]
    assert ids(engine(*servers, options="&voices=x,y")) == ["x", "y"]
    assert [each.looked for each in servers] == [["/v1/audio/voices"]] * 2


def test_a_list_is_asked_for_anew_when_it_is_old_and_kept_when_the_server_is_away(
    serve, engine, monkeypatch, caplog
):
    server = serve(voices=["a"])
    speaks = engine(server, options="")
    assert ids(speaks) == ["a"]
    server.voices = ["a", "b"]
    assert ids(speaks) == ["a"]

    (listing,) = speaks._listings.values()
    listing._due_at = 0
    speaks.warm()
    assert ids(speaks) == ["a", "b"]

    server.die()
    for _ in range(2):
        listing._due_at = 0
        speaks.warm()
    assert ids(speaks) == ["a", "b"]
    assert [line for line in caplog.messages if "does not list its voices" in line] == [
        caplog.messages[0]
    ]


def test_an_answer_that_is_no_list_is_said_and_tried_again(serve, engine, caplog):
    server = serve(voices={"error": "loading"})
    speaks = engine(server, options="")

    assert ids(speaks) == []
    assert "does not list its voices: no list of voices" in caplog.text


def test_a_server_that_hangs_does_not_hold_up_the_list(serve, engine, monkeypatch):
    monkeypatch.setattr(voices, "WAIT_SECONDS", 0.3)
    hanging, well = serve(voices=["a"]), serve(voices=["b"])
    monkeypatch.setattr(does.Handler, "do_GET", slow_for(hanging, does.Handler.do_GET))
    stopwatch = Stopwatch()

    assert ids(engine(hanging, well, options="")) == ["b"]
    assert stopwatch.seconds() < 2


def slow_for(server, do_get):
    def answer(handler):
        if handler.server is server:
            server.ended.wait(10)
            handler.close_connection = True
        else:
            do_get(handler)

    return answer


def test_a_piece_goes_to_the_servers_that_have_its_voice(serve, engine, caplog):
    caplog.set_level(logging.INFO)
    first, second, unknown = serve(voices=["a", "b"]), serve(voices=["b"]), serve()
    speaks = engine(first, second, unknown, options="")
    speaks.warm()
    for _ in range(4):
        speak(speaks, "b")
    speak(speaks, "a")
    speak(speaks, "elsewhere")

    assert [len(each.asked) for each in (first, second, unknown)] == [3, 2, 1]


def test_a_blend_goes_to_the_server_that_has_its_parts(serve, engine):
    server = serve(voices=["af_bella", "af_sky"])
    speaks = engine(server, options="")
    speaks.warm()
    speak(speaks, "af_bella(2)+af_sky(0.5)")

    assert server.asked[0]["voice"] == "af_bella(2)+af_sky(0.5)"
    with pytest.raises(EngineFailed, match="No speech server has the voice"):
        speak(speaks, "af_bella+af_heart")


def test_a_server_that_does_not_list_its_voices_is_said_to_operators_without_its_key(serve, engine):
    locked, well = serve(key="right"), serve(voices=["a"])
    speaks = engine(locked, well, keys=["sk-wrong-1234"], options="")
    assert speaks.status().problem == ""
    speaks.warm()

    status = speaks.status()
    name = f"127.0.0.1:{locked.server_port}/v1"
    assert status.problem.startswith(f"{name} does not list its voices: its key is missing, wrong")
    assert "sk-wrong" not in status.problem
    assert status.alive == 2
