"""Password validators in addition to Django's own.

Passwords are validated in the normalised form that is hashed (`accounts.typed`).
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

from . import typed


class Fit:
    """Refuses passwords that cannot be normalised or are too long.

    Every keyboard must be able to enter a password in the same form. For AUTH_PASSWORD_VALIDATORS.
    """

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
    """Counts the normalised characters: a separate combining accent does not count as one."""

    def validate(self, password: str, user: Any = None) -> None:
        super().validate(typed.password(password), user)
