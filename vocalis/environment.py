"""Reads environment variables.

Values that cannot be parsed are noted in `Env.unreadable`. vocalis.checks then refuses to start.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import environ

if TYPE_CHECKING:
    from usage.engines.remote.configuration import SpeechServer


YES_OR_NO = {"on", "off", "true", "false", "yes", "no", "y", "n", "ok", "1", "0"}
DATABASE_FORM = (
    "postgres://user:password@host:5432/name, "
    "or sqlite:////folder/file, or nothing for a file under var/"
)
MAIL_FORM = (
    "smtp+tls://user:password@host:587, a provider such as postmark://?server_token=TOKEN, "
    "or consolemail:// for mails that only reach the log"
)
DATABASE_ENGINES = {"django.db.backends.sqlite3", "django.db.backends.postgresql"}
NO_DATABASE = {"ENGINE": "django.db.backends.dummy"}  # every query fails


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, "" if it is none; vocalis.variables says so then."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    is_plain = re.fullmatch(r"[A-Za-z0-9.-]+", parts.hostname or "")
    return f"{parts.scheme}://{parts.hostname}{port}" if is_plain else ""


class Env(environ.Env):  # type: ignore[misc]  # it has no types
    def __init__(self) -> None:
        super().__init__()
        self.unreadable: dict[str, str] = {}  # variable → description of a valid value

    def _read(self, var: str, read: Callable[[], Any], write: str, instead: Any) -> Any:
        try:
            return read()
        except (ValueError, KeyError, environ.ImproperlyConfigured):
            self.unreadable[var] = write
            return instead

    def list(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET) -> Any:
        """Comma-separated items, without surrounding blanks. Empty items are dropped."""
        return [item for each in super().list(var, cast, default) if (item := each.strip())]

    def bool(self, var: str, default: Any = environ.Env.NOTSET) -> Any:
        """On or off. An empty variable has its default.

        django-environ would read any unknown word as off.
        """
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

    def choice(self, var: str, choices: tuple[str, ...], default: str) -> str:
        """One of `choices`, in upper case."""
        found = str(self.str(var, default="")).strip().upper() or default
        if found not in choices:
            self.unreadable[var] = " or ".join((", ".join(choices[:-1]), choices[-1]))
        return found if found in choices else default

    def database(self, var: str, default: dict[str, Any]) -> Any:
        if not self.str(var, default=""):
            return default
        with warnings.catch_warnings():  # the one about an unknown scheme contains the password
            warnings.simplefilter("ignore")
            found = self._read(var, lambda: self.db(var), DATABASE_FORM, NO_DATABASE)
        # With two slashes instead of three or four, the first folder is parsed as the host.
        folder_as_host = re.match("sqlite://[^/:]", self.str(var))
        if found.get("ENGINE") not in DATABASE_ENGINES or not found["NAME"] or folder_as_host:
            self.unreadable[var] = DATABASE_FORM
        return NO_DATABASE if var in self.unreadable else found

    def speech_servers(self, var: str) -> tuple[SpeechServer, ...]:
        """Read at once, so that no settings page shows their keys."""
        if not (text := self.str(var, default="")):
            return ()
        # Imported only where it is used: the client library takes a while to load.
        from usage.engines.remote.configuration import Unreadable, read_servers

        try:
            return read_servers(text)
        except Unreadable as error:
            self.unreadable[var] = str(error)
            return ()

    def mail(self, var: str, default: str) -> Any:
        """The settings of a mail server, of a provider, or of the outbox of development."""
        from . import mail_providers

        def read(address: str) -> Any:
            return mail_providers.read(address) or self.email_url_config(address)

        address = self.str(var, default="") or default
        return self._read(var, lambda: read(address), MAIL_FORM, read(default))

    def storage(self, var: str) -> dict[str, Any]:
        """The default file storage: a folder, or the bucket of an address."""
        folder: dict[str, Any] = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
        if not (url := self.str(var, default="").strip()):
            return folder
        # Imported only where it is used: the client library takes a second to load.
        from . import object_storage

        bucket = "vocalis.object_storage.S3"
        return self._read(  # type: ignore[no-any-return]
            var,
            lambda: {"BACKEND": bucket, "OPTIONS": object_storage.options(url)},
            object_storage.FORM,
            folder,
        )
