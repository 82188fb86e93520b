"""The README's table is the route table."""

import re
from pathlib import Path

from stripe_sandbox.cards import CARDS, NAMES
from stripe_sandbox.control import CONTROLS
from stripe_sandbox.routes import ROUTES

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_coverage_table_equals_the_routes():
    rows = re.findall(r"^\| `(\w+)` \| `(/v1/[^`]*)` \| `(\w+)` \|$", README, re.MULTILINE)

    assert rows == [(route.method, route.path, route.right) for route in ROUTES]


def test_no_call_is_listed_twice_and_every_one_is_stripe_s():
    calls = [(route.method, route.path) for route in ROUTES]
    assert len(calls) == len(set(calls))


def test_every_control_call_and_every_test_card_is_described():
    for method, path in CONTROLS:
        assert f"`{method} {path}`" in README
    for name, number in NAMES.items():
        assert name in README and number in README
    assert set(CARDS) - set(re.findall(r"\d{15,16}", README)) == set()
