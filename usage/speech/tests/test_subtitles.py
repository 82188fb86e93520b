"""Subtitles: cues that can be read, in files that every player reads."""

from __future__ import annotations

import html
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usage.engines.whole import SpokenWord
from usage.speech.subtitles import CUE_MS_MAX, CUE_MS_MIN, Cue, cues, srt, vtt
from usage.speech.words import Timed, timed
from usage.text.pieces import pieces

PAUSE_SECONDS = 0.4
LINE = re.compile(r"(?P<begin>[\d:,.]+) --> (?P<end>[\d:,.]+)")
INVISIBLE = re.compile("[\u200f\u202b\u202c\u2060]")


def spoken(text: str, seconds: float = 0.3, pause: float = PAUSE_SECONDS) -> tuple:
    """Words and duration of a text with so many seconds for each word, and its pieces' pauses."""
    words, at = [], 0.0
    for piece in pieces(text):
        for word in piece.words:
            words.append(SpokenWord(word.start, word.end, at, at + seconds))
            at += seconds
        at += pause
    return timed(words, at), int(at * 1_000)


def cues_of(text: str, seconds: float = 0.3, pause: float = PAUSE_SECONDS) -> list[Cue]:
    return cues(text, *spoken(text, seconds, pause))


def texts_of(text: str, seconds: float = 0.3) -> list[str]:
    return [" / ".join(cue.lines) for cue in cues_of(text, seconds)]


def milliseconds(clock: str) -> int:
    hours, minutes, seconds, rest = re.fullmatch(r"(\d\d):(\d\d):(\d\d)[,.](\d{3})", clock).groups()
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000 + int(rest)


def read_blocks(blocks: list[str]) -> list[Cue]:
    """As a strict player reads blocks of a line of times and lines of text."""
    found = []
    for block in blocks:
        times, *lines = block.split("\n")
        match = LINE.fullmatch(times)
        found.append(Cue(milliseconds(match["begin"]), milliseconds(match["end"]), tuple(lines)))
    return found


def read_srt(file: str) -> list[Cue]:
    if not file:
        return []
    assert file.endswith("\n") and not file.endswith("\n\n")
    blocks = file[:-1].split("\n\n")
    numbers, rest = zip(*(block.split("\n", 1) for block in blocks), strict=True)
    assert list(numbers) == [str(number) for number in range(1, len(blocks) + 1)]
    assert file.count(" --> ") == len(blocks)
    return read_blocks(list(rest))


def read_vtt(file: str) -> list[Cue]:
    header, *blocks = file[:-1].split("\n\n")
    assert header == "WEBVTT" and file.count("-->") == len(blocks)
    return [
        Cue(cue.begin_ms, cue.end_ms, tuple(map(html.unescape, cue.lines)))
        for cue in read_blocks(blocks)
    ]


# --- Where cues are cut


def test_a_cue_is_a_sentence_of_at_most_two_lines():
    assert texts_of(
        "Good morning, dear listeners of this station. It is half past three, and here is the news."
    ) == [
        "Good morning, dear / listeners of this station.",
        "It is half past three, / and here is the news.",
    ]


def test_a_long_sentence_is_cut_at_clauses_and_else_between_words():
    text = (
        "When the rain had stopped for good, we walked along the river and over the old bridge, "
        "up to the station where the last train of the evening was still waiting in the dark"
    )

    assert texts_of(text, 0.2) == [
        "When the rain had stopped for good,",
        "we walked along the river / and over the old bridge,",
        "up to the station where the last train of / the evening was still waiting in the dark",
    ]


def test_an_abbreviation_ends_no_cue():
    assert texts_of("Dr. Smith met Mr. Jones at 3 p.m. today.") == [
        "Dr. Smith met Mr. Jones at 3 p.m. today."
    ]


def test_sentences_too_short_to_be_read_share_a_cue():
    assert texts_of("Yes. No. Maybe tomorrow.", 0.2) == ["Yes. No. Maybe tomorrow."]


