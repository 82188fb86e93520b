"""What operators see of money: the rows, and one wallet beside Metronome.
Django finds the classes by this package."""

from . import rows  # noqa: F401  registers them
