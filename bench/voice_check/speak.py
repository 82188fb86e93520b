"""Speak the fixed sentences with every house voice, as the product does, into a folder.

What was spoken before with the same engine and settings is kept, so that another run is quick; the
folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import django

from .sentences import SENTENCES

FOLDER = Path("var/voice-check")
SECONDS_MAX = 300  # for one sentence, the start of its engine included


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vocalis.settings")
    django.setup()
    from usage import engines
    from usage.speech import voices

    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        spoken = [
            _described(speaker) | {"files": _files(speaker)}
            for speaker in voices.HOUSE.values()
            if speaker.is_offered and speaker.language in SENTENCES
        ]
    finally:
        engines.close()
    (FOLDER / "voices.json").write_text(json.dumps(spoken, indent=1) + "\n")


def _described(speaker: Any) -> dict[str, str]:
    names = ("id", "name", "type", "engine", "language", "description")
    return {name: str(getattr(speaker, name)) for name in names}


def _files(speaker: Any) -> list[str]:
    """The file of each sentence of the voice's language, in their order."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        files = list(pool.map(partial(_file, speaker), SENTENCES[speaker.language]))
    sys.stderr.write(f"{speaker.id}: {len(files)} sentences\n")
    return files


def _file(speaker: Any, text: str) -> str:
    from usage import audio
    from usage.engines import engine
    from usage.engines.whole import speak_whole

    path = FOLDER / f"{speaker.id}-{_hash(speaker, text)}.flac"
    if not path.exists():
        speech = speak_whole(
            engine(speaker.engine),
            text,
            settings=speaker.settings,
            deadline_seconds=SECONDS_MAX,
            language=speaker.language,
        )
        part = path.with_suffix(".part")
        part.write_bytes(audio.stored(speech.samples, speech.sample_rate))
        part.rename(path)
    return path.name


def _hash(speaker: Any, text: str) -> str:
    said = json.dumps([speaker.engine, speaker.settings, speaker.language, text], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


if __name__ == "__main__":
    main()
