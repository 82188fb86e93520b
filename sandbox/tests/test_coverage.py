"""The README's table is the route table."""

import re
from pathlib import Path

from sandbox.control import CONTROLS
from sandbox.routes import ROUTES

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_coverage_table_equals_the_routes():
    rows = re.findall(r"^\| `(\w+)` \| `(/v\d[^`]*)` \| (yes|501) \|$", README, re.MULTILINE)

    assert rows == [
        (route.method, route.path, "yes" if route.handler else "501") for route in ROUTES
    ]


def test_no_call_is_listed_twice():
    calls = [(route.method, route.path) for route in ROUTES]
    assert len(calls) == len(set(calls))


def test_every_control_call_is_described():
    for method, path in CONTROLS:
        assert f"`{method} {path}`" in README
