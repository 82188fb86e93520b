"""Voice prints: kept for every house voice, made from its sample, the same at any time."""

from __future__ import annotations

import json
import re

import pytest
from django.core.management import CommandError, call_command

from usage.management.commands import render_voice_samples as samples
from usage.speech import paces, prints, voices


def test_every_house_voice_has_a_print_of_its_own():
    assert set(prints.HOUSE) == set(voices.HOUSE)
    assert len({tuple(levels) for levels in prints.HOUSE.values()}) == len(voices.HOUSE)


@pytest.mark.parametrize("id_", ["standard-ava", "standard-oliver", "premium-willa"])
def test_the_print_kept_is_the_one_of_the_sample(id_):
    assert samples.print_of(samples.sample_path(voices.HOUSE[id_])) == prints.HOUSE[id_]


def test_the_command_makes_all_prints_from_the_samples_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(prints, "FILE", tmp_path / "prints.json")
    monkeypatch.setattr(paces, "FILE", tmp_path / "paces.json")
    monkeypatch.setattr(samples, "print_of", lambda path: [len(path.stem)] * prints.BARS)

    call_command("render_voice_samples", prints=True)

    assert '"standard-ava": [12, 12, 12, 12, 12, 12]' in prints.FILE.read_text()
    assert json.loads(paces.FILE.read_text()) == paces.MEASURED


def test_a_file_without_a_voice_has_no_print(tmp_path):
    sound = samples.sample_path(voices.DEFAULT).read_bytes()
    (tmp_path / "short.mp3").write_bytes(sound[: len(sound) // 4])

    with pytest.raises(CommandError, match=r"short\.mp3"):
        samples.print_of(tmp_path / "short.mp3")


def test_an_own_voice_has_the_same_print_at_any_time_and_every_print_can_be_drawn():
    own = "0f7c8a52-6f0f-4f7e-9d5e-3f0c1c8a7b11"
    assert prints.of(own) == prints.of(own) != prints.of(own.replace("0f", "1f"))

    for levels in (prints.of(own), [0] * prints.BARS, [prints.LEVEL_MAX] * prints.BARS):
        assert all(0 <= level <= prints.LEVEL_MAX for level in levels)
        assert 1 <= prints.kind(levels) <= prints.KINDS
        bars = re.findall(r"M([\d.]+) ([\d.]+)v([\d.]+)", prints.path(levels))
        assert len(bars) == prints.BARS
        assert all(float(top) >= 0 and float(top) + float(long) <= 32 for _, top, long in bars)
