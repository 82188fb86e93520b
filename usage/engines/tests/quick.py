"""An engine without helpers, for tests of what happens around speech."""

from usage.engines import Spoken


class QuickEngine:
    """Gives a few samples for each piece, at once, after it did what its `during` says; counts."""

    sample_rate = 24_000
    languages = frozenset({"en-us"})
    scripts = None
    characters_max = first_characters_max = 5_000
    characters_a_second: int | None = None
    tuning = ()

    def __init__(self, during=lambda: None, *, samples=bytes(480)):
        self.during = during
        self.samples = samples
        self.calls = 0

    def speak(self, pieces, *, settings, speed=1.0, piece_seconds=20):
        for piece in pieces:
            self.calls += 1
            self.during()
            yield Spoken(piece, self.samples, tuple((0.0, 0.01) for _ in piece.words))