def test_lines_and_paragraphs_of_the_text_end_cues_and_are_no_lines_of_the_file():
    assert texts_of("First line here\nSecond line here\n\n\n\nThird one here") == [
        "First line here",
        "Second line here",
        "Third one here",
    ]


def test_a_line_that_an_editor_broke_goes_on():
    assert texts_of("A long line of more than forty-five characters is\nbroken here.") == [
        "A long line of more than forty-five / characters is broken here."
    ]


def test_markup_is_not_shown_and_neither_is_a_line_across_the_page():
    assert texts_of(
        "# Title here\n\n**Bold** and [a link](https://example.com/long) &amp; <b>more</b>.\n\n"
        "----------\n\nThe end — of it."
    ) == ["Title here", "Bold and a link & more.", "The end — of it."]


def test_symbols_that_are_spoken_are_shown():
    shown = texts_of("😀😀😀😀😀 one")
    assert "".join(shown).startswith("😀😀😀😀😀")


def test_an_address_is_not_cut_where_it_fits():
    address = "https://example.com/path?and=a&query=it."
    shown = texts_of(f"Look for all of it at the address of our very own house {address}")

    assert "".join(shown).endswith(address)


def test_a_word_longer_than_a_cue_is_divided_with_its_time():
    shown = cues("x" * 400, [Timed(0, 400, 0, 20_000)], 20_000)

    assert "".join("".join(cue.lines) for cue in shown) == "x" * 400
    assert max(len(line) for cue in shown for line in cue.lines) <= 42
    for former, following in pairwise(shown):
        assert former.end_ms == following.begin_ms
    assert (shown[0].begin_ms, shown[-1].end_ms) == (0, 20_000)
    assert shown[0].end_ms == pytest.approx(20_000 * 84 / 400, abs=20)


def test_a_word_that_lasts_longer_than_a_cue_is_shown_again():
    assert cues("long", [Timed(0, 4, 0, 15_000)], 15_000) == [
        Cue(0, 5_000, ("long",)),
        Cue(5_000, 10_000, ("long",)),
        Cue(10_000, 15_000, ("long",)),
    ]


def test_accents_stay_with_their_letters_where_a_word_is_broken():
    word = "n\u0303\u0323" * 60
    for cue in cues_of(word):
        for line in cue.lines:
            assert line[0] == "n"


# --- When cues are shown


def test_a_short_cue_is_shown_for_a_second_where_there_is_room():
    text = "Go.\n\nThe others stay here."
    words = [Timed(0, 2, 500, 700)] + [
        Timed(start, end, 3_000 + 100 * number, 3_100 + 100 * number)
        for number, (start, end) in enumerate([(5, 8), (9, 15), (16, 20), (21, 25)])
    ]
    # The last one has only what is before it: the audio ends.
    assert [(cue.begin_ms, cue.end_ms) for cue in cues(text, words, 3_450)] == [
        (500, 1_500),
        (2_450, 3_450),
    ]


def test_pauses_are_of_no_cue():
    first, second = cues_of("This is the first sentence.\n\nThis is the second sentence.")

    assert second.begin_ms - first.end_ms == 400


def test_words_without_time_still_make_a_valid_file():
    words = [Timed(start, start + 5, 100, 100) for start in (0, 8, 16)]
    made = cues("First.\n\nOther.\n\nThird.", words, 100)

    assert [cue.lines for cue in made] == [("First.",), ("Other.",), ("Third.",)]
    for former, following in pairwise(made):
        assert former.begin_ms < former.end_ms <= following.begin_ms
    assert made[-1].begin_ms < made[-1].end_ms <= 100


# --- Files


