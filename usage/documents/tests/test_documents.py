"""Files of customers as texts, and files that mean harm."""

import io
import re
import time
import zipfile
from contextlib import suppress

import pytest

from usage.documents import BYTES_MAX, DocumentRefused, packed, read

from .make import W, docx, epub, page, paragraph, zipped

XHTML = '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "http://www.w3.org/TR/xhtml11/DTD/xhtml11.dtd">'
BOMB = "<!DOCTYPE a [<!ENTITY b 'bbbbbbbbbb'><!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]>"


def text_of(name, data):
    return read(name, data)[0]


def refusal(name, data):
    with pytest.raises(DocumentRefused) as caught:
        read(name, data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "how"),
    [
        ("Gr\u00fc\u00dfe \u201eda\u201c".encode(), "as UTF-8"),
        ("Gr\u00fc\u00dfe \u201eda\u201c".encode("utf-8-sig"), "as UTF-8"),
        ("Gr\u00fc\u00dfe \u201eda\u201c".encode("utf-16"), "as UTF-16"),
        (b"\xfe\xff" + "Gr\u00fc\u00dfe \u201eda\u201c".encode("utf-16-be"), "as UTF-16"),
        ("Gr\u00fc\u00dfe \u201eda\u201c".encode("cp1252"), "as Windows-1252, as it is no UTF-8"),
    ],
)
def test_plain_text_in_the_encodings_that_editors_write(data, how):
    assert read("Letter.TXT", data) == ("Gr\u00fc\u00dfe \u201eda\u201c", how)


