"""Every format is decoded by another library than ours, and its samples are counted: a tail that
is lost at the end is heard as a word cut off."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from usage import audio
from usage.audio import encoders, formats, ogg, sndfile
from usage.audio.converter import output_samples

RATE = 24_000
LOSSLESS = ("wav", "pcm", "flac")
# Samples that a decoder may give beyond what was fed: lame and AAC pad to whole frames, and begin
# with the delay of their filters. Opus says how much is padding.
PADDING = {"mp3": 3 * 1_152, "aac": 3 * 1_024}


def tone(samples: int, hertz: float = 440, rate: int = RATE, level: float = 0.4) -> bytes:
    wave = level * 32_767 * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)
    return np.rint(wave).astype("<i2").tobytes()


def speech_like(samples: int, rate: int = RATE) -> bytes:
    """A tone that ends in a louder one of another pitch, so that a lost end is found."""
    end = min(samples, rate // 10)
    return tone(samples - end, 300, rate) + tone(end, 900, rate, level=0.8)


def encode(name: str, samples: bytes, *, piece: int = 4_801, sample_rate=RATE, **options) -> bytes:
    encoder = audio.encoder(name, sample_rate=sample_rate, samples=len(samples) // 2, **options)
    try:
        pieces = [encoder.feed(samples[at : at + piece]) for at in range(0, len(samples), piece)]
        return b"".join([*pieces, encoder.finish()])
    finally:
        encoder.close()


def ulaw(data: bytes) -> np.ndarray:
    """ITU-T G.711, written out."""
    code = ~np.frombuffer(data, np.uint8)
    size = (((code & 15).astype(np.int32) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 128, -size, size)


def alaw(data: bytes) -> np.ndarray:
    code = np.frombuffer(data, np.uint8) ^ 0x55
    segment = (code >> 4 & 7).astype(np.int32)
    size = ((code & 15).astype(np.int32) << 4) + 8
    size = np.where(segment > 0, size + 256 << np.maximum(segment - 1, 0), size)
    return np.where(code & 128, size, -size)


def decode(name: str, data: bytes, rate: int) -> np.ndarray:
    """The samples, by FFmpeg or by hand."""
    if name == "pcm":
        return np.frombuffer(data, "<i2").astype(np.int32)
    if name in ("ulaw", "alaw"):
        return {"ulaw": ulaw, "alaw": alaw}[name](data)
    with av.open(io.BytesIO(data)) as file:
        frames = [frame.to_ndarray() for frame in file.decode(audio=0)]
        assert file.streams.audio[0].rate == rate
    if not frames:
        return np.zeros(0, np.int32)
    samples = np.concatenate([frame.reshape(-1) for frame in frames])
    if samples.dtype.kind == "f":
        samples = samples * 32_768
    return np.rint(samples).astype(np.int32)


def level(samples: np.ndarray, hertz: float, rate: int) -> float:
    """The amplitude of that pitch, of full scale."""
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    return 2 * abs(np.dot(samples / 32_768, turn)) / len(samples)


@pytest.mark.parametrize("piece", [1 << 20, 961], ids="{}-bytes".format)
@pytest.mark.parametrize("name", audio.FORMATS)
def test_every_format_keeps_every_sample_however_it_is_fed(name, piece):
    samples = speech_like(2 * RATE + 77)
    rate = audio.FORMATS[name].rate_for(RATE)

    found = decode(name, encode(name, samples, piece=piece), rate)

    wanted = output_samples(len(samples) // 2, RATE, rate)
    assert wanted <= len(found) <= wanted + PADDING.get(name, 0)
    # Its last tenth of a second is there; a decoder may fade out in the last hundredth.
    ends = range(wanted - rate // 20, len(found) - rate // 20 + 1, 64)
    assert max(level(found[at : at + rate // 20], 900, rate) for at in ends) > 0.6
    if name in LOSSLESS:
        assert found.astype("<i2").tobytes() == samples


@pytest.mark.parametrize("name", audio.FORMATS)
def test_the_pieces_do_not_change_the_bytes(name):
    samples = speech_like(RATE)
    if name == "opus":  # without one of ours, a stream has a random serial number
        one, two = (encode(name, samples, piece=n, serial=7) for n in (999, 77_777))
        assert one == two != encode(name, samples, serial=8)
    elif name == "mp3":  # lame's frames begin where they are fed: the same sound, not the same bits
        one, two = (len(encode(name, samples, piece=n)) for n in (1_000, 77_777))
        assert one == two
    else:
        assert encode(name, samples, piece=999) == encode(name, samples, piece=77_777)


@pytest.mark.parametrize("serial", [0, 7, 2**32 - 1])
def test_an_ogg_stream_of_our_number_is_the_same_sound_in_pages_that_are_whole(serial):
    samples = speech_like(3 * RATE)
    found, usual = encode("opus", samples, serial=serial), encode("opus", samples)

    assert len(found) == len(usual)
    assert (decode("opus", found, 48_000) == decode("opus", usual, 48_000)).all()
    pages = found.split(b"OggS")[1:]
    assert len(pages) > 30
    assert {page[10:14] for page in pages} == {serial.to_bytes(4, "little")}
    for page in pages:  # the checksum is that of libsndfile for the same number
        zeroed = b"OggS" + page[:18] + bytes(4) + page[22:]
        assert page[18:22] == ogg.checksum(zeroed).to_bytes(4, "little")
    first = b"OggS" + usual.split(b"OggS")[1]
    assert first[ogg.CHECKSUM] == ogg.checksum(first[:22] + bytes(4) + first[26:]).to_bytes(
        4, "little"
    )


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", audio.FORMATS)
def test_next_to_nothing_is_encoded_too(name, streamed, count):
    rate = audio.FORMATS[name].rate_for(RATE)

    data = encode(name, tone(count), streamed=streamed)

    wanted = output_samples(count, RATE, rate)
    if not data:
        assert wanted == 0 and name not in ("wav",)
    elif not count:
        assert name in ("wav", "opus")  # a header
    else:
        found = len(decode(name, data, rate))
        assert wanted <= found <= wanted + PADDING.get(name, 0)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["mp3", "opus", "flac", "ulaw"])
def test_ten_minutes_are_all_there(name):
    samples = speech_like(600 * RATE)
    rate = audio.FORMATS[name].rate_for(RATE)

    found = len(decode(name, encode(name, samples, piece=1 << 18), rate))

    wanted = output_samples(len(samples) // 2, RATE, rate)
    assert wanted <= found <= wanted + PADDING.get(name, 0)


@pytest.mark.parametrize("name", audio.FORMATS)
def test_the_first_bytes_come_with_the_first_sound(name):
    encoder = audio.encoder(name, sample_rate=RATE, streamed=True)
    try:
        first = encoder.feed(speech_like(RATE // 4))
        assert len(first) > 0.5 * len(encode(name, speech_like(RATE // 4), streamed=True)) - 1_024
        assert first
    finally:
        encoder.close()


# --- Headers


@pytest.mark.parametrize("rate", formats.PCM_RATES)
def test_a_stored_wav_says_its_true_size(rate):
    data = encode("wav", speech_like(12_345), rate=rate)

    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate)
        assert file.getnframes() == output_samples(12_345, RATE, rate)
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert int.from_bytes(data[40:44], "little") == len(data) - 44


def test_a_streamed_wav_says_that_its_size_is_not_known():
    data = encode("wav", tone(100), streamed=True)

    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
    assert data[44:] == tone(100)


def test_a_flac_says_its_length_unless_it_is_streamed():
    samples = speech_like(RATE + 3)

    assert sndfile.Reader(io.BytesIO(encode("flac", samples))).samples == RATE + 3
    streamed = encode("flac", samples, streamed=True)
    packed = int.from_bytes(streamed[encoders.FLAC_COUNT], "big")
    assert packed & (1 << 36) - 1 == 0
    assert len(decode("flac", streamed, RATE)) == RATE + 3


def test_a_wrong_count_is_an_error_and_not_a_wrong_header():
    encoder = audio.encoder("wav", sample_rate=RATE, samples=10)
    encoder.feed(tone(9))
    with pytest.raises(audio.WrongCount):
        encoder.finish()


def test_half_a_sample_at_the_end_is_an_error():
    encoder = audio.encoder("pcm", sample_rate=RATE)
    encoder.feed(b"\0\0\0")
    with pytest.raises(ValueError, match="Half a sample"):
        encoder.finish()


@pytest.mark.parametrize("rate", [22_050, 24_000, 44_100])
def test_mp3_files_can_be_joined_because_they_are_frames_only(rate):
    one, two = encode("mp3", tone(RATE, 500), rate=rate), encode("mp3", tone(RATE, 700), rate=rate)

    for data in (one, two):
        assert data[0] == 0xFF and data[1] & 0xE0 == 0xE0
        assert b"Xing" not in data and b"Info" not in data and not data.startswith(b"ID3")
    both = decode("mp3", one + two, rate)
    assert 2 * rate <= len(both) <= 2 * rate + 2 * PADDING["mp3"]
    assert level(both[rate // 2 : rate // 2 + 4_000], 500, rate) > 0.35
    assert level(both[rate + rate // 2 : rate + rate // 2 + 4_000], 700, rate) > 0.35


@pytest.mark.parametrize(
    ("name", "rate", "bit_rate"),
    [("mp3", 44_100, each) for each in (32, 48, 64, 96, 128, 192)]
    + [("mp3", 22_050, 32), ("mp3", 24_000, 48), ("aac", 44_100, 96), ("aac", 48_000, 192)]
    + [("opus", 48_000, each) for each in (32, 64, 96, 128, 192)],
)
def test_a_bit_rate_is_kept(name, rate, bit_rate):
    noise = np.random.default_rng(1).normal(0, 6_000, 10 * RATE).clip(-32_767, 32_767)

    data = encode(name, noise.astype("<i2").tobytes(), rate=rate, bit_rate=bit_rate)

    assert len(data) * 8 / 10 / 1_000 == pytest.approx(bit_rate, rel=0.25)
    assert len(decode(name, data, rate)) >= 10 * rate


# --- Rates


@pytest.mark.parametrize("rate", formats.PCM_RATES)
def test_a_tone_keeps_its_pitch_and_strength_at_every_rate(rate):
    found = decode("pcm", encode("pcm", tone(RATE, 1_000), rate=rate), rate)

    assert len(found) == rate
    middle = found[rate // 4 : 3 * rate // 4]
    assert level(middle, 1_000, rate) == pytest.approx(0.4, abs=0.001)
    # What is not the tone is 70 dB below it.
    spectrum = np.abs(np.fft.rfft(middle * np.blackman(len(middle)))) ** 2
    at = round(1_000 * len(middle) / rate)
    assert spectrum[: at - 3].sum() + spectrum[at + 4 :].sum() < 1e-7 * spectrum.sum()


@pytest.mark.parametrize("name", ["pcm", "ulaw", "alaw"])
@pytest.mark.parametrize("hertz", [4_200, 5_000, 11_000])
def test_what_a_rate_cannot_carry_vanishes_and_is_not_folded_down(name, hertz):
    found = decode(name, encode(name, tone(RATE, hertz), rate=8_000), 8_000)

    assert np.abs(found[400:-400]).max() <= (8 if name == "pcm" else 24)


def test_speech_below_the_limit_passes():
    found = decode("pcm", encode("pcm", tone(RATE, 3_400), rate=8_000), 8_000)

    assert level(found[800:-800], 3_400, 8_000) == pytest.approx(0.4, rel=0.02)


@pytest.mark.parametrize("sample_rate", [22_050, 16_000])
@pytest.mark.parametrize("name", audio.FORMATS)
def test_sound_of_every_engine_fits_into_every_format(name, sample_rate):
    rate = audio.FORMATS[name].rate_for(sample_rate)
    samples = tone(sample_rate, 600, sample_rate)

    found = decode(name, encode(name, samples, sample_rate=sample_rate), rate)

    assert rate <= len(found) <= rate + PADDING.get(name, 0)
    assert level(found[rate // 4 : 3 * rate // 4], 600, rate) == pytest.approx(
        0.4, rel=0.06
    )  # lame leaves 0.45 dB of headroom


def test_loud_sound_is_clipped_and_does_not_wrap_around():
    square = np.where(np.arange(RATE) // 40 % 2, 32_767, -32_768).astype("<i2").tobytes()

    found = decode("pcm", encode("pcm", square, rate=48_000), 48_000)

    middle = found[2_000:4_000]
    assert np.diff((middle > 0).astype(int)).nonzero()[0].size == pytest.approx(2_000 / 80, abs=1)


# --- What is refused


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("m4b", {}, "Choose one of wav, mp3"),
        ("mp3", {"rate": 8_000}, "has the rates 22050, 24000, 44100"),
        ("mp3", {"bit_rate": 320}, "has the bit rates"),
        ("mp3", {"rate": 24_000, "bit_rate": 192}, "needs 44,100 Hz"),
        ("mp3", {"bit_rate": 192}, "needs 44,100 Hz"),
        ("opus", {"rate": 24_000}, "has the rates 48000"),
        ("ulaw", {"rate": 16_000}, "has the rates 8000"),
        ("wav", {"bit_rate": 64}, "no bit rate"),
        ("wav", {"samples": 1 << 31}, "Choose flac"),
        ("wav", {"samples": None}, "number of samples"),
        ("flac", {"samples": None}, "number of samples"),
    ],
)
def test_what_there_is_not_is_refused_in_words(name, options, words):
    with pytest.raises(audio.FormatRefused, match=words):
        audio.encoder(name, sample_rate=RATE, **({"samples": 1} | options))


def test_aac_without_its_package_is_not_offered_and_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)

    assert "aac" not in audio.offered() and "mp3" in audio.offered()
    with pytest.raises(audio.FormatMissing, match="'av'.*not installed"):
        audio.encoder("aac", sample_rate=RATE)


# --- The helper process


def test_a_stream_that_is_closed_ends_its_process():
    encoder = audio.encoder("ulaw", sample_rate=RATE)
    encoder.feed(tone(100))
    process = encoder._stages[0]._process
    assert process.poll() is None

    encoder.close()
    encoder.close()

    assert process.poll() is not None
    with pytest.raises(audio.ConverterFailed):
        encoder.feed(tone(100))


def test_a_process_that_dies_is_an_error_of_the_machine():
    encoder = audio.encoder("ulaw", sample_rate=RATE)
    encoder.feed(tone(100))
    encoder._stages[0]._process.kill()
    encoder._stages[0]._process.wait()

    with pytest.raises(audio.ConverterFailed):
        encoder.feed(tone(100))
    encoder.close()


def test_a_process_that_hangs_is_given_up(monkeypatch):
    import signal

    from usage.audio import helper

    encoder = audio.encoder("ulaw", sample_rate=RATE)
    encoder.feed(tone(100))
    monkeypatch.setattr(helper, "ANSWER_SECONDS", 0.2)
    encoder._stages[0]._process.send_signal(signal.SIGSTOP)

    with pytest.raises(audio.ConverterFailed, match="did not answer"):
        encoder.feed(tone(100))
    encoder.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")
def test_the_process_has_least_rights():
    encoder = audio.encoder("ulaw", sample_rate=RATE)
    try:
        encoder.feed(tone(100))
        pid = encoder._stages[0]._process.pid
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        if os.geteuid() == 0:
            assert status["Uid"].split() == ["65534"] * 4 and status["Groups"].strip() == ""
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert "Max file size             0" in limits
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        names = {pair.partition(b"=")[0] for pair in pairs if pair}
        assert names <= {b"OPENBLAS_NUM_THREADS", b"OMP_NUM_THREADS", b"LD_LIBRARY_PATH"}
    finally:
        encoder.close()


def test_the_process_that_encodes_imports_no_numpy():
    code = (
        "import sys; from usage import audio\n"
        "for name in ('wav', 'mp3', 'opus', 'flac', 'pcm', 'ulaw', 'aac'):\n"
        "    e = audio.encoder(name, sample_rate=24_000, samples=9_000)\n"
        "    e.feed(bytes(18_000)); e.finish(); e.close()\n"
        "audio.Reader(__import__('io').BytesIO(audio.stored(bytes(100), 24_000)))\n"
        "print([m for m in ('numpy', 'av', 'soundfile', 'django') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"


# --- What is stored


@pytest.mark.parametrize("count", [1, 4_097, 3 * RATE])
@pytest.mark.parametrize("sample_rate", [22_050, 24_000])
def test_what_is_stored_is_every_sample_in_less_than_a_wav(count, sample_rate):
    samples = speech_like(count, sample_rate)

    data = audio.stored(samples, sample_rate)

    with audio.decode(data) as reader:
        assert (reader.sample_rate, reader.samples) == (sample_rate, count)
        assert b"".join(reader) == samples
    if count > RATE:
        assert len(data) < 0.6 * len(samples)


def test_no_sound_is_not_stored():
    with pytest.raises(ValueError, match="no samples"):
        audio.stored(b"", RATE)


def test_a_stored_file_that_is_cut_off_or_none_is_told():
    data = audio.stored(speech_like(3 * RATE), RATE)

    with pytest.raises(audio.SoundBroken), audio.Reader(io.BytesIO(data[: len(data) // 2])) as cut:
        for _ in cut:
            pass
    with pytest.raises(audio.SoundBroken):
        audio.Reader(io.BytesIO(b"no sound at all"))


def test_an_error_of_the_storage_comes_out_of_the_reader():
    class Breaking(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 10_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    noise = np.random.default_rng(1).integers(-9_000, 9_000, RATE).astype("<i2").tobytes()
    with (
        pytest.raises(OSError, match="Input/output"),
        audio.Reader(Breaking(audio.stored(noise, RATE))) as reader,
    ):
        for _ in reader:
            pass
