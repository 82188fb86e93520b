"""How loud each part of a sound is."""

from __future__ import annotations

from array import array

from usage.audio.levels import BARS, LEVEL_MAX, WINDOW_SAMPLES, levels


def sound(*heights: int, samples: int = 4 * WINDOW_SAMPLES) -> bytes:
    """A wave of these heights, one after the other."""
    wave = array("h")
    for height in heights:
        wave.extend([height, -height] * (samples // 2))
    return wave.tobytes()


def test_a_sound_half_as_loud_in_its_second_half_looks_so():
    data = sound(*[20_000] * BARS, *[10_000] * BARS)
    found = levels([data], len(data) // 2)

    assert found == [LEVEL_MAX] * (BARS // 2) + [LEVEL_MAX // 2] * (BARS // 2)


def test_the_picture_does_not_depend_on_how_the_sound_is_cut():
    data = sound(*range(100, 30_000, 100))
    pieces = [data[at : at + 1_002] for at in range(0, len(data), 1_002)]

    assert levels(pieces, len(data) // 2) == levels([data], len(data) // 2)


def test_short_and_silent_sounds_have_a_picture():
    assert levels([], 0) == [0] * BARS
    assert levels([sound(0)], 4 * WINDOW_SAMPLES) == [0] * BARS
    assert levels([array("h", [-32_768]).tobytes()], 1) == [LEVEL_MAX] * BARS
