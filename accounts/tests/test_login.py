import pytest
from django.test import Client

from conftest import PASSWORD

WRONG = "There is no account with this e-mail address and password."


def log_in(client, email="alice@example.com", password=PASSWORD, **more):
    return client.post("/accounts/login/", {"email": email, "password": password, **more})


def test_login_takes_the_address_in_any_case(client, alice):
    assert log_in(client, " ALICE@Example.com ").url == "/studio/"
    assert client.session["_auth_user_id"] == str(alice.user.pk)


def test_login_says_the_same_for_a_wrong_password_and_an_unknown_address(client, alice):
    for response in (log_in(client, password="wrong"), log_in(client, "nobody@example.com")):
        assert response.status_code == 200
        assert response.context["form"].non_field_errors() == [WRONG]
    assert "_auth_user_id" not in client.session


def test_login_refuses_an_inactive_user_in_the_same_words(client, alice):
    type(alice.user).objects.update(is_active=False)

    assert log_in(client).context["form"].non_field_errors() == [WRONG]


def test_login_goes_to_the_page_asked_for(client, alice):
    page = client.get("/accounts/login/?next=/usage/%3Fpage%3D2")
    assert '<a href="/accounts/signup/?next=%2Fusage%2F%3Fpage%3D2">' in page.text

    assert log_in(client, next="/usage/?page=2").url == "/usage/?page=2"


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example", ""]
)
def test_login_goes_nowhere_but_to_our_own_pages(client, alice, url):
    assert log_in(client, next=url).url == "/studio/"


@pytest.mark.parametrize("path", ["nothing", "-1", "profile"])
def test_a_page_asked_for_is_a_path_and_never_the_name_of_a_view(client, alice, path):
    assert log_in(client, next=path).url == path
    assert client.get("/accounts/login/", {"next": path}).url == path


def test_login_gives_the_session_a_new_key(client, alice):
    client.get("/accounts/login/")
    session = client.session
    session["before"] = "login"
    session.save()
    key = session.session_key

    log_in(client)

    assert client.session.session_key != key


def test_login_page_sends_on_who_is_logged_in_already(client, alice):
    client.force_login(alice.user)

    assert client.get("/accounts/login/").url == "/studio/"
    assert client.get("/accounts/login/?next=/usage/").url == "/usage/"


def test_login_sends_an_operator_to_the_admin(client, staff):
    assert log_in(client, "staff@example.com").url == "/admin/"


def test_logout_is_a_post_and_ends_the_session(client, alice):
    client.force_login(alice.user)

    assert client.get("/accounts/logout/").url == "/"
    assert "_auth_user_id" in client.session

    assert client.post("/accounts/logout/").url == "/"
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["signup", "login", "logout", "password/reset"])
def test_a_form_without_its_csrf_token_is_refused_on_a_page_of_ours(path):
    response = Client(enforce_csrf_checks=True).post(
        f"/accounts/{path}/", {"email": "a@example.com"}
    )

    assert response.status_code == 403
    assert "This form has expired" in response.text


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["signup", "login"])
def test_forms_carry_the_names_and_the_token_a_program_needs(path, client):
    page = client.get(f"/accounts/{path}/").text

    for name in ("email", "password", "csrfmiddlewaretoken"):
        assert f'name="{name}"' in page
    assert client.cookies["csrftoken"].value
