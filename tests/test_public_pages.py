"""Pages for everybody: the documents, the status, and what programs look for at fixed addresses."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape
from xml.etree import ElementTree

import pytest
import time_machine
from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

from api.own.errors import EXPLAINED
from billing.metronome import catalogue
from vocalis import health
from vocalis.public import documents, reference, search, status

DOCUMENTS = [one for found in documents.groups().values() for one in found]


# --- The documents --------------------------------------------------------------------------------


def test_every_document_is_a_page_in_the_list():
    files = {path.stem for path in documents.FOLDER.glob("*.md")}

    assert {one.file for one in DOCUMENTS} == files


@pytest.mark.django_db
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.slug)
def test_a_document_leads_nowhere_that_is_not_there(client, document):
    response = client.get(f"/docs/{document.slug}/")
    page = response.text

    assert response.status_code == 200
    assert f"<h1>{unescape(document.title)}</h1>" in unescape(page)
    own = set(re.findall(r'id="([^"]+)"', page))
    slugs = {f"/docs/{one.slug}/": one for one in DOCUMENTS}
    for link in re.findall(r'href="([^"]+)"', document.html):
        path, _, fragment = unescape(link).partition("#")
        if path in slugs:
            assert not fragment or f'id="{fragment}"' in slugs[path].html, link
        elif path:
            assert path.startswith(("http://", "https://")), link
        else:
            assert fragment in own, link
    for source in re.findall(r'src="([^"]+)"', document.html):
        assert (documents.FOLDER / "img" / source.rpartition("/")[2]).exists(), source
    assert document.html.count("<img") == len(
        re.findall(r'<img[^>]+alt="[^"]{20,}"', document.html)
    )


@pytest.mark.django_db
def test_a_document_that_is_not_there_is_404(client):
    assert client.get("/docs/no-such-thing/").status_code == 404


@pytest.mark.django_db
def test_the_search_finds_settings_commands_and_sections(client):
    for query, slug in (
        ("TRUSTED_PROXIES", "operations"),
        ("grant_credits", "operations"),
        ("conditional update", "prepaid-credits"),
        ("idempotency", "api-guide"),
    ):
        page = client.get("/docs/", {"q": query}).text
        assert re.search(rf'<a class="strong" href="/docs/{slug}/[^"]*">', page), query
        assert "<mark>" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "address", "heading"),
    [
        ("/v1/balance", "/v1/docs#/default/getBalance", "GET /v1/balance"),
        ("post /v1/speech", "/v1/docs#/default/createSpeech", "POST /v1/speech"),
        ("every change newest", "/v1/docs#/default/listLedger", "GET /v1/ledger"),
        ("expires auto_recharge", "/v1/docs#/default/getBalance", "GET /v1/balance"),
        ("key_budget_exceeded", "/docs/api/problems/#key-budget-exceeded", None),
        ("xi-api-key scopes budget", "/docs/api/#keys", "Keys"),
    ],
)
def test_the_search_finds_what_the_api_has_by_path_and_words(client, query, address, heading):
    page = unescape(client.get("/docs/", {"q": query}).text)

    assert f'<a class="strong" href="{address}">{heading or ""}' in page


def test_every_operation_section_and_problem_of_the_api_is_searched(client):
    found = [one.url for one in reference.sections()]
    document = client.get("/v1/openapi.json").json()
    operations = [one for path in document["paths"].values() for one in path.values()]
    for part in (*operations, *EXPLAINED):
        end = part["operationId"] if isinstance(part, dict) else part.name
        assert len([url for url in found if re.search(rf"[/#]{end}$", url)]) == 1, end
    page = client.get("/docs/api/").text
    ids = re.findall(r'<section class="card" id="([a-z]+)">', page)
    assert len(ids) == page.count("<h2") >= 6
    assert [f"/docs/api/#{each}" for each in ids] == [u for u in found if "/docs/api/#" in u]


@pytest.mark.django_db
def test_a_search_for_nothing_and_for_markup_says_so(client):
    assert "Nothing has" in client.get("/docs/", {"q": "zzzqq"}).text
    page = client.get("/docs/", {"q": '<script>"x'}).text
    assert "<script>&quot;" not in page and "<script>" not in page.partition("</main>")[0]
    assert "Nothing has" not in client.get("/docs/", {"q": "   "}).text


def test_a_section_is_found_by_all_its_words_and_first_by_its_heading():
    sections = [
        search.Section("A", "Other", "/a/", "Credits end, says this. " * 3),
        search.Section("A", "Credits", "/b/", "They end."),
        search.Section("A", "Else", "/c/", "Credits only."),
    ]

    found = search.find("CREDITS end", sections)

    assert [one.section.url for one in found] == ["/b/", "/a/"]
    assert "<mark>end</mark>" in found[0].excerpt


def test_an_excerpt_escapes_what_it_marks():
    [found] = search.find("b<i", [search.Section("A", "B", "/", "a <b> b<i> & c")])

    assert found.excerpt == "a &lt;b&gt; <mark>b&lt;i</mark>&gt; &amp; c"


# --- The status -----------------------------------------------------------------------------------


@pytest.fixture
def report(monkeypatch):
    """Sets what the checks say, without asking anybody; all others are ok."""
    engines = ("engine hibari", "engine kokoro")
    names = {name for part in status.PARTS for name in part.checks} - {"database", status.ENGINE}

    def set_(**wrong):
        wrong = {name.replace("_", " "): value for name, value in wrong.items()}
        names_now = {*names, *engines, *wrong}
        checks = [
            {"name": name, "status": wrong.get(name, "ok"), "detail": "password=hunter2"}
            for name in sorted(names_now)
        ]
        checked_at = timezone.now().isoformat()
        monkeypatch.setattr(
            health, "cached_report", lambda: {"checks": checks, "checked_at": checked_at}
        )

    set_()
    return set_


def parts(client) -> dict[str, str]:
    page = client.get("/status/").text
    assert "hunter2" not in page
    return dict(re.findall(r'data-part="([^"]+)" data-status="([^"]+)"', page))


def test_the_status_knows_checks_that_there_are(running_checks):
    wanted = {name for part in status.PARTS for name in part.checks} - {"database", status.ENGINE}

    assert wanted - running_checks == set()


@pytest.fixture
def running_checks(db) -> set[str]:
    from vocalis.health.local import engine_checks, local_checks

    local = [*local_checks(timezone.now(), {}), *engine_checks()]
    remote = {"reachability", "credentials", "stripe", *catalogue.CHECKS}
    return {check.name for check in local} | remote


@pytest.mark.django_db
def test_all_works_when_all_checks_are_ok(client, report):
    response = client.get("/status/")

    assert set(parts(client).values()) == {"ok"} and len(parts(client)) == len(status.PARTS)
    assert "Everything works." in response.text
    assert response["Refresh"] == "60"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wrong", "part", "expected", "words"),
    [
        ({"stripe": "error"}, "Payments", "error", "Payments cannot be made just now."),
        ({"reachability": "error"}, "Credits at Metronome", "error", "You speak on"),
        ({"engine_kokoro": "error"}, "Speech", "warn", "Some voices cannot speak"),
        (
            {"engine_kokoro": "error", "engine_hibari": "error"},
            "Speech",
            "error",
            "No voice can speak",
        ),
        ({"oldest_unsent_mail": "warn"}, "Mail", "warn", "Mails take longer"),
        ({"worker": "error"}, "Background work", "error", "Speaking in the studio"),
    ],
)
def test_a_part_that_is_disturbed_says_what_works_on(client, report, wrong, part, expected, words):
    report(**wrong)

    found = parts(client)

    assert found.pop(part) == expected and set(found.values()) == {"ok"}
    assert words in client.get("/status/").text
    assert "Everything works." not in client.get("/status/").text


@pytest.mark.django_db
def test_operators_affairs_disturb_no_customer(client, report):
    report(dead_rows="warn", disputes="warn", drift="warn", usage_comparison="warn")

    assert set(parts(client).values()) == {"ok"}


@pytest.mark.django_db
def test_it_says_since_when(client, report):
    first = datetime.fromisoformat("2026-11-01T10:00:00+00:00")
    with time_machine.travel(first, tick=False):
        report(stripe="error")
        parts(client)
    with time_machine.travel(first + timedelta(hours=2), tick=False):
        report(stripe="error")
        assert "2026-11-01T10:00:00+00:00" in client.get("/status/").text
        report()
        page = client.get("/status/").text
        assert "2026-11-01T12:00:00+00:00" in page


@pytest.mark.django_db
def test_it_is_there_while_the_database_is_not(client, report, monkeypatch):
    report(database="error")
    monkeypatch.setattr(
        connection, "cursor", lambda *a, **k: (_ for _ in ()).throw(OperationalError("no route"))
    )

    response = client.get("/status/")

    assert response.status_code == 200 and "Our database does not answer." in response.text


# --- What programs look for -----------------------------------------------------------------------


@pytest.mark.django_db
def test_robots_are_kept_from_what_is_private_and_told_of_the_sitemap(client, settings):
    settings.SITE_URL = "https://vocalis.example/"
    lines = client.get("/robots.txt").text.splitlines()

    assert "Disallow: /studio/" in lines and "Disallow: /admin/" in lines
    assert "Sitemap: https://vocalis.example/sitemap.xml" in lines


@pytest.mark.django_db
def test_each_address_of_the_sitemap_is_a_page_for_everybody(client, settings, report):
    settings.SITE_URL = "https://vocalis.example"
    tree = ElementTree.fromstring(client.get("/sitemap.xml").content)
    found = [each.text for each in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]

    assert len(found) == len(set(found)) > 20
    for address in found:
        path = address.removeprefix("https://vocalis.example")
        page = client.get(path)
        assert page.status_code == 200, path
        assert f'<link rel="canonical" href="{address}">' in page.text, path
        assert re.search(r'<meta name="description" content="[^"]{40,}">', page.text), path


@pytest.mark.django_db
def test_a_query_and_a_foreign_host_change_no_canonical_address(client, settings):
    settings.SITE_URL = "https://vocalis.example"
    settings.ALLOWED_HOSTS = ["*"]
    page = client.get("/docs/?q=price", headers={"host": "other.example"}).text

    assert '<link rel="canonical" href="https://vocalis.example/docs/">' in page
    assert '<meta property="og:image" content="https://vocalis.example/static/' in page


@pytest.mark.django_db
def test_security_txt_names_whom_to_write_to_and_how_long_it_holds(client, settings):
    settings.DEFAULT_FROM_EMAIL = "Vocalis <safe@vocalis.example>"
    fields = dict(
        line.split(": ", 1) for line in client.get("/.well-known/security.txt").text.splitlines()
    )

    assert fields["Contact"] == "mailto:safe@vocalis.example"
    expires = datetime.fromisoformat(fields["Expires"])
    assert timedelta(days=100) < expires - timezone.now() < timedelta(days=366)


def test_icons_are_there_in_every_size():
    folder = settings.BASE_DIR / "static"
    icon = (folder / "root/favicon.ico").read_bytes()
    sizes = [icon[6 + 16 * n] for n in range(int.from_bytes(icon[4:6], "little"))]

    assert icon[:4] == b"\0\0\1\0" and sizes == [16, 32, 48]
    for name, size in (("root/apple-touch-icon.png", (180, 180)), ("img/social.png", (1200, 630))):
        picture = (folder / name).read_bytes()
        assert picture[:8] == b"\x89PNG\r\n\x1a\n"
        assert (picture[16:20], picture[20:24]) == tuple(side.to_bytes(4) for side in size)
