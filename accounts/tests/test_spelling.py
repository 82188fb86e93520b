"""The same password or address, typed on keyboards that spell accents in different ways."""

import unicodedata

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.test import Client

from accounts import password_reset
from accounts.management.lookup import customer_named, staff_named
from accounts.models import Customer, PasswordReset, User
from conftest import PASSWORD
from jobs.worker import Worker
from mails import sending

WORD, ADDRESS = "crème brûlée Ωmega ạ̈", "alice@bücher.example"
FORMS = ["NFC", "NFD"]
MARKS = "a" + "\u0301\u0327" * 150_000


@pytest.fixture
def alice(alice):
    User.objects.filter(pk=alice.user.pk).update(
        email=ADDRESS, password=make_password(unicodedata.normalize("NFC", WORD))
    )
    alice.user.refresh_from_db()
    return alice


def spelt(form, text=WORD):
    return unicodedata.normalize(form, text)


def logs_in(email, password) -> bool:
    client = Client()
    client.post("/accounts/login/", {"email": email, "password": password})
    return "_auth_user_id" in client.session


@pytest.mark.parametrize("form", FORMS)
def test_login_takes_address_and_password_in_either_spelling(alice, form):
    assert logs_in(spelt(form, ADDRESS), spelt(form))
    assert not logs_in(spelt(form, ADDRESS), spelt(form) + "x")


@pytest.mark.django_db
@pytest.mark.parametrize("form", FORMS)
def test_signup_makes_one_account_whatever_the_spelling(client, form):
    answers = {
        "email": spelt(form, "Zoë@Bücher.example".replace("ë", "e")),
        "first_name": "Z",
        "last_name": "B",
    }
    client.post("/accounts/signup/", answers | {"password": spelt(form)})
    customer = Customer.objects.get()

    assert customer.user.email == "zoe@bücher.example"
    assert customer.aliases.get(kind="email").name == "vocalis_zoe@bücher.example"
    for other in FORMS:
        assert logs_in(spelt(other, "zoe@bücher.example"), spelt(other))
        again = Client().post(
            "/accounts/signup/",
            answers | {"email": spelt(other, "zoe@bücher.example"), "password": WORD},
        )
        assert "email" in again.context["form"].errors


@pytest.mark.parametrize("form", FORMS)
def test_change_and_reset_take_a_new_password_in_either_spelling(client, alice, form, mailoutbox):
    client.force_login(alice.user)
    new = spelt(form, "Zürcher Geschnetzeltes")
    answers = {
        "old_password": spelt("NFD"),
        "new_password": new,
    }
    assert client.post("/accounts/password/", answers).status_code == 302
    assert logs_in(ADDRESS, spelt("NFC", new)) and logs_in(ADDRESS, spelt("NFD", new))

    client.logout()
    client.post("/accounts/password/reset/", {"email": spelt(form, ADDRESS)})
    reset = PasswordReset.objects.get()
    assert reset.email == ADDRESS
    Worker([password_reset.WRITE, sending.SEND]).drain()
    message = mailoutbox[-1]
    path = message.body[message.body.index("/accounts/password/reset/") :].split()[0]
    page = client.get(path, follow=True).request["PATH_INFO"]
    answers = {
        "new_password": spelt(form, "Æblegrød å"),
    }
    assert client.post(page, answers).status_code == 302
    assert logs_in(ADDRESS, spelt("NFC", "Æblegrød å")) and logs_in(
        ADDRESS, spelt("NFD", "Æblegrød å")
    )


def test_the_profile_takes_the_same_address_and_password_in_either_spelling(client, alice):
    client.force_login(alice.user)
    answers = {"first_name": "A", "last_name": "T"}

    assert (
        client.post("/accounts/profile/", answers | {"email": spelt("NFD", ADDRESS)}).status_code
        == 302
    )
    changed = {"email": spelt("NFD", "alice@büro.example"), "current_password": spelt("NFD")}
    assert client.post("/accounts/profile/", answers | changed).status_code == 302
    assert User.objects.get().new_email == "alice@büro.example"


@pytest.mark.parametrize("form", FORMS)
def test_operators_find_people_in_either_spelling(client, alice, staff, form):
    assert customer_named(spelt(form, ADDRESS)) == customer_named(f"vocalis_{alice.id}") == alice
    User.objects.filter(pk=staff.pk).update(email="sam@bücher.example")
    assert staff_named(spelt(form, "sam@bücher.example")) == staff
    client.force_login(staff)
    assert (
        str(alice.pk) in client.get("/admin/accounts/customer/", {"q": spelt(form, ADDRESS)}).text
    )


@pytest.mark.parametrize("form", FORMS)
def test_staff_made_by_an_operator_log_in_in_either_spelling(client, staff, form):
    client.force_login(staff)
    answers = {"email": spelt(form, "Eve@bücher.example"), "first_name": "E", "last_name": "V"}
    passwords = {"usable_password": "true", "password1": spelt(form), "password2": spelt("NFC")}
    assert client.post("/admin/accounts/user/add/", answers | passwords).status_code == 302
    eve = User.objects.get(email="eve@bücher.example")
    assert eve.check_password(spelt("NFC")) and eve.check_password(spelt("NFD"))

    passwords = {
        "usable_password": "true",
        "password1": spelt(form, "façade ü"),
        "password2": spelt("NFD", "façade ü"),
    }
    assert client.post(f"/admin/accounts/user/{eve.pk}/password/", passwords).status_code == 302
    eve.refresh_from_db()
    assert eve.check_password(spelt("NFC", "façade ü")) and eve.check_password(
        spelt("NFD", "façade ü")
    )


@pytest.mark.django_db
def test_a_superuser_of_the_shell_logs_in_in_either_spelling(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", spelt("NFD"))
    fields = {"email": spelt("NFD", "root@bücher.example"), "first_name": "R", "last_name": "T"}
    call_command("createsuperuser", interactive=False, verbosity=0, **fields)

    assert logs_in("root@bücher.example", spelt("NFC"))


def test_the_tries_of_an_account_are_counted_whatever_the_spelling(client, alice):
    for number in range(10):
        client.post(
            "/accounts/login/", {"email": spelt(FORMS[number % 2], ADDRESS), "password": "wrong"}
        )

    assert (
        client.post(
            "/accounts/login/", {"email": spelt("NFD", ADDRESS), "password": WORD}
        ).status_code
        == 429
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("password", "words"),
    [
        (MARKS, "more than 1,000 characters"),
        ("ab" * 501, "more than 1,000 characters"),
        ("correct horse a" + "\u0301" * 31, "30 accents"),
        ("e\u0301" * 4, "too short"),
    ],
)
def test_a_new_password_without_one_short_form_is_refused_in_words(client, password, words):
    answers = {
        "email": "ada@example.com",
        "first_name": "A",
        "last_name": "L",
        "password": password,
    }
    response = client.post("/accounts/signup/", answers)

    assert words in " ".join(response.context["form"].errors["password"])
    assert not User.objects.exists()


def test_a_long_password_of_before_still_logs_in(alice):
    User.objects.update(password=make_password("x" * 5_000))

    assert logs_in(ADDRESS, "x" * 5_000) and not logs_in(ADDRESS, "x" * 4_999)
    assert not logs_in(ADDRESS, MARKS) and not logs_in(MARKS, PASSWORD)
