"""The formats that speech is delivered in: content types, file extensions, rates, bit rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType

PCM_RATES = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
# Below 32 kHz MP3 knows no bit rate above 160 (ISO 13818-3).
MP3_LOW_RATES, MP3_LOW_BIT_RATE_MAX = (22_050, 24_000), 160


class FormatRefused(ValueError):
    """There is no such format, or not at this rate or bit rate. The words say what there is."""


class FormatMissing(FormatRefused):
    """The format needs a package that is not installed. The words name it."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format. All sound is mono."""

    name: str
    content_type: str
    extension: str
    rates: tuple[int, ...]  # sample rates in Hz
    bit_rates: tuple[int, ...] = ()  # in kbit/s; empty: it has none
    bit_rate: int | None = None  # the default, in kbit/s
    package: str = ""  # a package that it needs and that may be left out, by its import name

    @property
    def is_offered(self) -> bool:
        return not self.package or find_spec(self.package) is not None

    def rate_for(self, sample_rate: int) -> int:
        """The rate that sound of `sample_rate` Hz is delivered at when nobody asks for one.

        Its own where the format has it, else the next higher one, else the highest.
        """
        return next((rate for rate in self.rates if rate >= sample_rate), self.rates[-1])


_ALL = (
    Format("wav", "audio/wav", "wav", PCM_RATES),
    Format("mp3", "audio/mpeg", "mp3", (22_050, 24_000, 44_100), (32, 48, 64, 96, 128, 192), 64),
    # Ogg Opus always plays at 48 kHz, whatever the rate of its source (RFC 7845).
    Format("opus", "audio/opus", "opus", (48_000,), (32, 64, 96, 128, 192), 64),
    Format("flac", "audio/flac", "flac", PCM_RATES),
    Format("pcm", "audio/pcm", "pcm", PCM_RATES),
    Format("ulaw", "audio/basic", "ulaw", (8_000,)),
    Format("alaw", "audio/x-alaw-basic", "alaw", (8_000,)),
    Format(
        "aac",
        "audio/aac",
        "aac",
        (24_000, 44_100, 48_000),
        (32, 64, 96, 128, 192),
        64,
        package="av",
    ),
)
FORMATS: Mapping[str, Format] = MappingProxyType({each.name: each for each in _ALL})


def offered() -> dict[str, Format]:
    """The formats whose packages are installed, by name."""
    return {name: each for name, each in FORMATS.items() if each.is_offered}


def check(name: str, rate: int | None, bit_rate: int | None) -> Format:
    """The format. Raises FormatRefused if there is none like that, FormatMissing among it."""
    if name not in FORMATS:
        raise FormatRefused(f"There is no format {name!r}. Choose one of {', '.join(offered())}.")
    found = FORMATS[name]
    if not found.is_offered:
        raise FormatMissing(
            f"{name} needs the package {found.package!r}, which is not installed here."
        )
    if rate is not None and rate not in found.rates:
        raise FormatRefused(f"{name} has the rates {_list(found.rates)} Hz, not {rate}.")
    if bit_rate is not None and not found.bit_rates:
        raise FormatRefused(f"{name} has no bit rate to choose.")
    if bit_rate is not None and bit_rate not in found.bit_rates:
        raise FormatRefused(
            f"{name} has the bit rates {_list(found.bit_rates)} kbit/s, not {bit_rate}."
        )
    if name == "mp3" and rate in MP3_LOW_RATES and (bit_rate or 0) > MP3_LOW_BIT_RATE_MAX:
        raise FormatRefused(f"mp3 at {rate} Hz has no {bit_rate} kbit/s; that needs 44,100 Hz.")
    return found


def _list(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
