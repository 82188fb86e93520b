"""The sound tools of the helpers, on signals that are known."""

import numpy as np
import pytest

from usage.engines.neural import sound
from usage.engines.neural.sound import Sound

RATE = 24_000


def tone(hertz=200.0, seconds=1.0, size=0.5):
    at = np.arange(round(seconds * RATE)) / RATE
    return (size * np.sin(2 * np.pi * hertz * at)).astype(np.float32)


def strongest(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * RATE / len(samples)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0, 3.0])
def test_stretching_changes_the_length_and_keeps_pitch_and_loudness(speed):
    spans = np.array([[0.2, 0.6]])
    result = sound.stretch(Sound(tone(), spans), speed)

    assert len(result.samples) == round(RATE / speed)
    assert strongest(result.samples) == pytest.approx(200, abs=4)
    middle = result.samples[len(result.samples) // 4 : -len(result.samples) // 4]
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    assert result.spans.tolist() == [[0.2 / speed, 0.6 / speed]]


def test_trimming_keeps_40_ms_and_moves_the_times_along():
    silence = np.zeros(RATE // 2, np.float32)
    samples = np.concatenate([silence, tone(), silence])
    result = sound.trim(Sound(samples, np.array([[0.5, 1.5]])))

    assert len(result.samples) / RATE == pytest.approx(1.08, abs=0.005)
    assert result.spans[0] == pytest.approx([0.04, 1.04], abs=0.003)
    assert result.samples[0] == 0 and result.samples[-1] == 0


def test_a_gain_leaves_quiet_sound_alone_and_bends_loud_sound_below_full_scale():
    quiet, loud = sound.louder(tone(size=0.2), 2), sound.louder(tone(size=0.9), 4)

    assert quiet == pytest.approx(tone(size=0.4))
    assert 0.95 < np.abs(loud).max() <= 0.99
    assert np.all(np.diff(np.sort(np.abs(loud))) >= 0)


def test_a_word_without_phonemes_has_no_time_and_the_others_are_in_order():
    spans = np.array([[0.1, 0.2], [0.2, 0.3], [0.3, 0.5]])

    assert sound.word_times(spans, [0, 0, 2], 3, 0.6) == [(0.1, 0.3), (0.3, 0.3), (0.3, 0.5)]