def test_the_files_look_as_players_expect():
    made = [Cue(40, 1_520, ("Hello,", "world!")), Cue(3_661_001, 3_662_000, ("Bye.",))]

    assert srt(made) == (
        "1\n00:00:00,040 --> 00:00:01,520\nHello,\nworld!\n\n"
        "2\n01:01:01,001 --> 01:01:02,000\nBye.\n"
    )
    assert vtt(made) == (
        "WEBVTT\n\n00:00:00.040 --> 00:00:01.520\nHello,\nworld!\n\n"
        "01:01:01.001 --> 01:01:02.000\nBye.\n"
    )


def test_only_a_pause_is_an_empty_file():
    assert cues_of("...") == []
    assert (srt([]), vtt([])) == ("", "WEBVTT\n")


def test_signs_of_the_formats_are_text():
    made = [Cue(0, 1_000, ("<b>Tom</b> & {\\an8} x --> y < z", "00:00:01,000 --> 00:00:02,000"))]

    assert (
        "&lt;b&gt;Tom&lt;/b&gt; &amp; {\\an8} x --&gt; y &lt; z\n00:00:01,000 --&gt; 00:00:02,000\n"
    ) in vtt(made)
    assert "<\u2060b>Tom<\u2060/b> & {\u2060\\an8} x --\u2060> y < z\n" in srt(made)
    assert len(read_srt(srt(made))) == len(read_vtt(vtt(made))) == 1


@pytest.mark.parametrize("text", ["مرحبا بالعالم، 3 GB!", "(שלום) world."])
def test_lines_written_to_the_left_say_so(text):
    made = [Cue(0, 1_000, (text,))]

    assert f"\u202b{text}\u202c\n" in srt(made)
    assert f"&rlm;{html.escape(text)}\n" in vtt(made)


def test_a_left_to_right_line_with_a_foreign_name_does_not():
    assert "\u202b" not in srt([Cue(0, 1, ("The word שלום.",))])


TEXT = st.text(
    st.sampled_from("abcdefgh ij 12.,!?;—()\"“'\n\n\u2028\t/:<>&*_[]#-שع你é\u0301\u200d😀"),
    max_size=400,
)


@settings(max_examples=300, deadline=None)
@given(TEXT, st.sampled_from([0.0, 0.001, 0.05, 0.4, 3.0, 20.0]), st.sampled_from([0.0, 0.3, 5.0]))
def test_cues_of_any_text_can_be_read(text, seconds, pause):
    words, duration_ms = spoken(text, seconds, pause)
    made = cues(text, words, duration_ms)

    for former, following in pairwise(made):
        assert former.end_ms <= following.begin_ms
    for number, cue in enumerate(made):
        assert 0 <= cue.begin_ms < cue.end_ms <= duration_ms
        assert cue.end_ms - cue.begin_ms <= CUE_MS_MAX
        assert 1 <= len(cue.lines) <= 2
        assert all(0 < len(line) <= 42 and line == line.strip() for line in cue.lines)
        if cue.end_ms - cue.begin_ms < CUE_MS_MIN:  # there is no room, before it or after it
            before = made[number - 1].end_ms if number else 0
            after = made[number + 1].begin_ms if number + 1 < len(made) else duration_ms
            assert (before, after) == (cue.begin_ms, cue.end_ms)
    assert plain(read_srt(srt(made))) == made
    assert plain(read_vtt(vtt(made))) == made


def plain(read: list[Cue]) -> list[Cue]:
    """Without the invisible signs for players, of which the text has none."""
    return [
        Cue(cue.begin_ms, cue.end_ms, tuple(INVISIBLE.sub("", line) for line in cue.lines))
        for cue in read
    ]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("abcdefghijklmnop", min_size=1, max_size=60), min_size=1, max_size=60),
    st.lists(st.sampled_from([" ", ", ", ". ", "? ", "; ", " — ", "\n", "\n\n"]), max_size=60),
)
def test_nothing_that_is_written_is_left_out(words, gaps):
    text = "".join(word + gap for word, gap in zip(words, [*gaps, *[" "] * 60], strict=False))

    shown = "".join("".join(cue.lines) for cue in cues_of(text))

    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", text)
