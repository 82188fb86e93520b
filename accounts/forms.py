"""Forms: they validate and convert input.

The modules signup, profile and password_reset act on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth import forms as auth_forms
from django.contrib.auth.password_validation import validate_password
from django.forms.models import model_to_dict
from django.http import HttpRequest, QueryDict

from mails.kinds import optional
from mails.preferences import LOW_BALANCE_CREDITS_MAX

from . import mailbox, names, typed
from .models import User
from .signup import EMAIL_CHARACTERS_MAX

if TYPE_CHECKING:
    SetPasswordForm = auth_forms.SetPasswordForm[User]
else:  # generic in the stubs only
    SetPasswordForm = auth_forms.SetPasswordForm


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

    def clean_new_password1(self) -> str:
        return typed.password(self.cleaned_data["new_password1"] or "")

    def clean_new_password2(self) -> str:
        return typed.password(self.cleaned_data["new_password2"] or "")

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
    password = PasswordField(
        "Password", "new-password", help_text="At least 8 characters, and not easy to guess."
    )

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


class NewPasswordForm(OneFormOfPasswords, SetPasswordForm):
    pass


class PasswordChangeForm(OneFormOfPasswords, auth_forms.PasswordChangeForm):
    pass


class MailForm(forms.Form):
    """Which mails one wants, and at which balance it is low."""

    wanted = forms.MultipleChoiceField(
        label="Also tell me",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=lambda: list(optional().items()),
    )
    low_balance_credits = forms.IntegerField(
        label="My credits are low at",
        required=False,
        min_value=1,
        max_value=LOW_BALANCE_CREDITS_MAX,
        help_text="Credits. Empty: at the threshold of auto-recharge, or at a tenth of your plan.",
    )


class ProfileForm(PersonForm):
    current_password = PasswordField(
        "Current password",
        "current-password",
        required=False,
        help_text="Only needed when you change your e-mail address.",
    )

    def __init__(
        self,
        user: User,
        data: QueryDict | None = None,
        *,
        typed: dict[str, str] | None = None,
    ) -> None:
        known = model_to_dict(user, ["first_name", "last_name", "email"])
        super().__init__(data, initial=known | (typed or {}))
        self.user, self.present_email = user, user.email

    def clean(self) -> dict[str, Any]:
        answers = self.cleaned_data
        if answers.get(
            "email", self.user.email
        ) != self.user.email and not self.user.check_password(answers.get("current_password", "")):
            self.add_error(
                "current_password", "Enter your current password to change your e-mail address."
            )
        return answers
