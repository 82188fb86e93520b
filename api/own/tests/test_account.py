"""What an account has and has used, and its keys."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from accounts.models import ApiKey
from billing import keys, ledger
from usage import rollup
from usage.models import Generation

from .conftest import Caller
from .test_speech import TEXT, body

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_balance(call, wallet, now):
    ledger.reserve(wallet_id=wallet.id, key="k", amount=10, now=now)

    found = call.get("balance").json()

    assert (found["available"], found["balance"], found["reserved"]) == (490, 500, 10)
    assert found["frozen"] is False
    assert [each["credits"] for each in found["expires"]] == [500]
    assert found["auto_recharge"] == {"enabled": False, "threshold": None}


def test_on_hold_nothing_can_be_spent(call, wallet, now):
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)

    found = call.get("balance").json()

    assert (found["available"], found["frozen"]) == (0, True)
    quote = call.post("quote", {"text": "Hello."}).json()
    assert (quote["available"], quote["sufficient"]) == (0, False)
    assert call.post("speech", {"text": "Hello."}).status_code == 403


def test_the_ledger_page_by_page(call, engine):
    made = [call.post("speech", {"text": TEXT[: -2 * number or None]}) for number in range(3)]
    for each in made:
        body(each)

    first = call.get("ledger?limit=2").json()
    rest = call.get(f"ledger?limit=2&starting_after={first['data'][-1]['id']}").json()

    assert (first["has_more"], rest["has_more"]) == (True, False)
    rows = first["data"] + rest["data"]
    assert [row["generation"] for row in rows[:3]] == [
        each["Vocalis-Generation"] for each in reversed(made)
    ]
    assert {row["key"] for row in rows[:3]} == {str(call.key.pk)}
    assert rows[3]["kind"] == "grant"
    assert sum(row["credits"] for row in rows) == rows[0]["balance_after"]


def test_generations_page_by_page(call, engine):
    made = []
    for number in range(3):
        made.append(call.post("speech", {"text": f"Number {number}."}))
        body(made[-1])

    first = call.get("generations?limit=2").json()
    rest = call.get(f"generations?limit=2&starting_after={first['data'][-1]['id']}").json()

    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert [row["id"] for row in first["data"] + rest["data"]] == [
        each["Vocalis-Generation"] for each in reversed(made)
    ]


def test_usage_by_day_key_and_voice(call, client, alice, engine, now):
    other, secret = keys.create(customer=alice, name="other", now=now)
    body(call.post("speech", {"text": "Hello."}))
    body(call.post("speech", {"text": "Hello."}))
    body(Caller(client, other, secret).post("speech", {"text": "Bye."}))
    Generation.objects.filter(api_key=other).update(characters_spoken=2, credits=2)
    rollup.repair(alice, dry_run=False, now=now)

    by_key = call.get("usage?group_by=key").json()["data"]
    by_all = call.get("usage?group_by=day,key,voice").json()["data"]

    assert {row["key"]: (row["characters"], row["requests"]) for row in by_key} == {
        str(call.key.pk): (12, 2),
        str(other.pk): (2, 1),
    }
    assert {row["voice"] for row in by_all} == {"standard-ava"}
    assert by_all[0]["start"].endswith("00:00:00Z")
    assert call.get("usage?from=2020-01-01&to=2020-02-01").json() == {"data": []}
    for wrong in (
        "group_by=hour",
        "group_by=day,day",
        "from=x",
        "from=2020-01-01",
        "to=2030-13-01",
    ):
        assert call.get(f"usage?{wrong}").status_code == 422, wrong


def test_a_key_tells_of_itself(client, alice, wallet, now):
    key, secret = keys.create(
        customer=alice, name="small", scopes=["speech"], limit=20, period="day", now=now
    )
    found = Caller(client, key, secret).get("key").json()

    assert (found["id"], found["name"], found["scopes"]) == (str(key.pk), "small", ["speech"])
    assert found["budget"]["remaining"] == 20
    assert found["budget"]["resets"]
    assert secret not in str(found)
    assert Caller(client, key, secret).get("balance").status_code == 403


def test_keys_are_made_changed_and_revoked(call, client):
    made = call.post(
        "keys", {"name": "new", "budget": {"limit": 100, "period": "week"}, "scopes": ["speech"]}
    )

    assert made.status_code == 201
    found = made.json()
    new = Caller(client, None, found["secret"])
    assert new.get("key").json()["budget"]["limit"] == 100
    changed = call("PATCH", f"keys/{found['id']}", {"limit": 50, "period": "none"})
    assert changed.json()["budget"]["limit"] == 50
    listed = call.get("keys").json()["data"]
    assert [each["name"] for each in listed] == ["new", "all"]
    assert "secret" not in listed[0]
    assert call("DELETE", f"keys/{found['id']}").json()["revoked_at"]
    assert new.get("key").status_code == 401


@pytest.mark.parametrize(
    "given",
    [
        {"name": ""},
        {"name": "x", "scopes": ["all"]},
        {"name": "x", "budget": {"limit": 0}},
        {"name": "x", "budget": {"period": "day"}},
        {"name": "x", "budget": {"limit": 5, "period": "year"}},
        {"name": "x", "budget": 5},
        {"name": "x", "budget": {"credits": 5}},
        {"name": "x", "limit": 5},
        {"name": "x", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "expires_at": "2030-01-01T00:00:00"},
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(call, given):
    assert call.post("keys", given).status_code == 422
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("given", "limit", "period"),
    [
        ({}, 100, "week"),
        ({"limit": 50}, 50, "week"),
        ({"period": "day"}, 100, "day"),
        ({"limit": None}, None, "none"),
    ],
)
def test_of_a_budget_what_is_not_sent_stays(call, given, limit, period):
    made = call.post("keys", {"name": "new", "budget": {"limit": 100, "period": "week"}}).json()

    changed = call("PATCH", f"keys/{made['id']}", given).json()["budget"]

    assert (changed["limit"], changed["period"]) == (limit, period)


@pytest.mark.parametrize("given", [{"budget": {"limit": 50}}, {"name": "y"}, 50, [], {"limit": ""}])
def test_a_change_that_is_not_understood_leaves_the_budget(call, given):
    made = call.post("keys", {"name": "new", "budget": {"limit": 100, "period": "week"}}).json()

    assert call("PATCH", f"keys/{made['id']}", given).status_code == 422
    assert call.get("keys").json()["data"][0]["budget"]["limit"] == 100


def test_a_key_makes_none_that_may_more_and_touches_none_of_others(
    client, call, alice, bob, wallet, now
):
    key, secret = keys.create(customer=alice, name="k", scopes=["keys"], now=now)
    theirs, _ = keys.create(customer=bob, name="b", now=now)
    limited = Caller(client, key, secret)

    assert limited.post("keys", {"name": "x", "scopes": ["speech"]}).status_code == 403
    assert limited.post("keys", {"name": "x", "scopes": ["keys"]}).status_code == 201
    for method in ("PATCH", "DELETE"):
        assert limited(method, f"keys/{theirs.pk}", {}).status_code == 404
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


def test_a_key_with_a_budget_cannot_get_around_it(client, alice, wallet, now):
    key, secret = keys.create(
        customer=alice, name="k", scopes=["keys"], limit=5, period="day", now=now
    )
    limited = Caller(client, key, secret)

    made = limited.post("keys", {"name": "x", "scopes": ["keys"]})
    lifted = limited("PATCH", f"keys/{key.pk}", {"limit": None})

    for refused in (made, lifted):
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
        assert "has a budget" in refused.json()["detail"]
    assert limited.get("key").json()["budget"]["limit"] == 5
    assert ApiKey.objects.count() == 1


def test_a_key_makes_none_that_lasts_longer(client, alice, wallet, now):
    ends_at = now + timedelta(days=1)
    key, secret = keys.create(
        customer=alice, name="k", scopes=["keys"], expires_at=ends_at, now=now
    )

    def make(**fields):
        return Caller(client, key, secret).post("keys", {"name": "x", "scopes": ["keys"]} | fields)

    assert make().status_code == 403
    assert make(expires_at=(ends_at + timedelta(seconds=1)).isoformat()).status_code == 403
    assert make(expires_at="2020-01-01T00:00:00").status_code == 422
    assert make(expires_at=ends_at.isoformat()).status_code == 201


def test_a_key_that_has_expired_is_refused(client, alice, wallet, now):
    key, secret = keys.create(
        customer=alice, name="k", expires_at=now + timedelta(hours=1), now=now
    )
    ApiKey.objects.filter(pk=key.pk).update(expires_at=now - timedelta(seconds=1))

    refused = Caller(client, key, secret).get("key")

    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_api_key")
    assert refused["WWW-Authenticate"] == "Bearer"


def test_the_document_says_what_each_address_needs(client):
    document = client.get("/v1/openapi.json").json()

    assert document["openapi"].startswith("3.1")
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["security"]
            assert {"401", "403", "429"} <= operation["responses"].keys()
            assert "application/problem+json" in operation["responses"]["401"]["content"]
    page = client.get("/v1/docs")
    assert page.status_code == 200
    # Its script is ours to serve: the site's policy lets no other site's in.
    assert not re.search(r"(src|href)=\"https?://", page.text)
