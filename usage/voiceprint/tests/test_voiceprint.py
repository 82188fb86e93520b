"""Samples in, voices out: every format, what is refused, and whose voice it is."""

from __future__ import annotations

import io
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from usage import voiceprint
from usage.engines import kokoro
from usage.speech import voices
from usage.voiceprint import DescribeFailed, SampleRefused, convert, encoder, references
from usage.voiceprint.tests import samples

RATE = 24_000
QUIET = np.random.default_rng(7)


@pytest.fixture(scope="module")
def woman() -> np.ndarray:
    return samples.numbers(samples.speech())


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    return QUIET.normal(0, level, round(seconds * 16_000)).astype(np.float32)


def first(described: voiceprint.Described) -> voiceprint.Reference:
    return max(described.references, key=lambda each: each.likeness)


FORMATS = {
    "wav": lambda sound: samples.written(sound, RATE, "WAV"),
    "wav of floats": lambda sound: samples.written(sound, RATE, "WAV", "FLOAT"),
    "wav of two channels": lambda sound: samples.written(np.stack([sound] * 2, 1), RATE, "WAV"),
    "wav at 44.1 kHz": lambda sound: samples.written(np.repeat(sound, 2)[::1], 48_000, "WAV"),
    "mp3": lambda sound: samples.written(sound, RATE, "MP3"),
    "ogg": lambda sound: samples.written(sound, RATE, "OGG", "VORBIS"),
    "opus": lambda sound: samples.written(sound, RATE, "OGG", "OPUS"),
    "flac": lambda sound: samples.written(sound, RATE, "FLAC"),
    "m4a": lambda sound: samples.m4a(sound, RATE),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_voice_is_the_same_in_every_format(woman, kind):
    if kind == "m4a":
        pytest.importorskip("av")

    described = voiceprint.describe(FORMATS[kind](woman))

    assert described.seconds == pytest.approx(len(woman) / RATE, abs=0.2)
    assert first(described).style == "af_heart"  # of which hibari's voice was made
    assert first(described).likeness > 0.85
    assert 180 < described.pitch_hz < 230
    assert len(described.embedding) == 512


def test_m4a_without_its_package_is_refused_and_names_what_can_be_read(woman, monkeypatch):
    sound = b"\0\0\0\x20ftypM4A " + bytes(100)
    from usage.voiceprint import helper

    monkeypatch.setattr(helper, "find_spec", lambda name: None)
    monkeypatch.setattr(voiceprint, "find_spec", lambda name: None)

    with pytest.raises(helper.Refusal, match="m4a"):
        helper.decoded(sound)
    assert str(SampleRefused("m4a")) == ("This site cannot read m4a. Send wav, mp3, ogg or flac.")


def bomb() -> bytes:
    """Some seven hours of silence in a few hundred kilobytes."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8_000, 1, format="FLAC") as target:
        for _ in range(25):
            target.write(np.zeros(8_000_000, np.int16))
    return file.getvalue()


REFUSED = {
    "empty": (lambda sound: b"", "Choose a file"),
    "more than 10 MB": (lambda sound: b"RIFF" + bytes(10_000_000), "more than 10 MB"),
    "a text": (lambda sound: b"Hello, I am a voice. " * 50, "no sound we can read"),
    "a picture": (lambda sound: b"\x89PNG\r\n\x1a\n" + bytes(5_000), "no sound we can read"),
    "a zip": (lambda sound: b"PK\x05\x06" + bytes(18), "no sound we can read"),
    "aiff": (lambda sound: samples.written(sound, RATE, "AIFF"), "no sound we can read"),
    "webm": (lambda sound: b"\x1a\x45\xdf\xa3" + bytes(5_000), "cannot read webm"),
    "a broken m4a": (lambda sound: b"\0\0\0\x20ftypM4A " + bytes(5_000), "damaged|cannot read"),
    "half a flac": (
        lambda sound: samples.written(sound, RATE, "FLAC")[:150_000],
        "damaged|at least 10",
    ),
    "half a wav": (
        lambda sound: samples.written(sound, RATE, "WAV")[:200_000],
        "4.2 seconds. Send at least 10",
    ),
    "too short": (lambda sound: samples.written(sound[: 9 * RATE], RATE, "WAV"), "has 9.0 seconds"),
    "too long": (
        lambda sound: samples.written(np.resize(sound, 301 * RATE), RATE, "MP3"),
        "longer than 5 minutes",
    ),
    "hours of silence": (lambda sound: bomb(), "longer than 5 minutes"),
    "silence": (lambda sound: samples.written(np.zeros(320_000), 16_000, "WAV"), "hardly any"),
    "five seconds of speech": (
        lambda sound: samples.written(
            np.concatenate([sound[: 5 * RATE], np.zeros(10 * RATE)]), RATE, "WAV"
        ),
        "hardly any speech",
    ),
    "noise": (lambda sound: samples.written(noise(20), 16_000, "WAV"), "no voice"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_usable_sample_is_refused_in_words(woman, what):
    make, words = REFUSED[what]
    sample = make(woman)
    assert len(sample) <= 10_000_100
    began = time.monotonic()

    with pytest.raises(SampleRefused, match=words):
        voiceprint.describe(sample)

    assert time.monotonic() - began < voiceprint.ANSWER_SECONDS


def test_a_man_is_near_to_men_and_a_second_recording_of_a_voice_nearest_to_the_first(woman):
    man = voiceprint.describe(samples.speech("espeak", **samples.MAN).audio)
    half = len(woman) // 2
    parts = [
        encoder.describe(
            _at_16_khz(woman[begin : begin + half]),
            seconds_max=60,
        )
        for begin in (0, half)
    ]

    assert not first(man).is_woman
    assert 85 < man.pitch_hz < 130
    assert parts[0].embedding @ parts[1].embedding > 0.85
    other = np.frombuffer(man.embedding, "<f2").astype(np.float32)
    assert parts[0].embedding @ other < 0.7


def _at_16_khz(sound: np.ndarray) -> np.ndarray:
    from usage.audio.converter import Resampler

    resampler = Resampler(RATE, encoder.RATE)
    data = resampler.feed((sound * 32_767).astype("<i2").tobytes()) + resampler.finish()
    return np.frombuffer(data, "<i2").astype(np.float32) / 32_768


def test_loudness_and_silence_do_not_change_a_voice(woman):
    sound = _at_16_khz(woman)
    pauses = np.concatenate([np.zeros(40_000), sound, np.zeros(80_000)]).astype(np.float32)
    points = [
        encoder.describe(each, seconds_max=60).embedding for each in (sound, sound / 20, pauses)
    ]

    assert points[0] @ points[1] > 0.98
    assert points[0] @ points[2] > 0.98
    assert np.linalg.norm(points[0]) == pytest.approx(1, abs=1e-4)


def test_the_pitch_is_that_of_a_tone_and_its_octaves_are_not_mistaken_for_it():
    times = np.arange(32_000) / 16_000
    for hertz in (90, 140, 220, 350):
        tone = sum(np.sin(2 * np.pi * hertz * many * times) / many for many in range(1, 6))
        found, voiced = encoder.pitch((0.2 * tone).astype(np.float32))
        assert found == pytest.approx(hertz, rel=0.02)
        assert voiced > 0.95


def test_the_references_are_kokoros_styles_loud_alike_and_men_lower_than_women():
    with np.load(Path(references.TARGET)) as file:
        styles, points = file["styles"].tolist(), file["points"].astype(np.float32)
        gains, pitches = file["gains"], file["pitches_hz"]

    assert set(styles) == {one for one in kokoro.styles() if one[0] in references.ENGLISH}
    assert np.allclose(np.linalg.norm(points, axis=1), 1, atol=0.01)
    assert (gains >= 0.3).all() and (gains <= 2.5).all() and (pitches > 60).all()
    for speaker in voices.HOUSE.values():  # whose loudness was measured otherwise
        if speaker.settings.get("style") in styles:
            gain = gains[styles.index(speaker.settings["style"])]
            assert gain == pytest.approx(speaker.settings["gain"], rel=0.25)
    of_men = np.array([style[1] == "m" for style in styles])
    assert np.median(pitches[of_men]) < 140 < np.median(pitches[~of_men])
    near = points @ points.T
    same = near[of_men][:, of_men].mean() + near[~of_men][:, ~of_men].mean()
    assert same / 2 > near[of_men][:, ~of_men].mean() + 0.03


def test_a_helper_that_dies_or_says_something_else_is_told_from_a_bad_sample(woman, monkeypatch):
    sample = samples.written(woman, RATE, "WAV")
    for program in ("import os; os._exit(3)", "print('[]')", "print('{\"seconds\": NaN}')"):
        monkeypatch.setattr(voiceprint, "START", program)
        with pytest.raises(DescribeFailed):
            voiceprint.describe(sample)
    monkeypatch.setattr(voiceprint, "START", "while True: print('x' * 10_000)")
    with pytest.raises(DescribeFailed, match="does not stop"):
        voiceprint.describe(sample)
    monkeypatch.setattr(voiceprint, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(voiceprint, "START", "import time; time.sleep(60)")
    with pytest.raises(DescribeFailed, match="in time"):
        voiceprint.describe(sample)


def test_the_web_process_describes_without_numpy_and_without_a_decoder():
    program = (
        "import sys\n"
        "from usage import voiceprint\n"
        "voiceprint.missing(); voiceprint.formats()\n"
        "print({'numpy', 'soundfile', 'av'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=voiceprint.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "set()\n"


def test_the_weights_are_converted_without_running_code(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return print, ("ran",)

    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(0) + pickle.dumps(1) + pickle.dumps({}) + pickle.dumps(Evil()))

    with pytest.raises(pickle.UnpicklingError, match="not expected"):
        convert.weights(path)


def test_the_weights_are_complete():
    with zipfile.ZipFile(encoder.WEIGHTS) as file:
        assert len(file.namelist()) == 14
    assert encoder.WEIGHTS.stat().st_size < 3_000_000
