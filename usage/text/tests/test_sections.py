"""Chapters and parts of a text, and reading a long one block by block."""

import pytest

from tests.stopwatch import Stopwatch
from usage.engines.tests.quick import QuickEngine
from usage.engines.whole import pieces_for
from usage.text import LONG_MAX_CHARACTERS, MAX_CHARACTERS
from usage.text.pieces import LINE_PAUSE, PARAGRAPH_PAUSE, pieces
from usage.text.sections import PART_CHARACTERS, SECTIONS_MAX, blocks, sections

SENTENCE = "The keeper of the lamp had counted thirty-one ships by noon. "


def titles(text):
    return [section.title for section in sections(text)]


def test_headings_begin_chapters_and_together_they_are_the_text():
    text = "# One\n\nHello there.\n\n## The *second* one ##\nBye.\n\n### Deeper\nMore."

    found = sections(text)

    assert [(each.number, each.title) for each in found] == [(1, "One"), (2, "The second one")]
    assert "".join(text[each.start : each.end] for each in found) == text


def test_what_stands_before_the_first_heading_is_a_part_without_a_title():
    assert titles("By nobody.\n# One\nHello.\n# Two\nBye.") == ["", "One", "Two"]


def test_a_heading_without_text_of_its_own_belongs_to_the_next_one():
    text = "# Book One\n\n## Chapter 1\nHello.\n## Chapter 2\nBye.\n# Book Two\n## Chapter 1\nOh."

    assert titles(text) == ["Book One: Chapter 1", "Chapter 2", "Book Two: Chapter 1"]


def test_chapters_may_be_deep_where_there_are_no_higher_ones():
    assert titles("# Title\nWords.\n### One\nHello.\n### Two\nBye.") == ["Title", "One", "Two"]
    assert titles("#### One\nHello.\n#### Two\nBye.") == [""]


def test_with_too_many_headings_the_highest_count():
    many = "".join(f"## {number}\nHello.\n" for number in range(SECTIONS_MAX))

    assert titles(f"# One\nHello.\n{many}# Two\nBye.") == ["One", "Two"]
    assert titles(many + "## Last\nBye.") == [""] * len(sections(many + "## Last\nBye."))


@pytest.mark.parametrize("end", ["\n\n", "\n", " "])
def test_a_text_without_headings_is_cut_at_the_best_place(end):
    text = (SENTENCE * 4 + end) * 60

    found = sections(text)

    assert len(found) >= len(text) / PART_CHARACTERS
    assert "".join(text[each.start : each.end] for each in found) == text
    for each in found[:-1]:
        assert PART_CHARACTERS / 4 < each.end - each.start <= PART_CHARACTERS
        assert text[: each.end].endswith(f". {end}")


def test_a_short_text_is_one_part():
    assert [(each.start, each.end) for each in sections(SENTENCE)] == [(0, len(SENTENCE))]


def test_a_text_without_any_place_to_cut_is_cut_anywhere():
    text = "a" * 10_000

    assert [end - start for start, end in blocks(text)] == [2500] * 4


def test_what_a_request_speaks_is_read_as_one():
    text = (SENTENCE * 100)[:MAX_CHARACTERS]

    assert blocks(text) == [(0, MAX_CHARACTERS)]
    assert pieces_for(QuickEngine(), text) == pieces(text, characters_max=5_000)


def test_a_long_text_is_read_block_by_block_and_nothing_of_it_is_lost():
    engine = QuickEngine()
    engine.characters_max, engine.first_characters_max = 160, 60
    text = "# One\n\n" + (SENTENCE * 9 + "\n\n") * 20 + "# Two\n" + SENTENCE * 200

    found = pieces_for(engine, text)

    between = [text[one.end : two.start] for one, two in zip(found, found[1:], strict=False)]
    assert not "".join(between).strip()
    assert text[found[0].start : found[-1].end] == text.strip()
    for piece in found:
        assert piece.words[0].start >= piece.start and piece.words[-1].end <= piece.end
    pauses = {
        piece.pause_seconds
        for piece, gap in zip(found, between, strict=False)
        if gap.count("\n") > 1
    }
    assert pauses == {PARAGRAPH_PAUSE}
    last = text[: found[-1].start].rstrip()
    assert last.endswith(".") and found[-2].pause_seconds == LINE_PAUSE
    assert len(found[0].spoken) <= 60


@pytest.mark.parametrize(
    "hostile", ["\n", "# a\n", "a---", "<", "[a](", "# h\n\nx\n", "# ", "!\u2029"]
)
def test_finding_the_parts_takes_time_in_proportion_to_the_text(hostile):
    text = (hostile * LONG_MAX_CHARACTERS)[:LONG_MAX_CHARACTERS]
    watch = Stopwatch()
    found = sections(text)
    took_seconds = watch.seconds()

    assert "".join(text[each.start : each.end] for each in found) == text
    assert took_seconds < 5
