"""How variables of the environment are read.
What cannot be read is noted, and refused by vocalis.checks in words."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import environ

YES_OR_NO = {"on", "off", "true", "false", "yes", "no", "y", "n", "ok", "1", "0"}
DATABASE_FORM = (
    "postgres://user:password@host:5432/name, "
    "or sqlite:////folder/file, or nothing for a file under var/"
)
MAIL_FORM = "smtp+tls://user:password@host:587, or consolemail:// for mails that only reach the log"
DATABASE_ENGINES = {"django.db.backends.sqlite3", "django.db.backends.postgresql"}
NO_DATABASE = {"ENGINE": "django.db.backends.dummy"}  # whatever asks it anything fails


class Env(environ.Env):  # type: ignore[misc]  # it has no types
    def __init__(self) -> None:
        super().__init__()
        self.unreadable: dict[str, str] = {}  # by variable: what to write

    def _read(self, var: str, read: Callable[[], Any], write: str, instead: Any) -> Any:
        try:
            return read()
        except (ValueError, KeyError, environ.ImproperlyConfigured):
            self.unreadable[var] = write
            return instead

    def list(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET) -> Any:
        """Comma-separated. Blanks around an item are none of it,
        and nothing between two commas is no item."""
        return [item for each in super().list(var, cast, default) if (item := each.strip())]

    def bool(self, var: str, default: Any = environ.Env.NOTSET) -> Any:
        """django-environ takes any word it does not know for no.
        A variable that is empty is one that is left out."""
        word = self.str(var, default="").strip().lower()
        if word and word not in YES_OR_NO:
            self.unreadable[var] = "on or off"
        return super().bool(var, default=default) if word in YES_OR_NO else default

    def int(self, var: str, default: Any = environ.Env.NOTSET) -> Any:
        if not self.str(var, default="").strip():
            return default
        return self._read(
            var,
            lambda: super(Env, self).int(var),
            f"a whole number; {default} is the default",
            default,
        )

    def word(self, var: str, words: tuple[str, ...], default: str) -> str:
        found = str(self.str(var, default="")).strip().upper() or default
        if found not in words:
            self.unreadable[var] = " or ".join((", ".join(words[:-1]), words[-1]))
        return found if found in words else default

    def database(self, var: str, default: dict[str, Any]) -> Any:
        if not self.str(var, default=""):
            return default
        with warnings.catch_warnings():  # an unknown scheme would be told of with the password
            warnings.simplefilter("ignore")
            found = self._read(var, lambda: self.db(var), DATABASE_FORM, NO_DATABASE)
        # Two slashes, and what follows them is left out.
        folder_as_host = re.match("sqlite://[^/:]", self.str(var))
        if found.get("ENGINE") not in DATABASE_ENGINES or not found["NAME"] or folder_as_host:
            self.unreadable[var] = DATABASE_FORM
        return NO_DATABASE if var in self.unreadable else found

    def mail(self, var: str, default: str) -> Any:
        address = self.str(var, default="") or default
        return self._read(
            var, lambda: self.email_url_config(address), MAIL_FORM, self.email_url_config(default)
        )
