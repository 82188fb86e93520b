"""What a chosen password must be beyond Django's own rules,
which judge it in the form in which it is hashed."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

from . import typed


class Fit:
    """For AUTH_PASSWORD_VALIDATORS: a password with one form, whatever keyboard types it."""

    def validate(self, password: str, user: Any = None) -> None:
        try:
            normalised = typed.normalise(password, characters_max=typed.PASSWORD_CHARACTERS_MAX)
            if len(normalised) > typed.PASSWORD_CHARACTERS_MAX:
                raise typed.TooLong(
                    f"This has more than {typed.PASSWORD_CHARACTERS_MAX:,} characters. Shorten it."
                )
        except typed.Unfit as error:
            raise ValidationError(str(error)) from error

    def get_help_text(self) -> str:
        return f"Your password can have at most {typed.PASSWORD_CHARACTERS_MAX:,} characters."


class LongEnough(password_validation.MinimumLengthValidator):
    """Counts the characters that are hashed: an accent typed by itself is none."""

    def validate(self, password: str, user: Any = None) -> None:
        super().validate(typed.password(password), user)
