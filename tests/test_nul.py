"""PostgreSQL takes no NUL in a text, SQLite does:
wherever one comes in, it must be refused before it is a query."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.conf import settings
from django.test import Client

from billing.models import InboundWebhook
from jobs.models import Heartbeat, PausedJob

from .admin_pages import url

NUL = "\0"
ADMIN = [
    model
    for app in ("accounts", "billing", "usage", "jobs")
    for model in apps.get_app_config(app).get_models()
]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/", "/accounts/login/", "/studio/", "/billing/", "/admin/", "/health"]
)
@pytest.mark.parametrize("name", [settings.SESSION_COOKIE_NAME, "csrftoken", "messages"])
@pytest.mark.parametrize("value", [r'"\000aaaaaaaaaa"', r'"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\000"'])
def test_a_nul_in_a_cookie_is_ignored(path, name, value):
    answer = Client().get(path, headers={"Cookie": f"{name}={value}"})

    assert answer.status_code == Client().get(path).status_code


def test_a_cookie_with_a_nul_does_not_take_the_others_away(client, alice):
    client.force_login(alice.user)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value

    cookies = f'{settings.SESSION_COOKIE_NAME}={session}; other="\\000"'
    assert Client().get("/studio/", headers={"Cookie": cookies}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/studio/", "/usage/", "/billing/", "/accounts/login/", "/api/webhooks/events/m-1"],
)
@pytest.mark.parametrize(
    "query", ["before=%00", "done=a%00", "voice=%00", "next=%00", "after=%00", "%00=1", "a=1&a=%00"]
)
def test_a_nul_in_the_query_is_a_bad_request(client, alice, path, query):
    client.force_login(alice.user)

    assert client.get(f"{path}?{query}").status_code == 400


@pytest.mark.parametrize("model", ADMIN, ids=lambda model: model.__name__)
def test_a_nul_in_an_admin_search_filter_or_address_is_a_bad_request_or_not_found(
    operator, shop, model
):
    listed = url(model)

    for query in (
        "q=%00",
        "q=a%00b",
        f"{model._meta.pk.name}__exact=%00",
        "work=%00",
        "o=%00",
        "_popup=%00",
    ):
        assert operator.get(f"{listed}?{query}").status_code == 400
    for name in ("%00", "a%00"):
        for page in ("change", "delete", "history"):
            answer = operator.get(f"{listed}{name}/{page}/")
            assert answer.status_code == 400, f"{name} {page}"
        assert operator.post(f"{listed}{name}/change/", {"x": "1"}).status_code == 400
    for action in ("delete_selected", "retry", "replay", "approve"):
        answer = operator.post(listed, {"action": action, "_selected_action": NUL, "index": "0"})
        assert answer.status_code == 400


@pytest.mark.parametrize("model", [Heartbeat, PausedJob, InboundWebhook])
def test_rows_without_a_nul_are_still_found(operator, shop, model):
    assert operator.get(url(model, "change", model.objects.first().pk)).status_code == 200


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/studio/", ["text", "voice", "key"]),
        ("/studio/voice/", ["name", "variant", "pitch", "key"]),
        ("/accounts/profile/", ["first_name", "last_name", "email", "current_password"]),
        ("/accounts/password/", ["old_password", "new_password"]),
        ("/accounts/password/reset/", ["email"]),
        ("/accounts/login/again/", ["password", "next"]),
        ("/accounts/login/passkey/", ["credential", "next"]),
        ("/accounts/security/passkeys/", ["name", "credential"]),
        ("/accounts/security/app/", ["code"]),
        ("/accounts/delete/", ["password", "word"]),
        ("/billing/plans/", ["plan", "key", "shown"]),
        ("/billing/plans/pay/", ["tried"]),
        ("/billing/plans/cancel/", ["plan", "key"]),
        ("/billing/card/new/", ["card"]),
        ("/billing/recharge/", ["threshold", "amount", "enabled"]),
    ],
)
def test_a_nul_in_a_form_is_no_500(client, shop, alice, path, fields):
    client.force_login(alice.user)
    for field in fields:
        full = {"first_name": "A", "last_name": "T", "email": "new@example.com"} | dict.fromkeys(
            fields, "x"
        )
        assert client.post(path, full | {field: NUL}).status_code < 500, field


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "name"),
    [("/accounts/login/", "email"), ("/accounts/signup/", "email")],
)
def test_a_nul_in_a_login_is_no_500(client, path, name):
    for field in (name, "password", "next"):
        fields = {name: "a@example.com", "password": "p", "first_name": "A", "last_name": "B"}
        assert client.post(path, fields | {field: NUL}).status_code < 500


def test_a_nul_in_the_address_is_no_500(client, shop, alice):
    client.force_login(alice.user)

    for path in (
        "/%00",
        "/studio/%00/audio/",
        "/api/webhooks/events/%00",
        "/accounts/password/reset/AA/%00/",
        "/admin/r/1/%00/",
    ):
        assert client.get(path).status_code in (400, 302, 404, 200), path
