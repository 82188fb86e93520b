"""Speech through servers of the contract, which run here and are reached over HTTP."""

import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import pytest
from django.views.debug import ExceptionReporter

from tests.stopwatch import Stopwatch
from usage import engines
from usage.engines import EngineFailed, remote
from usage.engines.remote.configuration import read_servers
from usage.engines.whole import speak_whole
from usage.text.pieces import Piece, pieces

from . import contract_server as does
from .contract_server import EDGE_SECONDS, RATE, error, fails, sends, sound, wav

TEXT = "The quick brown fox jumps. It sleeps, at last."
VOICE = {"voice": "af_heart"}


def speak(engine, text=TEXT, settings=VOICE, **options):
    return list(engine.speak(pieces(text), settings=settings, **options))


def wait_until(is_true, seconds=5.0):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.01)


# --- A good server


@pytest.mark.parametrize("format", ["pcm", "wav"])
def test_each_piece_is_one_request_and_comes_with_its_sound_and_its_pause(serve, engine, format):
    server = serve()
    spoken = speak(engine(server, options=f"&voices=af_heart&format={format}"))

    assert [each.piece for each in spoken] == pieces(TEXT)
    assert [(body["model"], body["input"], body["voice"]) for body in server.asked] == [
        ("kokoro", "The quick brown fox jumps.", "af_heart"),
        ("kokoro", "It sleeps, at last.", "af_heart"),
    ]
    assert {body["response_format"] for body in server.asked} == {format}
    assert all("speed" not in body for body in server.asked)
    for each in spoken:
        pause = bytes(2 * round(each.piece.pause_seconds * RATE))
        assert each.samples == sound(each.piece.spoken) + pause


def test_word_times_share_out_the_sound_by_letters_and_leave_the_silences_out(serve, engine):
    (spoken,) = speak(engine(serve()), "The quick brown fox.")
    begin, end = EDGE_SECONDS, len(sound("The quick brown fox.")) / 2 / RATE - EDGE_SECONDS

    assert [times[0] for times in spoken.times] == pytest.approx(
        [begin + (end - begin) * part / 16 for part in (0, 3, 8, 13)], abs=0.02
    )
    assert spoken.times[-1][1] == pytest.approx(end, abs=0.02)
    assert all(first[1] == second[0] for first, second in pairwise(spoken.times))


def test_the_speed_is_the_servers_and_shortens_the_pause(serve, engine):
    server = serve()
    (spoken,) = speak(engine(server), "Quick.", speed=2.0)

    assert server.asked[0]["speed"] == 2.0
    assert spoken.samples.endswith(bytes(2 * round(spoken.piece.pause_seconds / 2 * RATE)))


def test_the_gain_is_that_of_the_samples(serve, engine):
    (spoken,) = speak(engine(serve()), "Loud.", VOICE | {"gain": 0.5})

    samples = memoryview(spoken.samples).cast("h")
    assert (max(samples), min(samples)) == (3_000, -3_000)


def test_a_piece_without_words_is_silence_and_asks_nobody(serve, engine):
    server = serve()
    (spoken,) = engine(server).speak([Piece(0, 1, (), 0.5)], settings=VOICE)

    assert (spoken.samples, spoken.times) == (bytes(RATE), ())
    assert server.asked == []


@pytest.mark.parametrize(
    ("voice", "speed", "words"),
    [
        ({}, 1, "needs the id of a voice"),
        ({"voice": 3}, 1, "needs the id of a voice"),
        ({"voice": "af_heart", "style": "x"}, 1, "no settings of a speech server: style"),
        ({"voice": "af_heart", "gain": 9}, 1, "gain goes from"),
        (VOICE, 5, "speed goes from"),
        ({"voice": "nobody"}, 1, "No speech server has the voice 'nobody'"),
    ],
)
def test_wrong_settings_are_refused_in_words_and_for_good(serve, engine, voice, speed, words):
    server = serve()
    with pytest.raises(EngineFailed, match=words) as caught:
        speak(engine(server), settings=voice, speed=speed)

    assert caught.value.permanent
    assert server.asked == []


def test_without_servers_it_says_so(engine):
    with pytest.raises(EngineFailed, match="There is no speech server"):
        engine().speak(pieces(TEXT), settings=VOICE)


# --- Answers that are none

