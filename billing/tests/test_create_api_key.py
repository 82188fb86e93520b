"""`create_api_key` prints the secret last, and says in words what it cannot do."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import api_keys
from accounts.models import ApiKey
from billing.ledger import budgets

pytestmark = pytest.mark.django_db


def run(*args) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("create_api_key", *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_secret_is_the_last_line_and_opens_what_was_asked_for(alice):
    out, err = run(
        *("alice@example.com", "--name", "Robot", "--scope", "read", "--scope", "keys"),
        *("--budget", "500", "--period", "week", "--expires", "90d"),
    )

    now = timezone.now()
    secret = out.splitlines()[-1]
    key = api_keys.find(secret, now)
    assert (key.customer, key.name, key.scopes) == (alice, "Robot", ["read", "keys"])
    assert timedelta(days=89) < key.expires_at - now < timedelta(days=90)
    found = budgets.budget(key.pk, now)
    assert (found.limit, found.period) == (500, "week")
    assert err.startswith(f"Robot ({key.shown}) of alice@example.com: read, keys, until 20")
    assert secret not in err


def test_by_default_it_speaks_and_reads_on_the_whole_balance_for_ever(alice):
    out, _ = run(str(alice.pk))

    key = api_keys.find(out.strip(), timezone.now())
    assert (key.scopes, key.expires_at) == (["speech", "read"], None)
    assert budgets.budget(key.pk, timezone.now()).limit is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nobody@example.com"], "There is no customer nobody@example.com."),
        (["alice@example.com", "--scope", "fly"], "invalid choice: 'fly'"),
        (["alice@example.com", "--period", "hour"], "invalid choice: 'hour'"),
        (["alice@example.com", "--period", "day"], "Say how many credits the key may spend"),
        (["alice@example.com", "--budget", "0"], "A budget is 1 to 1,000,000,000,000 credits"),
        (["alice@example.com", "--budget", "many"], "invalid int value: 'many'"),
        (["alice@example.com", "--expires", "3 weeks"], "'3 weeks' is no number of days like 90d"),
        (["alice@example.com", "--expires", "0d"], "'0d' is no number of days like 90d"),
        (["alice@example.com", "--name", " "], "Give the key a name of 1 to 60 characters."),
    ],
)
def test_what_cannot_be_is_said_with_exit_code_1_and_nothing_is_made(alice, args, words):
    with pytest.raises(CommandError, match=words.replace("(", r"\(")) as raised:
        run(*args)

    assert raised.value.returncode == 1
    assert not ApiKey.objects.exists()


def test_a_closed_account_gets_none(alice):
    alice.user.is_active = False
    alice.user.save(update_fields=["is_active"])

    with pytest.raises(CommandError, match="The account of alice@example.com is closed"):
        run("alice@example.com")
