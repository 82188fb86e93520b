from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import IntegrityError, connection

from accounts import signup
from accounts.aliases import EmailTaken
from accounts.models import Customer, IngestAlias, User
from conftest import PASSWORD

ANSWERS = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "Ada@Example.com",
    "password": PASSWORD,
}


def sign_up(client, **changes):
    return client.post("/accounts/signup/", ANSWERS | changes)


@pytest.mark.django_db
def test_signup_makes_user_customer_and_both_aliases_and_logs_in(client, now):
    response = sign_up(client)

    assert response.status_code == 302
    assert response.url == "/studio/"
    user = User.objects.get()
    assert (user.email, user.first_name, user.last_name) == ("ada@example.com", "Ada", "Lovelace")
    assert user.check_password(PASSWORD)
    assert client.session["_auth_user_id"] == str(user.pk)
    customer = user.customer
    assert customer.metronome_id is None
    assert customer.due_at >= now
    assert dict(customer.aliases.values_list("kind", "name")) == {
        "stable": f"vocalis_{customer.id}",
        "email": "vocalis_ada@example.com",
    }


@pytest.mark.django_db
def test_signup_goes_on_to_the_page_asked_for_if_it_is_ours(client):
    assert sign_up(client, next="/usage/").url == "/usage/"
    client.logout()
    assert (
        sign_up(client, email="second@example.com", next="https://evil.example/").url == "/studio/"
    )


@pytest.mark.django_db
@pytest.mark.parametrize("fields", [{}, {"next": "/usage/"}])
def test_signup_welcomes_and_asks_for_no_choice_that_the_next_page_does_not_have(client, fields):
    page = client.post("/accounts/signup/", ANSWERS | fields, follow=True).text

    assert "Welcome, Ada." in page and "Choose how to start" not in page


def test_signup_sends_a_logged_in_customer_to_the_studio(client, alice):
    client.force_login(alice.user)

    assert client.get("/accounts/signup/").url == "/studio/"
    assert sign_up(client).url == "/studio/"
    assert User.objects.count() == 1


def test_signup_refuses_an_address_that_is_taken_in_any_case(client, alice):
    response = sign_up(client, email="ALICE@example.COM")

    assert response.status_code == 200
    assert response.context["form"].errors == {
        "email": ["There is already an account for this e-mail address."]
    }
    assert User.objects.count() == 1


def test_signup_refuses_an_address_that_someone_reports_usage_under(client, alice):
    User.objects.filter(pk=alice.user.pk).update(email="moved-by-an-operator@example.com")

    assert "email" in sign_up(client, email="alice@example.com").context["form"].errors
    assert Customer.objects.get() == alice


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes, field, words",
    [
        ({"password": "12345678"}, "password", "entirely numeric"),
        ({"password": "short"}, "password", "too short"),
        ({"password": "ada@example.com"}, "password", "too similar to the e-mail address"),
        ({"email": "not an address"}, "email", "valid email address"),
        ({"email": f"{'a' * 60}@{'b' * 60}.com"}, "email", "at most 120 characters"),
        ({"first_name": "  "}, "first_name", "required"),
        ({"last_name": "a" * 101}, "last_name", "at most 100 characters"),
        ({"first_name": "A\0da"}, "first_name", "Null characters"),
    ],
)
def test_signup_says_what_is_wrong_and_makes_nothing(client, changes, field, words):
    response = sign_up(client, **changes)

    assert list(response.context["form"].errors) == [field]
    assert words in " ".join(response.context["form"].errors[field])
    assert f'id="id_{field}_error"' in response.text
    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_longest_address_makes_the_longest_alias(client):
    domain = ".".join(["b" * 50, "c" * 50, "com"])
    email = "a" * (signup.EMAIL_CHARACTERS_MAX - len(domain) - 1) + "@" + domain

    assert sign_up(client, email=email).status_code == 302
    assert (
        len(IngestAlias.objects.get(kind="email").name)
        == IngestAlias._meta.get_field("name").max_length
    )


@pytest.mark.django_db
def test_register_does_not_hide_an_error_that_is_ours(now):
    with pytest.raises(IntegrityError):
        signup.register(
            email="ada@example.com", password=PASSWORD, first_name=None, last_name="L", now=now
        )
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_signups_at_the_same_moment_one_wins_and_the_other_is_told(now):
    at_once = Barrier(2)

    def try_one(email):
        at_once.wait()
        try:
            signup.register(
                email=email, password=PASSWORD, first_name="Ada", last_name="L", now=now
            )
            return "made"
        except EmailTaken:
            return "taken"
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(try_one, ["ada@example.com", "ADA@example.com"]))

    assert outcomes == ["made", "taken"]
    assert (User.objects.count(), Customer.objects.count(), IngestAlias.objects.count()) == (
        1,
        1,
        2,
    )
