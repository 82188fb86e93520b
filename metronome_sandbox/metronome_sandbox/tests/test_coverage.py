"""The README's table is the route table, and the route table is all that Metronome has."""

import re
from pathlib import Path

import metronome

from metronome_sandbox.control import CONTROLS
from metronome_sandbox.routes import ROUTES

HERE = Path(__file__).parent
README = (HERE.parents[1] / "README.md").read_text()
# Method and path of the 131 operations of Metronome's OpenAPI file, as of July 2026
PUBLISHED = (HERE / "published_calls.txt").read_text().split("\n")[:-1]


def calls() -> list[str]:
    return [f"{route.method} {route.path}" for route in ROUTES]


def without_names(found) -> set[str]:
    """What stands for an id has no fixed name."""
    return {re.sub(r"\{\w+\}", "{}", call) for call in found}


def test_the_coverage_table_equals_the_routes():
    rows = re.findall(r"^\| `(\w+)` \| `(/v\d[^`]*)` \| (.*) \|$", README, re.MULTILINE)

    assert rows == [
        (route.method, route.path, "yes" if route.handler else f"501: {route.instead}")
        for route in ROUTES
    ]


def test_no_call_is_listed_twice():
    assert len(calls()) == len(set(calls()))


def test_what_is_not_supported_says_what_to_use_instead():
    assert [route.path for route in ROUTES if not route.handler and len(route.instead) < 20] == []


def test_every_published_call_is_in_the_table():
    assert len(PUBLISHED) == 131
    assert without_names(PUBLISHED) - without_names(calls()) == set()


def test_every_call_of_the_sdk_is_in_the_table():
    start = re.compile(r"self\._(get_api_list|get|post|put|delete|patch)\(")
    found = set()
    for path in (Path(metronome.__file__).parent / "resources").rglob("*.py"):
        text = path.read_text()
        for match in start.finditer(text):
            call = text[match.end() :].partition("self._")[0]
            address = re.search(r'"(/v\d[^"]*)"', call)
            verb = re.search(r'method="(\w+)"', call)
            method = match[1] if match[1] != "get_api_list" else verb[1] if verb else "get"
            if address:
                found.add(f"{method.upper()} {address[1]}")

    assert len(found) > 100
    assert without_names(found) - without_names(calls()) == set()


def test_every_control_call_is_described():
    for method, path in CONTROLS:
        assert f"`{method} {path}`" in README