def test_line_ends_are_one_character_and_markdown_stays_as_it_is():
    assert text_of("a.md", b"# One\r\n\r\nHello *you*.\rBye.\n\n") == "# One\n\nHello *you*.\nBye."


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.pdf", b"x", r"ends in \.txt"),
        ("txt", b"x", None),
        ("a.txt", b"", "no text"),
        ("a.txt", b" \n\t", "no text"),
        ("a.txt", b"a\0b", "no text file"),
        ("a.txt", b"\x81\x8d", "byte 1 means nothing there"),
        ("a.txt", b"\xff\xfea", "cannot be read as UTF-16"),
        ("a.txt", b"x" * (BYTES_MAX + 1), "larger than 10 MB"),
        ("a.docx", b"no zip", "damaged"),
        ("a.docx", b"PK\x05\x06", "damaged"),
        ("a.docx", zipped({"a": "b"}), "no Word document"),
        ("a.epub", zipped({"a": "b"}), "no e-book"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(name, data, words):
    if words is None:
        assert text_of(name, data) == "x"
        return
    assert re.search(words, refusal(name, data))


def test_word_documents_with_headings_in_any_language():
    body = (
        paragraph("The Lamp", "Titel")
        + paragraph("One", "berschrift1")
        + "<w:p><w:r><w:t xml:space='preserve'>It was </w:t></w:r><w:r><w:t>late.</w:t><w:br/>"
        "<w:t>Very.</w:t></w:r></w:p><w:p/>"
        + paragraph("Deeper", "Own")
        + paragraph("Tom &amp; Ann&#8217;s", "Unknown")
    )

    assert read("book.docx", docx(body)) == (
        "# The Lamp\n\n# One\n\nIt was late.\nVery.\n\n## Deeper\n\nTom & Ann\u2019s",
        "as a Word document",
    )


def test_of_a_word_document_only_what_is_written_is_read():
    body = (
        "<w:p><w:del><w:r><w:t>Gone.</w:t></w:r></w:del><w:r><w:instrText>PAGE</w:instrText>"
        "<w:delText>Old.</w:delText><w:t>Here.</w:t></w:r></w:p>"
        '<mc:AlternateContent xmlns:mc="urn:mc"><mc:Choice><w:p><w:r><w:t>Box.</w:t></w:r></w:p>'
        "</mc:Choice><mc:Fallback><w:p><w:r><w:t>Box.</w:t></w:r></w:p></mc:Fallback>"
        "</mc:AlternateContent><w:tbl><w:tr><w:tc>"
        + paragraph("Left")
        + "</w:tc><w:tc>"
        + paragraph("Right")
        + "</w:tc></w:tr></w:tbl>"
    )

    assert text_of("a.docx", docx(body)) == "Here.\n\nBox.\n\nLeft\n\nRight"


def test_e_books_in_the_order_of_their_spine():
    pages = {
        "two": page("<h2>Two <br/>parts</h2><p>Bye\n  now.<br/>Soon.</p>"),
        "one": page(
            "<h1><span>One</span></h1><p>Hello&nbsp;there<script>no()</script>.</p><ul><li>A</li>"
            "<li>B</li></ul><p>He<rt>x</rt>re</p>",
            XHTML,
        ),
        "toc": page("<p>Contents</p>"),
    }
    book = epub(
        pages,
        manifest='<item id="nav" href="nav.xhtml" properties="nav" '
        'media-type="application/xhtml+xml"/><item id="toc" href="text/toc.xhtml" '
        'properties="nav" media-type="application/xhtml+xml"/>',
        spine='<itemref idref="missing"/><itemref idref="nav" linear="no"/>',
    )

    found, how = read("book.epub", book)

    assert "Contents" in found or found.startswith("## Two parts")
    assert found.startswith(
        "## Two parts\n\nBye now.\nSoon.\n\n# One\n\nHello there.\n\nA\n\nB\n\nHere"
    )
    assert how == "as an e-book"


def test_an_e_book_without_headings_gets_numbered_chapters():
    book = epub({"a": page("<p>Hello.</p>"), "c": page("<p/>"), "b": page("<p>Bye.</p>")})

    found, how = read("book.epub", book)

    assert found == "# Chapter 1\n\nHello.\n\n# Chapter 2\n\nBye." and "numbered" in how


def test_a_protected_e_book_is_called_so():
    data = epub({"a": "\x00\x01 no xml"}, **{"META-INF/encryption.xml": "<encryption/>"})

    assert "protected" in refusal("a.epub", data)


# --- Harm -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [lambda xml: docx("", **{"word/document.xml": xml}), None])
def test_entities_are_refused_before_they_grow(build):
    xml = f"{BOMB}<a>&c;</a>"
    data = build(xml) if build else epub({"a": xml})

    assert "entities" in refusal("a.docx" if build else "a.epub", data)


def test_nothing_outside_of_a_file_is_read():
    xml = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><w:p {W}><w:t>&x;</w:t></w:p>'
    assert "entities" in refusal("a.docx", docx("", **{"word/document.xml": xml}))
    external = f'<!DOCTYPE a SYSTEM "file:///etc/passwd"><w:p {W}><w:r><w:t>Hi</w:t></w:r></w:p>'
    assert text_of("a.docx", docx("", **{"word/document.xml": external})) == "Hi"
    outside = epub({"a": page("<p>x</p>")}).replace(b"text/a", b"../../a")
    with pytest.raises(DocumentRefused):
        read("a.epub", outside)


@pytest.mark.parametrize("at", ["word/document.xml", "word/styles.xml", "_rels/.rels"])
def test_what_grows_while_it_is_unpacked_is_refused_at_once(at):
    data = docx(paragraph("x"), **{at: b"<a>" + b" " * (packed.UNPACKED_BYTES_MAX + 1)})
    assert len(data) < 50_000
    began = time.process_time()

    assert refusal("a.docx", data) == packed.TOO_LARGE
    assert time.process_time() - began < 2


def test_a_size_that_lies_is_found_out():
    data = bytearray(docx(paragraph("x"), **{"word/document.xml": b"<a>" + b" " * 20_000_000}))
    true = (20_000_003).to_bytes(4, "little")
    for _ in range(data.count(true)):
        at = data.index(true)
        data[at : at + 4] = (100).to_bytes(4, "little")

    assert refusal("a.docx", bytes(data)) in (packed.TOO_LARGE, packed.BROKEN)


def test_too_many_files_are_refused_before_they_are_listed():
    data = zipped({f"{number:0100}": "" for number in range(packed.MEMBERS_MAX + 1)})

    assert refusal("a.docx", data) == packed.TOO_LARGE


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_take_memory_are_not_unpacked(method):
    assert refusal("a.epub", zipped({"META-INF/container.xml": "<a/>"}, method)) == packed.BROKEN


def test_an_encrypted_file_is_called_so():
    data = bytearray(docx(paragraph("x")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 1)

    assert "encrypted" in refusal("a.docx", bytes(data))


def test_a_deep_document_is_refused():
    deep = "<b>" * 5_000 + "</b>" * 5_000

    assert refusal("a.docx", docx(deep)) == packed.BROKEN


def test_every_cut_of_a_file_is_read_or_refused():
    whole = docx(paragraph("One", "berschrift1") + paragraph("Hello."))
    for count in range(0, len(whole), 7):
        for damaged in (whole[:count], whole[:count] + b"\xff" + whole[count + 1 :]):
            with suppress(DocumentRefused):
                assert read("a.docx", damaged)[0]
    assert zipfile.is_zipfile(io.BytesIO(whole))
