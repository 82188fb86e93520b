"""Forms: they validate and convert input.

The modules signup, profile and password_reset act on it.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.forms.models import model_to_dict
from django.http import HttpRequest, QueryDict

from mails.kinds import optional
from mails.preferences import LOW_BALANCE_CREDITS_MAX

from . import mailbox, names, passkeys, second_step, typed, zones
from .fields import NumberField
from .models import User
from .signup import EMAIL_CHARACTERS_MAX

PASSWORD_RULES = "At least 8 characters, and not easy to guess."
MISSING_PASSWORD = "Enter your current password."
WRONG_PASSWORD = "This is not your current password."


class PasswordField(forms.CharField):
    def __init__(self, label: str, autocomplete: str, **options: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": autocomplete, "data-reveal": True})
        super().__init__(label=label, strip=False, widget=widget, **options)

    def to_python(self, value: Any) -> str:
        return typed.password(super().to_python(value) or "")


class EmailField(forms.EmailField):
    def to_python(self, value: Any) -> str:
        return typed.email(super().to_python(value) or "")


class OneFormOfPasswords:
    """Mixin that normalises passwords before Django's forms compare them with the repetition."""

    cleaned_data: dict[str, Any]

    def clean_password1(self) -> str:
        return typed.password(self.cleaned_data["password1"] or "")

    def clean_password2(self) -> str:
        return typed.password(self.cleaned_data["password2"] or "")


class EmailForm(forms.Form):
    email = EmailField(
        label="E-mail address",
        max_length=EMAIL_CHARACTERS_MAX,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


class NameField(forms.CharField):
    def __init__(self, autocomplete: str) -> None:
        widget = forms.TextInput(attrs={"autocomplete": autocomplete})
        super().__init__(max_length=100, widget=widget, validators=[names.check])


class PersonForm(EmailForm):
    """Who somebody is, and an address that mail can reach."""

    first_name = NameField("given-name")
    last_name = NameField("family-name")

    field_order = ["first_name", "last_name", "email"]
    present_email = ""

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if email != self.present_email:
            mailbox.check_reachable(email)
        return email

    def person(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in ("first_name", "last_name", "email")}


class SignupForm(PersonForm):
    password = PasswordField("Password", "new-password", help_text=PASSWORD_RULES)
    # The browser's, if its script says so; a guess that the profile shows and changes.
    time_zone = forms.CharField(
        required=False, widget=forms.HiddenInput(attrs={"data-time-zone": True})
    )

    def clean_time_zone(self) -> str:
        return zones.known(self.cleaned_data["time_zone"])

    def clean(self) -> dict[str, Any]:
        answers = self.cleaned_data
        if password := answers.get("password"):
            person = {name: answers.get(name, "") for name in ("first_name", "last_name", "email")}
            try:
                validate_password(password, User(**person))
            except forms.ValidationError as error:
                self.add_error("password", error)
        return answers


class LoginForm(EmailForm):
    password = PasswordField("Password", "current-password")
    user: User

    def __init__(self, request: HttpRequest, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.request = request

    def clean(self) -> dict[str, Any]:
        answers = self.cleaned_data
        if answers.get("email") and answers.get("password"):
            user = authenticate(
                self.request, username=answers["email"], password=answers["password"]
            )
            if not isinstance(user, User):
                raise forms.ValidationError(
                    "There is no account with this e-mail address and password."
                )
            self.user = user
        return answers


def refuse_password(user: User, password: str) -> None:
    """Tell a missing current password from a wrong one. Raises ValidationError."""
    if not password:
        raise forms.ValidationError(MISSING_PASSWORD, code="missing")
    if not user.check_password(password):
        raise forms.ValidationError(WRONG_PASSWORD, code="wrong")


class OwnPasswordForm(forms.Form):
    """The password of the user who is logged in, entered again."""

    password = PasswordField("Current password", "current-password", required=False)

    def __init__(self, user: User, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.user = user

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        refuse_password(self.user, password)
        return password


class NewPasswordForm(forms.Form):
    """A new password: typed once, because it can be looked at."""

    new_password = PasswordField(
        "New password",
        "new-password",
        help_text=PASSWORD_RULES,
        error_messages={"required": "Enter a new password."},
    )

    def __init__(self, user: User, data: QueryDict | None = None, **options: Any) -> None:
        super().__init__(data, **options)
        self.user = user

    def clean_new_password(self) -> str:
        password: str = self.cleaned_data["new_password"]
        validate_password(password, self.user)
        return password

    def save(self) -> User:
        self.user.set_password(self.cleaned_data["new_password"])
        self.user.save(update_fields=["password"])
        return self.user


class PasswordChangeForm(NewPasswordForm):
    old_password = PasswordField("Current password", "current-password", required=False)

    field_order = ["old_password", "new_password"]

    def clean_old_password(self) -> str:
        password: str = self.cleaned_data["old_password"]
        refuse_password(self.user, password)
        return password


class CodeForm(forms.Form):
    """A code of an authenticator app, or a recovery code."""

    code = forms.CharField(
        label="Code",
        required=False,
        max_length=second_step.TYPED_CHARACTERS_MAX,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )


class PasskeyForm(forms.Form):
    name = forms.CharField(
        label="Name of the passkey",
        required=False,
        max_length=passkeys.NAME_CHARACTERS_MAX,
        help_text="So that you know it again, such as “Phone” or “Work laptop”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    credential = forms.CharField(
        max_length=passkeys.ANSWER_CHARACTERS_MAX,
        widget=forms.HiddenInput,
        error_messages={"required": "No passkey was made. Passkeys need JavaScript."},
    )


class MailForm(forms.Form):
    """Which mails one wants, and at which balance it is low."""

    wanted = forms.MultipleChoiceField(
        label="Also tell me",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=lambda: list(optional().items()),
    )
    low_balance_credits = NumberField(
        label="My credits are low at",
        required=False,
        least=1,
        most=LOW_BALANCE_CREDITS_MAX,
        help_text="Credits. Empty: at the threshold of auto-recharge, or at a tenth of your plan.",
    )


class ProfileForm(PersonForm):
    time_zone = forms.ChoiceField(
        label="Time zone",
        required=False,
        choices=lambda: [("", "UTC"), *((name, name.replace("_", " ")) for name in zones.names())],
        help_text="For the times in mails and on pages.",
    )
    current_password = PasswordField(
        "Current password",
        "current-password",
        required=False,
        help_text="Only needed when you change your e-mail address.",
    )

    field_order = ["first_name", "last_name", "email", "current_password", "time_zone"]

    def __init__(
        self,
        user: User,
        data: QueryDict | None = None,
        *,
        typed: dict[str, str] | None = None,
    ) -> None:
        known = model_to_dict(user, ["first_name", "last_name", "email", "time_zone"])
        super().__init__(data, initial=known | (typed or {}))
        self.user, self.present_email = user, user.email

    def clean(self) -> dict[str, Any]:
        answers = self.cleaned_data
        if answers.get("email", self.user.email) != self.user.email:
            password = answers.get("current_password", "")
            if not password:
                words = "Enter your current password to change your e-mail address."
                self.add_error("current_password", words)
            elif not self.user.check_password(password):
                self.add_error("current_password", WRONG_PASSWORD)
        return answers
