"""The first operator is made without questions, from the environment: what a deployment does."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def make(monkeypatch):
    def make(**variables: str) -> User:
        for name, value in variables.items():
            monkeypatch.setenv(f"DJANGO_SUPERUSER_{name}", value)
        call_command("createsuperuser", "--noinput", verbosity=0)
        return User.objects.get()

    return make


def test_address_and_password_are_enough(make, client):
    user = make(EMAIL="Root@example.com", PASSWORD="a fine long password")

    assert (user.email, user.first_name, user.last_name) == ("root@example.com", "", "")
    assert user.is_superuser and user.is_staff
    login = client.post(
        "/accounts/login/", {"email": "root@example.com", "password": "a fine long password"}
    )
    assert login.url == "/admin/"
    assert "root@example.com" in client.get("/admin/").text


def test_names_are_taken_if_they_are_there(make):
    user = make(
        EMAIL="root@example.com",
        PASSWORD="a fine long password",
        FIRST_NAME="Ada",
        LAST_NAME="King",
    )

    assert user.get_full_name() == "Ada King"


def test_names_may_be_options():
    call_command(
        "createsuperuser", "--noinput", email="root@example.com", last_name="King", verbosity=0
    )

    assert User.objects.get().last_name == "King"


def test_an_address_is_needed_and_only_once(make):
    with pytest.raises(CommandError, match="must use --email"):
        call_command("createsuperuser", "--noinput")
    make(EMAIL="root@example.com", PASSWORD="a fine long password")
    with pytest.raises(CommandError, match="already taken|already an account"):
        make(EMAIL="ROOT@example.com")
