"""What names may contain: they go out in our mails."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from accounts import names

ANSWERS = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "ada@example.com",
    "password": "correct horse battery",
}


@pytest.mark.parametrize(
    "name",
    [
        "Ada",
        "J. R. R.",
        "Mary-Jane",
        "O’Neill",
        "D'Arcy",
        "Zoë",
        "李",
        "Łukasz",
        "St. Clair",
        "X Æ",
    ],
)
def test_a_name_is_taken(name):
    names.check(name)


@pytest.mark.parametrize(
    "name",
    [
        "you won! Claim it:\nhttps://prize.example/claim",
        "line\nbreak",
        "line\u2028break",
        "para\u2029graph",
        "carriage\rreturn",
        "tab\there",
        "bell\x07",
        "right\u202eleft",
        "zero\u200bwidth",
        "un\ue000used",
        "https://prize.example",
        "http:/ /x",
        "//prize",
        r"\\prize",
        "prize.example",
        "PRIZE.Example",
        "prize\u3002example",
        "prize\uff0ecom",
        "me@home",
        "me＠home",
        "10.0.0.1",
    ],
)
def test_a_name_that_is_a_message_or_leads_somewhere_is_refused(name):
    with pytest.raises(ValidationError):
        names.check(name)


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["first_name", "last_name"])
def test_signup_profile_and_admin_refuse_it_alike(client, field, alice, staff):
    bad = {field: "Claim it: https://prize.example"}
    page = client.post("/accounts/signup/", ANSWERS | bad)
    assert field in page.context["form"].errors

    client.force_login(alice.user)
    answers = {"first_name": "A", "last_name": "T", "email": alice.user.email}
    page = client.post("/accounts/profile/", answers | bad)
    assert field in page.context["form"].errors

    client.force_login(staff)
    path = f"/admin/accounts/user/{alice.user_id}/change/"
    page = client.post(path, {"first_name": "A", "last_name": "T"} | bad)
    assert field in page.context["adminform"].form.errors
