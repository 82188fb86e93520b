"""What the engines of this machine have in common: pieces in, speech out, by a pool of helpers."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from usage.engines import PIECE_SECONDS, SPEEDS, EngineFailed, Setting, Settings, Spoken, Status
from usage.engines.coverage import shortfall
from usage.engines.pool import Crashed, Pool
from usage.engines.process import HelperSpec
from usage.text.pieces import Piece

logger = logging.getLogger(__name__)

PASSAGE_CHARACTERS = 60  # of a piece in a message


class PooledEngine(ABC):
    """See `Engine`. A subclass says what its helpers run and what they are asked."""

    spec: HelperSpec
    languages: frozenset[str]
    scripts: frozenset[str] | None = frozenset({"LATIN"})
    characters_max = 160
    first_characters_max = 160
    takes_ipa = False  # whether `Word.ipa` is spoken where there is one, else `Word.spoken`
    tuning: tuple[Setting, ...] = ()
    characters_a_second: int | None = None

    def __init__(self, *, helpers: int) -> None:
        self._pool = Pool(self.spec, helpers=helpers)

    @property
    def sample_rate(self) -> int:
        return self.spec.sample_rate

    @abstractmethod
    def request(self, settings: Settings) -> dict[str, Any]:
        """What the helper is told of the voice. Raises a permanent EngineFailed for settings that
        are wrong.
        """

    @abstractmethod
    def problem(self) -> str:
        """Why the engine cannot speak on this machine; "" if it can."""

    def words(self, spoken: list[str]) -> list[str]:
        """What the helper gets for each word. Raises a permanent EngineFailed for what it must not
        get.
        """
        return spoken

    def prepare(self, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], float]:
        """The request for a piece with all that the helper is told, and the seconds left for it.

        Raises EngineFailed.
        """
        return request, seconds

    def pace(self, settings: Settings) -> float:
        """How much faster than usual speech the voice is by its settings."""
        return 1.0

    def speak(
        self,
        pieces: Sequence[Piece],
        *,
        settings: Settings,
        speed: float = 1.0,
        piece_seconds: float = PIECE_SECONDS,
    ) -> Iterator[Spoken]:
        if not SPEEDS[0] <= speed <= SPEEDS[1]:
            raise EngineFailed(f"The speed goes from {SPEEDS[0]} to {SPEEDS[1]}.", permanent=True)
        request = self.request(settings) | {"speed": speed}
        if problem := self.problem():  # in words for operators, who find it in health and admin too
            logger.error("%s cannot speak: %s", self.spec.name, problem)
            raise EngineFailed("This voice cannot speak just now. Choose another one.")
        pace = speed * self.pace(settings)
        return (self._speak(piece, request, speed, pace, piece_seconds) for piece in pieces)

    def warm(self) -> None:
        if problem := self.problem():
            raise EngineFailed(problem)
        self._pool.warm()

    def status(self) -> Status:
        status = self._pool.status()
        return Status(
            status.alive,
            status.waiting,
            status.restarts,
            status.real_time_factor,
            self.problem() or status.problem,
        )

    def close(self) -> None:
        self._pool.close()

    def _speak(
        self, piece: Piece, request: dict[str, Any], speed: float, pace: float, seconds: float
    ) -> Spoken:
        pause = bytes(2 * round(piece.pause_seconds / speed * self.sample_rate))
        if not piece.words:
            return Spoken(piece, pause, ())
        words = self.words([word.spoken for word in piece.words])
        for said in (words, _closed(words)):
            asked = request | {"words": said}
            if self.takes_ipa and any(word.ipa for word in piece.words):
                asked["ipa"] = {n: word.ipa for n, word in enumerate(piece.words) if word.ipa}
            asked, deadline_seconds = self.prepare(asked, seconds)
            given = asked.get("ipa", {})
            heard = [given.get(n, word) for n, word in enumerate(said)]  # as the answer is measured
            try:
                answer, samples = self._pool.ask(asked, seconds=deadline_seconds)
            except Crashed as error:
                raise _unspeakable(piece) from error
            if "refused" in answer:
                raise EngineFailed(str(answer["refused"]), permanent=True)
            times = _times(answer.get("times"), len(samples) / 2 / self.sample_rate)
            missing = shortfall(heard, times, len(samples) / 2 / self.sample_rate, pace)
            if not missing:
                return Spoken(piece, samples + pause, times)
            logger.warning("%s left something of a piece out: %s", self.spec.name, missing)
        raise _unspeakable(piece)


def _closed(words: Sequence[str]) -> list[str]:
    """The words for the second try: with a full stop where they end without a mark.

    Kokoro swallows a weak word at an open end: "the tram rings twice a".
    """
    *before, last = words
    return [*before, f"{last}." if last[-1:].isalnum() else last]


def missing_packages(*names: str) -> str:
    """Which of the packages are not installed, in words for the operator; "" if none is missing."""
    missing = [name for name in names if find_spec(name) is None]
    if not missing:
        return ""
    return (
        f"The speech engine needs {', '.join(missing)}, which is not installed here. "
        "Install requirements.txt."
    )


def number(settings: Settings, name: str, default: float, least: float, greatest: float) -> float:
    """A number of the settings. Raises a permanent EngineFailed if it is none or out of range."""
    value = settings.get(name, default)
    if type(value) not in (int, float) or not least <= value <= greatest:
        raise EngineFailed(f"The {name} goes from {least:g} to {greatest:g}.", permanent=True)
    return float(value)


def refuse_unknown(settings: Settings, known: set[str], engine: str) -> None:
    """Raises a permanent EngineFailed for settings of another engine."""
    if unknown := settings.keys() - known:
        raise EngineFailed(
            f"These are no settings of {engine}: {', '.join(sorted(unknown))}.", permanent=True
        )


def _unspeakable(piece: Piece) -> EngineFailed:
    passage = piece.spoken
    if len(passage) > PASSAGE_CHARACTERS:
        passage = passage[: PASSAGE_CHARACTERS - 1] + "…"
    return EngineFailed(
        f"The engine cannot speak this passage: '{passage}'. Change it.", permanent=True
    )


def _times(found: Any, seconds: float) -> tuple[tuple[float, float], ...]:
    """The times as a helper sent them, made monotone and within the audio.

    () if they are none: a shortfall.
    """
    times: list[tuple[float, float]] = []
    last = 0.0
    try:
        for begin, end in found:
            begin = min(max(last, float(begin)), seconds)
            last = min(max(begin, float(end)), seconds)
            times.append((begin, last))
    except (TypeError, ValueError):
        return ()
    return tuple(times)
