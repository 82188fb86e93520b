"""The documents of the folder docs/ as pages: an index, a page each, and a search over all.

The files stay what they are, Markdown that also reads well beside the code. A document is rendered
once a process. Links between documents become links between pages; links to files of the code
become words. Pictures are static files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

from . import reference, search

FOLDER = settings.BASE_DIR / "docs"
# What is shown, in this order: the title of a group, and of each document its file's name, the name
# in its address, and what it is about.
GROUPS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Make audio": (
        ("quick-start", "quick-start", "From a text to a file in five minutes."),
        ("text", "text", "How numbers, dates, names and abbreviations are read."),
        ("voices", "voices", "What each voice is like, and how well it is understood."),
        ("accounts", "accounts", "Logins, passkeys, devices, your data."),
    ),
    "Build with the API": (
        ("api", "api-guide", "Our own addresses and OpenAI’s clients, in every detail."),
        ("api-elevenlabs", "api-elevenlabs", "For programs that know ElevenLabs."),
        ("webhooks", "webhooks", "Events for your own programs, signed."),
    ),
    "Prepaid credits": (
        (
            "prepaid-credits",
            "prepaid-credits",
            "Prepaid credits on Metronome, done right: the reasons and the proofs.",
        ),
        ("architecture", "architecture", "Rooms, flows, invariants and the test of each."),
        ("payments", "payments", "Cards, refunds, disputes and tax, through Stripe."),
        ("metronome-setup", "metronome-setup", "Connect a real Metronome account."),
    ),
    "Run it": (
        ("operations", "operations", "At two in the morning; every command, every setting."),
        ("scaling", "scaling", "How many processes, and what they need."),
        ("mails", "mails", "What is sent, when, and how it is switched off."),
    ),
}
# What may be wider than the page scrolls in itself, also with the keyboard.
WIDE = {
    "<table>": '<div class="table-box" tabindex="0"><table class="table">',
    "</table>": "</table></div>",
    "<pre>": '<pre tabindex="0">',
}


@dataclass(frozen=True, slots=True)
class Heading:
    id: str
    title: str
    level: int


@dataclass(frozen=True, slots=True)
class Document:
    file: str
    slug: str
    about: str
    title: str
    html: SafeString
    headings: tuple[Heading, ...]  # of the second and third level
    sections: tuple[search.Section, ...]


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    query = request.GET.get("q", "")[: search.QUERY_CHARACTERS_MAX]
    context: dict[str, Any] = {"groups": groups(), "query": query, "found": None}
    if query.strip():
        sections = [one for found in groups().values() for each in found for one in each.sections]
        context["found"] = search.find(query, [*sections, *reference.sections()])
    return render(request, "docs/index.html", context)


@require_safe
def page(request: HttpRequest, slug: str) -> HttpResponse:
    found = next((one for each in groups().values() for one in each if one.slug == slug), None)
    if found is None:
        raise Http404
    return render(request, "docs/page.html", {"document": found, "groups": groups()})


@cache
def groups() -> dict[str, list[Document]]:
    return {title: [_read(*entry) for entry in entries] for title, entries in GROUPS.items()}


def _read(file: str, slug: str, about: str) -> Document:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse((FOLDER / f"{file}.md").read_text())
    title = tokens[1].content
    body = tokens[3:]  # without its heading, which the page shows
    headings = tuple(_headings(body))
    for token in body:
        _for_the_page(token)
    html = markdown.renderer.render(body, markdown.options, {})
    for tag, markup in WIDE.items():
        html = html.replace(tag, markup)
    sections = tuple(_sections(body, title, slug))
    return Document(file, slug, about, title, mark_safe(html), headings, sections)  # noqa: S308


def _headings(tokens: list[Token]) -> Iterator[Heading]:
    """Give each heading an id of its words, as code hosts do, so that one link fits both."""
    used: dict[str, int] = {}
    for token, inline in zip(tokens, tokens[1:], strict=False):
        if token.type != "heading_open":
            continue
        words = _text(inline)
        id_ = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        used[id_] = used.get(id_, 0) + 1
        if used[id_] > 1:
            id_ = f"{id_}-{used[id_] - 1}"
        token.attrSet("id", id_)
        level = int(token.tag[1])
        if level in (2, 3):
            yield Heading(id_, words, level)


def _for_the_page(token: Token) -> None:
    """Have links and pictures lead where the page has them."""
    inside = 0  # links to what the site does not show
    for child in token.children or ():
        if child.type == "image":
            name = str(child.attrs["src"]).removeprefix("img/")
            child.attrSet("src", static(f"docs/{name}"))
            # Its size, so that what is below does not move when it comes.
            drawn = (FOLDER / "img" / name).read_text()[:300] if name.endswith(".svg") else ""
            for side, length in re.findall(r' (width|height)="(\d+)"', drawn):
                child.attrSet(side, length)
        elif child.type == "link_open":
            if address := _address(str(child.attrs["href"])):
                child.attrSet("href", address)
            else:
                inside += 1
                child.type, child.tag, child.attrs = "em_open", "span", {}
        elif child.type == "link_close" and inside:
            inside -= 1
            child.type, child.tag = "em_close", "span"


def _address(link: str) -> str:
    """Where a link of a document leads on the site; "" if the site does not show that."""
    path, _, fragment = link.partition("#")
    if "://" in link or not path:
        return link
    slugs = {f"{file}.md": slug for entries in GROUPS.values() for file, slug, _ in entries}
    if path not in slugs:
        return ""
    return reverse("document", args=[slugs[path]]) + (f"#{fragment}" if fragment else "")


def _sections(tokens: list[Token], title: str, slug: str) -> Iterator[search.Section]:
    """What stands under each heading, for the search."""
    heading, id_ = title, ""
    words: list[str] = []
    for token, before in zip(tokens, [None, *tokens], strict=False):
        if before is not None and before.type == "heading_open":
            yield search.Section(title, heading, _url(slug, id_), " ".join(words))
            heading, id_, words = _text(token), str(before.attrs["id"]), []
        elif token.type == "inline" or token.type in ("fence", "code_block"):
            words.append(_text(token))
    yield search.Section(title, heading, _url(slug, id_), " ".join(words))


def _url(slug: str, id_: str) -> str:
    return reverse("document", args=[slug]) + (f"#{id_}" if id_ else "")


def _text(token: Token) -> str:
    """The words of a token, without its marks."""
    if token.children is None:
        return " ".join(token.content.split())
    return "".join(
        child.content if child.type in ("text", "code_inline", "image") else " "
        for child in token.children
        if child.type in ("text", "code_inline", "image", "softbreak", "hardbreak")
    )