WRONG = {
    "half by length": (does.half_by_length, "broke off"),
    "half by chunks": (does.half_by_chunks, "broke off"),
    "hangs up": (does.hangs_up, "broke off"),
    "html": (sends("text/html", b"<p>Sign in"), "text/html in place of sound"),
    "mp3": (sends("audio/mpeg", b"\xff\xfb" * 5_000), "audio/mpeg in place of sound"),
    "odd": (sends("audio/pcm", bytes(9_999)), "half a sample"),
    "too long": (sends("audio/pcm", bytes(2_000_000)), "longer than the"),
    "compressed": (sends("audio/pcm", Content_Encoding="gzip"), "compressed"),
    "500": (fails(500, error("CUDA error", type="server_error")), "500: CUDA error"),
    "503": (fails(503), "503"),
    "no WAV": (sends("audio/wav", b"RIFF\0\0\0\0WAVEjunk"), "no readable WAV"),
    "short WAV": (sends("audio/wav", wav(b"\1\0" * 5_000, size=50_000)), "10,000 of 50,000"),
    "without end": (does.without_end, "where its answer ends"),
    "22 kHz": (sends("audio/wav", wav(bytes(9_000), rate=22_050)), "22,050 samples a second"),
    "16 kHz": (sends("audio/pcm; rate=16000", bytes(9_000)), "16000 samples a second"),
    "stereo": (sends("audio/wav", wav(bytes(9_000), channels=2)), "2 channels of 16 bits"),
    "floats": (sends("audio/wav", wav(bytes(9_000), bits=32, kind=3)), "32 bits in format 3"),
    "redirect": (fails(307, Location="http://127.0.0.1:1/v1"), "leads elsewhere"),
    "wrong address": (fails(404, {"detail": "Not Found"}), "no such address"),
    "unknown model": (
        fails(404, error("No such model", param="model", code="model_not_found")),
        "does not know what it is asked for: it answers 404: No such model",
    ),
    "no money": (
        fails(429, error("You exceeded your current quota", code="insufficient_quota")),
        "out of money",
    ),
    "forbidden": (fails(403, error("Not for you")), "lacks a right: it answers 403: Not for you"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_another_server_speaks_what_one_failed_at_which_is_left_out(serve, engine, wrong, caplog):
    bad, well = serve(), serve()
    bad.answer, words = WRONG[wrong]
    speaks = engine(bad, well, pauses=(30, 60))
    spoken = speak(speaks, "This is one. This is two. This is three. This is four.")

    first = sound("This is one.")
    assert spoken[0].samples[: len(first)] == first
    assert (len(bad.asked), len(well.asked)) == (1, 4)
    assert words in speaks.status().problem
    assert (speaks.status().alive, speaks.status().restarts) == (1, 1)
    assert [line for line in caplog.messages if "is left out" in line and words in line]
    assert len(caplog.messages) == 1


def test_a_try_again_carries_the_same_key_and_there_is_only_one(serve, engine):
    servers = [serve(), serve(), serve()]
    for each in servers:
        each.answer = fails(500)
    with pytest.raises(EngineFailed, match="did not answer") as caught:
        speak(engine(*servers), "One.")

    asked = [body for each in servers for body in each.asked]
    assert not caught.value.permanent
    assert len(asked) == 2
    assert len({body["key"] for body in asked}) == 1


def test_a_single_server_is_tried_again_after_half_an_answer(serve, engine):
    server = serve()
    server.next = [does.half_by_chunks]
    (spoken,) = speak(engine(server), "One.")

    assert spoken.samples.startswith(sound("One."))
    assert len(server.asked) == 2


@pytest.mark.parametrize("silent", [sends("audio/pcm", bytes(40_000)), sends("audio/pcm", b"")])
def test_a_text_that_all_servers_leave_out_is_refused_and_no_server_blamed(serve, engine, silent):
    servers = [serve(), serve()]
    for each in servers:
        each.answer = silent
    speaks = engine(*servers)
    with pytest.raises(EngineFailed, match="cannot speak this passage: 'One.'") as caught:
        speak(speaks, "One.")

    assert caught.value.permanent
    assert (speaks.status().alive, speaks.status().problem) == (2, "")


def test_a_server_that_left_out_what_another_speaks_is_blamed(serve, engine):
    silent, well = serve(), serve()
    silent.answer = sends("audio/pcm", bytes(40_000))
    speaks = engine(silent, well, pauses=(30, 60))

    assert speak(speaks, "One.")[0].samples.startswith(sound("One."))
    assert "left something out" in speaks.status().problem


def test_a_try_again_is_another_servers_even_if_that_one_is_busier(serve, engine):
    silent, well = serve(), serve()
    silent.next = [does.good, sends("audio/pcm", bytes(40_000))]
    speaks = engine(silent, well)
    speak(speaks, "One.")
    well.next = [does.slow(0.6)]
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(speak, speaks, "Two.")
        wait_until(lambda: well.asked)
        speak(speaks, "Three.")
        slow.result()

    assert [body["input"] for body in silent.asked] == ["One.", "Three."]
    assert [body["input"] for body in well.asked] == ["Two.", "Three."]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, error("Too long.", param="input"), "refuses this passage: 'One.'"),
        (422, {"detail": [{"loc": ["body", "input"], "msg": "no"}]}, "refuses this passage"),
        (413, {}, "refuses this passage"),
        (400, error("Not here.", param="voice"), "refuses the voice 'af_heart'"),
        (
            400,
            {"detail": {"error": "validation_error", "message": "Voice 'x' not found."}},
            "refuses the voice",
        ),
        (404, {"error": "unknown voice"}, "refuses the voice"),
    ],
)
def test_a_refusal_of_text_or_voice_is_final_and_no_fault_of_the_server(
    serve, engine, status, body, words
):
    refusing, other = serve(), serve()
    refusing.answer = fails(status, body)
    speaks = engine(refusing, other)
    with pytest.raises(EngineFailed, match=words) as caught:
        speak(speaks, "One.")

    assert caught.value.permanent
    assert (speaks.status().alive, speaks.status().problem) == (2, "")
    assert other.asked == []


