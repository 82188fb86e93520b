"""From words to sound with either model: phonemes in parts, joined, at any speed."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from usage.engines.helper import Times
from usage.engines.neural import SAMPLE_RATE, sound
from usage.engines.neural.phonemes import Given, Speller
from usage.engines.neural.sound import Samples, Sound

FRAME_SAMPLES = 600  # the models count durations in frames of 25 ms
# What the models were trained for; the rest of a speed is stretching.
OWN_SPEEDS = (0.5, 2.0)

# Said once when a model is loaded: it imports what libraries import late, while files may still be
# read, and the first customer does not wait for that.
FIRST_WORDS = {"words": ["Vocalis."], "speed": 3.0, "gain": 1.0}

# Phonemes and a speed within OWN_SPEEDS → samples, and frames of each phoneme with one silent
# phoneme more at each end.
Run = Callable[[str, float], tuple[Samples, NDArray[np.float32]]]


def say(
    words: Sequence[str],
    speller: Speller | Given,
    run: Run,
    *,
    speed: float,
    gain: float,
    late_seconds: float = 0.0,
    ipa: Mapping[str, str] | None = None,
) -> tuple[Times, bytes]:
    """Times of the words and samples. No samples if the words have no phonemes.

    At usual speed the model says that a phoneme begins `late_seconds` after it is heard, and at
    twice the speed half as much. `ipa` is how some words are to be said, by their index, which JSON
    has as a string.
    """
    parts = speller.parts(words, {int(index): said for index, said in (ipa or {}).items()})
    if not parts:
        return [(0.0, 0.0)] * len(words), b""
    own_speed = min(max(speed, OWN_SPEEDS[0]), OWN_SPEEDS[1])
    sounds = []
    for part in parts:
        samples, frames = run(part.phonemes, own_speed)
        at = np.concatenate([[0], np.cumsum(frames, dtype=np.float64)]) * FRAME_SAMPLES
        ends = at[1:-1] / SAMPLE_RATE - late_seconds / own_speed
        sounds.append(sound.trim(Sound(samples, np.stack([ends[:-1], ends[1:]], axis=1))))
    whole = sound.stretch(sound.join(sounds), speed / own_speed)
    times = sound.word_times(
        whole.spans,
        [owner for part in parts for owner in part.owners],
        len(words),
        len(whole.samples) / SAMPLE_RATE,
    )
    return times, sound.to_bytes(sound.louder(whole.samples, gain))
