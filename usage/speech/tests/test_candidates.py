"""What is offered for voices that are known: those of the house, by their own samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from django.conf import settings as site

from usage import voiceprint
from usage.engines import kokoro
from usage.speech import candidates, voices
from usage.voiceprint.tests import samples


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, one in voices.HOUSE.items()
        if one.settings.get("style") and one.language == "en"
    ],
)
def test_a_house_voice_is_matched_with_itself(name):
    """By its sample among the static files: another sentence than the reference's, as mp3."""
    speaker = voices.HOUSE[name]
    sound, rate = soundfile.read(Path(site.BASE_DIR) / "static" / speaker.sample)
    sample = samples.written(np.resize(sound, 3 * len(sound)), rate, "WAV")

    found = candidates.nearest(voiceprint.describe(sample))

    parts = kokoro.blend(speaker.settings["style"])
    if len(parts) == 1:
        assert found[0]["style"] in parts
        assert found[0]["likeness"] > 0.8
    else:
        assert found[0]["style"][1] == next(iter(parts))[1]
        assert set(parts) & set(kokoro.blend(found[1]["style"]))


def test_a_womans_sample_of_another_engine_is_offered_women():
    found = candidates.nearest(voiceprint.describe(samples.speech().audio))

    assert [each["style"] for each in found][0] == "af_heart"
    assert {part[1] for each in found for part in kokoro.blend(each["style"])} == {"f"}


def test_a_mans_sample_of_another_engine_is_offered_men():
    sample = samples.speech("espeak", **samples.MAN).audio
    found = candidates.nearest(voiceprint.describe(sample))

    assert {part[1] for each in found for part in kokoro.blend(each["style"])} == {"m"}
