"""The values of `output_format`: codec, sample rate and, where there is one, bit rate."""

from __future__ import annotations

from api.audio import Output
from usage.audio.formats import PCM_RATES

from .errors import invalid

DEFAULT = "mp3_44100_128"
BIT_RATES = {
    ("mp3", 22_050): (32,),
    ("mp3", 24_000): (48,),
    ("mp3", 44_100): (32, 64, 96, 128, 192),
    ("opus", 48_000): (32, 64, 96, 128, 192),
}
OUTPUTS: dict[str, Output] = {
    f"{codec}_{rate}_{bit_rate}": Output(codec, rate, bit_rate)
    for (codec, rate), bit_rates in BIT_RATES.items()
    for bit_rate in bit_rates
}
OUTPUTS |= {
    f"{codec}_{rate}": Output(codec, rate) for codec in ("pcm", "wav") for rate in PCM_RATES
}
OUTPUTS |= {f"{name}_8000": Output(name, 8_000) for name in ("ulaw", "alaw")}


def output(name: str | None, place: str = "query/output_format") -> Output:
    """The form of audio of that name; None or "" is the default. Raises Failure."""
    if found := OUTPUTS.get(name or DEFAULT):
        return found
    raise invalid(place, f"There is no such output format. Choose one of {', '.join(OUTPUTS)}.")