def test_a_wrong_key_is_said_to_operators_without_the_key_and_others_go_on(serve, engine, caplog):
    caplog.set_level(logging.DEBUG)
    locked, well = serve(key="right"), serve()
    speaks = engine(locked, well, keys=["sk-wrong-1234"])
    speak(speaks)

    problem = speaks.status().problem
    assert problem.startswith(f"127.0.0.1:{locked.server_port}/v1: its key is missing, wrong")
    assert "401: Incorrect API key provided: Bearer ***." in problem
    assert "sk-wrong" not in problem + caplog.text + repr(speaks.servers)
    assert len(well.asked) == 2


def test_the_right_key_is_sent(serve, engine):
    server = serve(key="sk-right/1")

    assert speak(engine(server, keys=["sk-right%2F1"]), "One.")


# --- Time


def test_a_server_that_hangs_costs_its_time_once_and_is_left_out(serve, engine):
    hanging, well = serve(), serve()
    hanging.answer = does.hangs
    speaks = engine(hanging, well, pauses=(30, 60))
    began = time.monotonic()
    speak(speaks, piece_seconds=0.5)

    assert 0.5 <= time.monotonic() - began < 3
    assert (len(hanging.asked), len(well.asked)) == (1, 2)
    assert "did not answer within" in speaks.status().problem


def test_a_server_that_trickles_meets_the_deadline_of_the_piece(serve, engine):
    server = serve()
    server.answer = does.trickles
    speaks = engine(server)
    began = time.monotonic()
    with pytest.raises(EngineFailed, match="No speech server answers"):
        speak(speaks, "One.", piece_seconds=0.5)

    assert 0.5 <= time.monotonic() - began < 3
    assert "did not answer within" in speaks.status().problem


def test_a_dead_server_is_left_out_and_comes_back(serve, engine, caplog):
    caplog.set_level(logging.INFO, logger="usage.engines.remote")
    first, second = serve(), serve()
    speaks = engine(first, second)
    speak(speaks)
    assert [len(first.asked), len(second.asked)] == [1, 1]

    first.die()
    speak(speaks, "This is one. This is two. This is three.")
    assert len(second.asked) == 4
    assert "no connection" in speaks.status().problem

    again = serve(port=first.server_port)
    wait_until(lambda: bool(speak(speaks, "One.")) and bool(again.asked))
    assert again.looked[0] == "/v1/models"
    assert (speaks.status().alive, speaks.status().problem) == (2, "")
    said = [line for line in caplog.messages if str(first.server_port) in line]
    assert ["left out" in said[0], "is back" in said[1], len(said)] == [True, True, 2]


def test_a_server_that_did_not_answer_gets_no_piece_until_it_answers_a_look(serve, engine):
    hanging, well = serve(), serve()
    hanging.next = [does.hangs]
    hanging.is_starting = True
    speaks = engine(hanging, well, pauses=(0.05, 0.05))
    speak(speaks, "One.", piece_seconds=0.3)
    wait_until(lambda: bool(speak(speaks, "Two.")) and len(hanging.looked) >= 3)
    assert len(hanging.asked) == 1

    hanging.is_starting = False
    wait_until(lambda: bool(speak(speaks, "Three.")) and len(hanging.asked) == 2)
    assert speaks.status().alive == 2


