"""What the search of the documents finds about the API: operations, examples and problems.

The operations are those of our own dialect, from its OpenAPI document; their addresses open the one
in the page of that document. What two other dialects have stands in documents of their own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import strip_tags

from api import reference
from api.own.api import api
from api.own.errors import EXPLAINED

from .search import Section

FIELDS = "Every field of the API"
PROBLEMS = "Problems of the API"
EXAMPLES = "API by example"
SECTION = re.compile(r'<section class="card" id="([a-z-]+)">(.*?)</section>', re.DOTALL)
HEADING = re.compile(r"<h2>(.*?)</h2>", re.DOTALL)


@cache
def sections() -> list[Section]:
    return [*_operations(), *_examples(), *_problems()]


def _operations() -> Iterator[Section]:
    document = api.get_openapi_schema(path_prefix="/v1/")
    schemas = document["components"]["schemas"]
    page = reverse("api:openapi-view")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = next(iter(operation.get("tags", [])), "default")
            url = f"{page}#/{tag}/{operation['operationId']}"
            heading = f"{method.upper()} {path}"
            yield Section(FIELDS, heading, url, " ".join(_words(operation, schemas)))


def _words(operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    """What it does, and the names of what it takes and answers with."""
    yield f"{operation['summary']}."
    yield operation.get("description", "")
    for parameter in operation.get("parameters", []):
        yield parameter["name"]
        yield parameter.get("description") or parameter["schema"].get("description", "")
    answers = [answer for status, answer in operation["responses"].items() if int(status) < 400]
    for name in dict.fromkeys(_schemas([operation.get("requestBody"), answers])):
        for field, about in schemas[name].get("properties", {}).items():
            yield field
            yield about.get("description", "")


def _schemas(node: Any) -> Iterator[str]:
    """The names of the schemas that a part of the document refers to."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _schemas(each)


def _examples() -> Iterator[Section]:
    markup = render_to_string("api/_sections.html", reference.context())
    for id_, body in SECTION.findall(markup):
        heading = HEADING.search(body)
        words = html.unescape(strip_tags(HEADING.sub("", body)))
        title = heading[1] if heading else EXAMPLES
        yield Section(EXAMPLES, title, f"{reverse('api_reference')}#{id_}", " ".join(words.split()))


def _problems() -> Iterator[Section]:
    for each in EXPLAINED:
        url = f"{reverse('api_problems')}#{each.name}"
        yield Section(PROBLEMS, each.title, url, f"{each.code} {each.status}: {each.what}")
