"""The speech engines by themselves: how soon a text is heard, how long it takes, and in how much
memory. From the text to mp3, without the site around it.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from usage import audio, engines
from usage.text import pieces

PROSE = (
    "Every morning the harbour wakes before the city does. Gulls circle over the cranes, a tram "
    "rings twice at the corner, and the first coffee is poured behind steamed glass. "
) * 40
STANDARD: tuple[str, dict[str, Any]] = ("hibari", {"gain": 1.35})
PREMIUM: tuple[str, dict[str, Any]] = ("kokoro", {"style": "af_heart"})
TRIES = int(os.environ.get("BENCH_TRIES", "20"))
MIXED_TEXTS = int(os.environ.get("BENCH_MIXED_TEXTS", "200"))


def main() -> dict[str, Any]:
    before = memory_mb(os.getpid())
    figures: dict[str, Any] = {}
    parts: dict[str, Callable[[], Any]] = {
        "standard": lambda: {
            "characters_100": of_many(STANDARD, PROSE[:100], TRIES),
            "characters_1000": of_many(STANDARD, PROSE[:1_000], TRIES),
        },
        "premium": premium,
        "beside_a_long_premium_text": beside,
        "helpers_mb": lambda: {
            "standard": memory_after(STANDARD, MIXED_TEXTS),
            "premium": memory_after(PREMIUM, MIXED_TEXTS),
        },
        "this_process_grew_mb": lambda: round(memory_mb(os.getpid()) - before, 1),
    }
    try:
        for name, _ in (STANDARD, PREMIUM):
            engines.engine(name).warm()
        for part, measure in parts.items():
            figures[part] = measure()
            # The last takes minutes, and whatever it finds, these are measured.
            sys.stderr.write(f"{part}: {json.dumps(figures[part])}\n")
        return {"voices": figures}
    finally:
        engines.close()


def heard(voice: tuple[str, dict[str, Any]], text: str) -> tuple[float, float, float]:
    """Seconds until the first bytes of the mp3, until its end, and of sound."""
    engine = engines.engine(voice[0])
    began = time.perf_counter()
    encoder = audio.encoder("mp3", sample_rate=engine.sample_rate, streamed=True)
    first, samples = 0.0, 0
    todo = pieces(
        text,
        characters_max=engine.characters_max,
        first_characters_max=engine.first_characters_max,
    )
    for spoken in engine.speak(todo, settings=voice[1]):
        data = encoder.feed(spoken.samples)
        samples += len(spoken.samples) // 2
        if data and not first:
            first = time.perf_counter() - began
    encoder.finish()
    return first, time.perf_counter() - began, samples / engine.sample_rate


def of_many(voice: tuple[str, dict[str, Any]], text: str, tries: int) -> dict[str, float]:
    runs = [heard(voice, text) for _ in range(tries)]
    return {
        "first_byte_ms": milliseconds([first for first, _, _ in runs]),
        "whole_ms": milliseconds([whole for _, whole, _ in runs]),
    }


def premium() -> dict[str, float]:
    text = PROSE[:600]
    alone = [heard(PREMIUM, text) for _ in range(max(1, TRIES // 10))]
    with ThreadPoolExecutor(2) as pool:
        began = time.perf_counter()
        both = list(pool.map(lambda _: heard(PREMIUM, text), range(2)))
        together = time.perf_counter() - began
    whole = statistics.median(seconds for _, seconds, _ in alone)
    return {
        "first_byte_ms": milliseconds([first for first, _, _ in alone]),
        "real_time_factor": round(whole / alone[0][2], 3),
        "two_at_once_to_one": round(together / whole, 2),
        "two_at_once_real_time_factor": round(together / both[0][2], 3),
    }


def beside() -> dict[str, float]:
    """Twenty short standard texts at once, while a premium text of 5,000 characters is spoken."""
    stop = threading.Event()

    def long() -> None:
        engine = engines.engine(PREMIUM[0])
        todo = pieces(PROSE[:5_000], characters_max=engine.characters_max)
        for _ in engine.speak(todo, settings=PREMIUM[1]):
            if stop.is_set():
                return

    speaking = threading.Thread(target=long)
    speaking.start()
    time.sleep(2)
    with ThreadPoolExecutor(20) as pool:
        waited = sorted(
            whole for _, whole, _ in pool.map(lambda _: heard(STANDARD, PROSE[:100]), range(20))
        )
    stop.set()
    speaking.join()
    return {"standard_p95_ms": round(waited[18] * 1_000, 1)}


def memory_after(voice: tuple[str, dict[str, Any]], texts: int) -> float:
    """The largest helper, after texts of mixed lengths."""
    for number in range(texts):
        start = number * 37 % 1_000
        heard(voice, PROSE[start : start + 20 + number * 53 % 300])
    return max(memory_mb(child) for child in children() if name_of(child) == voice[0])


def children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def name_of(process: int) -> str:
    """The engine a helper runs, by its command line; "" for other processes."""
    words = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
    return next((name for name in engines.FACTORIES for word in words if f".{name}." in word), "")


def memory_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return round(int(line.split()[1]) / 1_024, 1)


def milliseconds(seconds: list[float]) -> float:
    return round(statistics.median(seconds) * 1_000, 1)


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
