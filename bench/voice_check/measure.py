"""Measure what `speak` has spoken, and print the table; exit code 1 if a voice misses its bound.

Needs requirements-voice-check.txt and nothing of the product. Each figure is kept with the file it
was measured on, so that another run measures only what is new.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
import soundfile

from .models import RATE, Listener, Mos
from .sentences import SENTENCES
from .wer import errors, words, wrong

WER_MAX = 2.0  # per cent, of the English premium voices and the default one
MOS_MIN = 4.3
# Of voices of other languages, in which whisper-base itself hears less; their mark has no bound, as
# distillMOS learned from English above all.
FURTHER_WER_MAX = 8.0
MOS_SENTENCES = 8  # it takes as long as all the rest, and differs little between sentences
DEFAULT = "standard-ava"
# Whisper hears 30 seconds at a time, at the same cost: so several sentences together.
TOGETHER_SECONDS, PAUSE_SECONDS = 28, 0.7
WORDS_TOO_MANY = 1.3  # times those that were said
HEAD = "| voice | engine | tier | language | WER % | distillMOS | LUFS | peak | pitch Hz |"
MARK = re.compile(r"(<!-- table -->\n).*?(\n<!-- /table -->)", re.DOTALL)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, default=Path("../var/voice-check"))
    options.add_argument("--write", type=Path, help="the page whose table is replaced")
    options.add_argument("--voice", action="append", help="measure only these, and write nothing")
    chosen = options.parse_args()
    voices = json.loads((chosen.folder / "voices.json").read_text())
    check = Check(chosen.folder)
    rows = [check.row(one) for one in voices if not chosen.voice or one["id"] in chosen.voice]
    table = "\n".join([HEAD, "|---|---|---|---|---|---|---|---|---|", *map(_line, rows)])
    table = f"Measured on {datetime.now(UTC):%d %B %Y}, {_machine()}.\n\n{table}"
    sys.stdout.write(f"{table}\n")
    for row in rows:
        sys.stdout.write("".join(f"{row['id']}: {what}\n" for what in row["wrong"]))
    if chosen.write and not chosen.voice:
        page = chosen.write.read_text()
        chosen.write.write_text(MARK.sub(lambda found: found[1] + table + found[2], page))
    missed = [f"{row['id']} misses {what}" for row in rows for what in _missed(row)]
    sys.stderr.write("".join(f"{line}\n" for line in missed))
    return 1 if missed else 0


class Check:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "measured.json"
        self.known: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.listener, self.mos = Listener(folder), Mos()

    def row(self, voice: dict[str, Any]) -> dict[str, Any]:
        files = [self.folder / name for name in voice["files"]]
        said = [words(text) for text in SENTENCES[voice["language"]]]
        heard = [words(text) for text in self._heard(files, said, voice["language"])]
        flat = [word for sentence in said for word in sentence]
        understood = [word for text in heard for word in text]
        sounds = [_read(path) for path in files]
        whole = np.concatenate([samples for samples, _ in sounds])
        rate = sounds[0][1]
        sys.stderr.write(f"{voice['id']} is measured\n")
        return voice | {
            "wer": 100 * errors(flat, understood) / len(flat),
            "wrong": wrong(flat, understood),
            "mos": float(np.mean([self._mos(path) for path in files[:MOS_SENTENCES]])),
            "lufs": pyloudnorm.Meter(rate).integrated_loudness(whole),
            "peak": float(np.abs(whole).max()),
            "pitch": _pitch(whole, rate),
        }

    def _heard(self, files: list[Path], said: list[list[str]], language: str) -> list[str]:
        """What is heard, in order. Whisper at times repeats itself until the end of its window:
        where it hears far too many words, it hears each sentence alone."""
        heard: list[str] = []
        for group in _groups(files):
            start = files.index(group[0])
            count = sum(map(len, said[start : start + len(group)]))
            together = self._transcript(group, language)
            if len(words(together)) > WORDS_TOO_MANY * count:
                heard += [self._transcript([path], language) for path in group]
            else:
                heard.append(together)
        return heard

    def _transcript(self, group: list[Path], language: str) -> str:
        def listen() -> str:
            pause = np.zeros(int(PAUSE_SECONDS * RATE), np.float32)
            parts = [part for path in group for part in (_at_rate(path), pause)]
            return self.listener.hear(np.concatenate(parts), language)

        return str(self._once(" ".join(path.name for path in group), listen))

    def _mos(self, path: Path) -> float:
        return float(self._once(f"mos {path.name}", lambda: self.mos.of(_at_rate(path))))

    def _once(self, key: str, measure: Any) -> Any:
        if key not in self.known:
            self.known[key] = measure()
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps(self.known, indent=1))
            part.rename(self.path)
        return self.known[key]


def _groups(files: list[Path]) -> list[list[Path]]:
    groups: list[list[Path]] = [[]]
    seconds = 0.0
    for path in files:
        length = soundfile.info(path).duration + PAUSE_SECONDS
        if groups[-1] and seconds + length > TOGETHER_SECONDS:
            groups.append([])
            seconds = 0.0
        groups[-1].append(path)
        seconds += length
    return groups


def _read(path: Path) -> tuple[Any, int]:
    samples, rate = soundfile.read(path, dtype="float32")
    return samples, rate


def _at_rate(path: Path) -> Any:
    from scipy.signal import resample_poly

    samples, rate = _read(path)
    return resample_poly(samples, RATE, rate).astype(np.float32)


def _pitch(samples: Any, rate: int) -> float:
    """The median of the pitch where there is one, by autocorrelation of 40 ms."""
    size, step = int(0.04 * rate), int(0.02 * rate)
    low, high = int(rate / 400), int(rate / 60)
    found = []
    for start in range(0, len(samples) - size, step):
        frame = samples[start : start + size] - samples[start : start + size].mean()
        if frame.std() < 0.01:
            continue
        spectrum = np.fft.rfft(frame, 2 * size)
        alike = np.fft.irfft(np.abs(spectrum) ** 2)[:size]
        lag = low + int(alike[low:high].argmax())
        if alike[lag] > 0.5 * alike[0]:
            found.append(rate / lag)
    return float(np.median(found)) if found else 0.0


def _line(row: dict[str, Any]) -> str:
    return (
        f"| {row['name']} `{row['id']}` | {row['engine']} | {row['type']} | {row['language']} "
        f"| {row['wer']:.1f} | {row['mos']:.2f} | {row['lufs']:.1f} | {row['peak']:.2f} "
        f"| {row['pitch']:.0f} |"
    )


def _missed(row: dict[str, Any]) -> list[str]:
    if row["type"] != "premium" and row["id"] != DEFAULT:
        return []
    missed = []
    is_english = row["language"] == "en"
    wer_max = WER_MAX if is_english else FURTHER_WER_MAX
    if row["wer"] > wer_max:
        missed.append(f"WER ≤ {wer_max} % with {row['wer']:.1f}")
    if is_english and row["mos"] < MOS_MIN:
        missed.append(f"distillMOS ≥ {MOS_MIN} with {row['mos']:.2f}")
    return missed


def _machine() -> str:
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    name = names[0] if names else platform.processor()
    return f"{os.cpu_count()} cores of {name}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