def test_when_all_are_dead_nobody_waits_and_one_that_returns_is_found(serve, engine):
    server = serve()
    speaks = engine(server)
    server.die()
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(EngineFailed, match="Try again") as caught:
            speak(speaks, "One.")
        assert time.monotonic() - began < 3
        assert not caught.value.permanent

    again = serve(port=server.server_port)
    while not again.asked:
        with suppress(EngineFailed):
            speak(speaks, "One.")
        time.sleep(0.02)
        assert time.monotonic() - began < 10
    assert speaks.status().alive == 1


def test_a_pause_grows_with_each_failure_in_a_row(serve, engine):
    server = serve()
    server.answer = fails(500)
    speaks = engine(server, pauses=(10, 35))
    (standing,) = speaks._sharing.standings
    pauses = []
    for _ in range(2):
        with pytest.raises(EngineFailed):
            speak(speaks, "One.")
        pauses.append(round(standing.out_until - standing.failed_at))

    assert pauses == [20, 35]  # after two tries, and after four
    server.answer = does.good
    speak(speaks, "One.")
    assert (standing.failures, standing.problem) == (0, None)


@pytest.mark.parametrize("header", [{"Retry_After": "1"}, {"retry_after_ms": "700"}])
def test_a_busy_server_is_left_alone_as_long_as_it_asks(serve, engine, header):
    server = serve()
    server.next = [fails(429, error("Slow down", code="rate_limit_exceeded"), **header)]
    speaks = engine(server)
    began = time.monotonic()
    speak(speaks, "One.")

    assert 0.7 <= time.monotonic() - began < 3
    assert len(server.asked) == 2
    assert speaks.status().problem == ""


def test_a_busy_server_is_left_alone_though_what_it_has_at_hand_succeeds(serve, engine):
    server = serve()
    server.next = [does.slow(0.3), fails(429, Retry_After="1")]
    speaks = engine(server)
    with ThreadPoolExecutor(2) as threads:
        began = time.monotonic()
        first = threads.submit(speak, speaks, "One.")
        wait_until(lambda: server.asked)
        second = threads.submit(speak, speaks, "Two.")
        assert first.result()
        assert second.result()

    assert time.monotonic() - began >= 1
    assert [body["input"] for body in server.asked] == ["One.", "Two.", "Two."]


def test_a_text_is_not_refused_for_good_when_one_server_left_it_out_and_one_failed(serve, engine):
    servers = [serve(), serve()]
    servers[0].answer, servers[1].answer = sends("audio/pcm", bytes(40_000)), fails(500)
    with pytest.raises(EngineFailed, match="did not answer") as caught:
        speak(engine(*servers), "One.")

    assert not caught.value.permanent


def test_a_server_that_is_busy_for_longer_than_the_piece_has_is_not_waited_for(serve, engine):
    server = serve()
    server.answer = fails(429, error("Slow down"), Retry_After="60")
    stopwatch = Stopwatch()
    with pytest.raises(EngineFailed, match="Try again"):
        speak(engine(server), "One.", piece_seconds=2)

    assert stopwatch.seconds() < 2
    assert len(server.asked) == 1


# --- Several at once


def test_servers_share_the_load_and_none_gets_more_at_once_than_it_takes(serve, engine):
    servers = [serve(), serve()]
    for each in servers:
        each.answer = does.slow(0.1)
    speaks = engine(*servers, options="&voices=af_heart&at_once=2")
    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda _: speak(speaks, "One."), range(12)))

    assert {each[0].samples for each in found} == {found[0][0].samples}
    assert [each.at_once for each in servers] == [2, 2]
    assert [len(each.asked) for each in servers] == [6, 6]
    assert speaks.status().waiting == 0
    assert speaks.status().real_time_factor > 0


def test_a_short_text_passes_between_the_pieces_of_a_long_one(serve, engine):
    server = serve()
    server.answer = does.slow(0.1)
    speaks = engine(server, options="&voices=af_heart&at_once=1")
    long = threading.Thread(target=speak, args=[speaks, "Long. " * 8])
    long.start()
    wait_until(lambda: server.asked)
    speak(speaks, "Short.")
    long.join()

    assert [body["input"] for body in server.asked].index("Short.") <= 2


def test_who_waits_too_long_for_a_free_server_is_told(serve, engine):
    server = serve()
    server.answer = does.slow(1)
    speaks = engine(server, options="&voices=af_heart&at_once=1")
    first = threading.Thread(target=speak, args=[speaks, "One."])
    first.start()
    wait_until(lambda: server.asked)
    with pytest.raises(EngineFailed, match="busy"):
        speak(speaks, "Two.", piece_seconds=0.3)
    first.join()

    assert len(server.asked) == 1


