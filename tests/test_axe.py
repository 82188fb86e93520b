"""The pages for everybody, and a customer's first ones, as axe-core sees them: no finding of WCAG 2
(A and AA) nor of its best practice.

Wide and light, narrow and dark: widths change what is laid out, schemes what has contrast. With
AXE=all in the environment also the other two."""

from __future__ import annotations

import json
import os

import pytest

from . import nodejs
from .test_browser import PERSON, browser, chromium  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.process]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = f"() => axe.run(document, {{runOnly: {json.dumps(TAGS)}, resultTypes: ['violations']}})"
WIDE, NARROW = (1280, 900), (390, 844)
LOOKS = [(WIDE, "light"), (NARROW, "dark")]
if os.environ.get("AXE") == "all":
    LOOKS += [(WIDE, "dark"), (NARROW, "light")]
PUBLIC = [
    "/",
    "/pricing/",
    "/voices/",
    "/docs/",
    "/docs/?q=recharge",
    "/docs/prepaid-credits/",
    "/docs/quick-start/",
    "/docs/api/",
    "/status/",
    "/terms/",
    "/privacy/",
    "/accounts/signup/",
]
OWN = ["/studio/", "/billing/plans/", "/pricing/"]


@pytest.fixture(scope="module")
def axe() -> str:
    return (nodejs.installed() / "node_modules/axe-core/axe.min.js").read_text()


def findings(page, axe: str) -> list[str]:
    """What axe says of the page, with everything that is folded opened."""
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    page.evaluate(axe)
    return [
        f"{found['id']}: {node['html'][:200]} {node['failureSummary']}"
        for found in page.evaluate(RUN)["violations"]
        for node in found["nodes"]
    ]


@pytest.mark.any_database  # test_access and test_public_pages ask for the same rows
@pytest.mark.timeout(240)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_axe_finds_nothing(site, browser, axe, size, scheme):  # noqa: F811
    address = str(site.base_url).rstrip("/")
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_content("<img src='no-words.png'>")
    assert any("image-alt" in one for one in findings(page, axe)), "axe finds what there is"
    found: dict[str, list[str]] = {}

    def look(path: str) -> None:
        page.goto(address + path)
        found[path] = findings(page, axe)
        scrolled = page.evaluate("document.documentElement.scrollWidth")
        if scrolled > width:
            found[path].append(f"scrolls sideways: {scrolled} px of {width}")

    for path in PUBLIC:
        look(path)
    page.goto(f"{address}/accounts/signup/")
    for name, value in (PERSON | {"email": f"{scheme}{width}@example.com"}).items():
        page.fill(f"[name={name}]", value)
    page.get_by_role("button", name="Sign up").click()
    page.wait_for_url(f"{address}/studio/")
    for path in OWN:
        look(path)
    assert {path: one for path, one in found.items() if one} == {}
