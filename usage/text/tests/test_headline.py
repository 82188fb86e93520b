"""What a text is called where nobody has given it a title."""

import time

import pytest

from usage.text.headline import CHARACTERS_MAX, headline


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("# Chapter 1\n\nIt was *late*.", "Chapter 1: It was late."),
        ("## Two ##  \nHello", "Two: Hello"),
        ("# Why?\nBecause.", "Why? Because."),
        ("# Alone", "Alone"),
        ("# Book *One*\n## Chapter 1\nGo.", "Book One Chapter 1: Go."),
        ("<h1>News</h1><p>Good &amp; bad</p>", "News Good & bad"),
        ("> quoted\n- one\n- two", "quoted one two"),
        ("See [the **map**](https://example.com/a_b).", "See the map."),
        ("Line one\n\n\nline   two", "Line one line two"),
        ("C# and 5 * 3", "C# and 5 * 3"),
        ("#hashtag first", "#hashtag first"),
        ("---", "---"),
        ("# ", "#"),
        ("", ""),
    ],
)
def test_a_text_is_called_as_it_is_spoken(text, called):
    assert headline(text) == called


def test_a_book_is_called_by_its_beginning_at_once():
    began = time.perf_counter()

    for text in ("# One\n\n" + "word " * 20_000, "<" * 100_000, "[" * 100_000, "#" * 100_000):
        assert 0 < len(headline(text)) <= CHARACTERS_MAX
    assert time.perf_counter() - began < 1