def test_closing_the_iterator_asks_for_no_further_piece_and_frees_the_server(serve, engine):
    server = serve()
    speaks = engine(server, options="&voices=af_heart&at_once=1")
    spoken = speaks.speak(pieces("This is one. This is two."), settings=VOICE)
    next(spoken)
    spoken.close()
    time.sleep(0.1)

    assert [body["input"] for body in server.asked] == ["This is one."]
    assert speak(speaks, "Other.")


def test_closing_the_engine_ends_what_is_under_way(serve, engine):
    server = serve()
    server.answer = does.trickles
    speaks = engine(server)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(speak, speaks, "One.")
        wait_until(lambda: server.asked)
        time.sleep(0.2)
        speaks.close()
        with pytest.raises(EngineFailed, match="is closed"):
            waiting.result(timeout=5)


def test_a_proxy_of_the_environment_is_not_asked(proxy, serve, engine):
    assert speak(engine(serve()), "One.")
    assert proxy == []


def test_a_copy_is_asked_for_at_its_server_which_does_not_list_it(serve, engine):
    server = serve()
    server.kept["voices"]["voice 1"] = {}
    speaks = engine(server, options="&voices=af_heart&label=Studio&clones=yes")
    copy = {"voice": "voice 1", "group": "studio", "copy": True}

    assert speak_whole(speaks, TEXT, settings=copy).samples
    assert server.asked[0]["voice"] == {"id": "voice 1"}
    with pytest.raises(EngineFailed, match="No speech server has the voice") as caught:
        speak_whole(speaks, TEXT, settings={"voice": "voice 1", "group": "studio"})
    assert caught.value.permanent
    server.kept["voices"].clear()
    with pytest.raises(EngineFailed, match="refuses the voice") as caught:
        speak_whole(speaks, TEXT, settings=copy)
    assert caught.value.permanent
    with pytest.raises(EngineFailed, match="No speech server has the voice"):
        speak_whole(speaks, TEXT, settings=copy | {"group": "gone"})


def test_a_server_that_makes_copies_is_not_asked_for_its_voices(serve, engine):
    server = serve(voices=["af_heart", "somebody"])
    speaks = engine(server, options="&label=Studio&clones=yes")
    speaks.warm()

    assert speaks.remote_voices() == [] and server.looked == []
    assert speaks.find("studio", "somebody") is None


def test_no_error_page_shows_a_key(serve, engine, settings, database_known):
    """Not even a debug page, which shows the settings and the variables of every function."""
    locked, dead = serve(key="right"), serve()
    speaks = engine(locked, dead, keys=["sk-wrong-1234", "sk-other-1234"])
    settings.SPEECH_SERVERS = speaks.servers
    dead.die()
    with pytest.raises(EngineFailed) as caught:
        speak(speaks, "One.")
    # Without the function of this test, in which the keys are written.
    reporter = ExceptionReporter(None, caught.type, caught.value, caught.tb.tb_next)
    page = reporter.get_traceback_html()

    assert "SPEECH_SERVERS" in page
    assert "_samples" in page
    assert "-1234" not in page


def test_it_is_the_engine_remote_of_the_servers_that_are_set(serve, engine, monkeypatch):
    server = serve(voices=["af_heart"])
    monkeypatch.setattr(remote, "_servers", ())
    assert remote.missing() == "SPEECH_SERVERS names no speech server."
    assert remote.remote_voices() == []

    engines.close()  # another test may have made it, with no server
    remote.configure(read_servers(f"{server.address}?model=kokoro&languages=en-us,ru"))
    try:
        assert remote.missing() == ""
        assert [voice.id for voice in remote.remote_voices()] == ["af_heart"]
        made = engines.engine("remote")
        assert speak(made, "One.")
        assert (made.languages, made.scripts) == ({"en-us", "ru"}, {"LATIN", "CYRILLIC"})
    finally:
        engines.close()


def test_a_whole_text_is_spoken_with_its_words_in_order(serve, engine):
    speech = speak_whole(engine(serve()), TEXT, settings=VOICE)

    assert [TEXT[word.start : word.end] for word in speech.words] == re.findall(r"\w+", TEXT)
    assert all(
        first.end_seconds <= second.begin_seconds for first, second in pairwise(speech.words)
    )
    assert speech.words[-1].end_seconds < speech.duration_seconds
