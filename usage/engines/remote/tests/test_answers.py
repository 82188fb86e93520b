"""Error answers and sound, read without a server."""

import json
from datetime import UTC, datetime

import pytest

from usage.engines.remote import sound
from usage.engines.remote.failures import Broken, Said, failure, read_error, retry_after
from usage.engines.remote.tests.contract_server import wav

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "999999"}, 3_600),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_the_pause_a_server_asks_for_is_read_in_all_its_forms(headers, seconds):
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"error": {"message": "No.", "type": "t", "param": "voice", "code": None}},
            Said("No.", "voice", ""),
        ),
        ({"error": "No."}, Said("No.", "", "No.")),
        ({"detail": "No."}, Said("No.", "", "")),
        (
            {"detail": {"error": "invalid_model", "message": "No."}},
            Said("No.", "", "invalid_model"),
        ),
        ({"detail": [{"loc": ["body", "voice"], "msg": "No."}]}, Said("No.", "voice", "")),
        ({"type": "about:blank", "title": "No", "detail": "No."}, Said("No.", "", "")),
        ({"message": "a\r\nb\x1b[31m " + "x" * 500}, Said("a b [31m " + "x" * 191, "", "")),
        ({"error": {"message": {"a": 1}, "param": 3}}, Said()),
        ([], Said()),
        (7, Said()),
    ],
)
def test_error_answers_are_read_whatever_their_shape(body, said):
    assert read_error(json.dumps(body).encode()) == said


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000])
def test_an_error_answer_that_is_no_json_says_nothing(body):
    assert read_error(body) == Said()
    assert isinstance(failure(502, {}, body), Broken)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_streamed_wav_goes_to_its_end(size):
    assert sound.samples(wav(b"\1\0\2\0", size=size)) == b"\1\0\2\0"


def test_what_follows_the_samples_in_a_wav_is_none():
    assert sound.samples(wav(b"\1\0\2\0", size=4) + b"LIST\4\0\0\0abcd") == b"\1\0\2\0"


def test_a_gain_is_held_at_full_scale():
    loud = (30_000).to_bytes(2, "little", signed=True) + (-30_000).to_bytes(
        2, "little", signed=True
    )

    assert memoryview(sound.with_gain(loud, 2.0)).cast("h").tolist() == [32_767, -32_768]
    assert memoryview(sound.with_gain(loud, 0.5)).cast("h").tolist() == [15_000, -15_000]


def test_times_of_words_lie_within_the_sound_and_have_none_if_there_is_none():
    quiet = bytes(48_000) + b"\0\x10" * 24_000 + bytes(24_000)

    assert sound.word_times(["a", "bcd,"], quiet) == ((1.0, 1.25), (1.25, 2.0))
    assert sound.word_times(["a"], bytes(48_000)) == ((0.0, 0.0),)
    assert sound.word_times(["a"], b"") == ((0.0, 0.0),)
