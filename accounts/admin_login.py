"""Admin of the ways in: passkeys, apps, codes and sessions. What is secret of them is not shown."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from operations.admin import JobRowAdmin, ReadOnlyAdmin
from operations.confirmation import Reason, confirmed

from . import passkeys, second_step, sessions
from .models import AccountDeletion, AuthenticatorApp, BrowserSession, Passkey, RecoveryCode

LOST = (
    "For somebody who can do the second step no more and has shown you who they are. The person is "
    "told by mail. Without an app and a passkey, the password alone is enough to log in."
)


class OfUser(ReadOnlyAdmin):
    list_select_related: ClassVar[Any] = ("user",)
    search_fields: ClassVar[Any] = ("user__email__startswith",)
    search_help_text = "E-mail address (or its beginning)"
    ordering: ClassVar[Any] = ("-pk",)


@admin.register(Passkey)
class PasskeyAdmin(OfUser):
    list_display = ("user", "added_at", "last_used_at")
    fields = ("user", "added_at", "last_used_at", "sign_count")
    actions = ["remove"]

    @confirmed("Remove", explains=LOST, asks=Reason)
    def remove(self, request: HttpRequest, rows: QuerySet[Passkey], reason: str) -> None:
        def act(row: Passkey) -> None:
            passkeys.remove(user=row.user, passkey_id=row.pk, now=timezone.now())

        self.each(request, rows, "Removed", act, note=reason)


@admin.register(AuthenticatorApp)
class AuthenticatorAppAdmin(OfUser):
    list_display = ("user", "added_at")
    fields = ("user", "added_at")
    actions = ["remove"]

    @confirmed("Remove", explains=LOST, asks=Reason)
    def remove(self, request: HttpRequest, rows: QuerySet[AuthenticatorApp], reason: str) -> None:
        def act(row: AuthenticatorApp) -> None:
            second_step.remove_app(user=row.user, now=timezone.now())

        self.each(request, rows, "Removed", act, note=reason)


@admin.register(RecoveryCode)
class RecoveryCodeAdmin(OfUser):
    list_display = ("user", "used_at")
    fields = ("user", "used_at")


@admin.register(BrowserSession)
class BrowserSessionAdmin(OfUser):
    list_display = ("user", "user_agent", "address", "began_at", "seen_at")
    fields = ("user", "user_agent", "address", "began_at", "seen_at")
    actions = ["end"]

    @confirmed("End", explains="The browser is logged out at once.", asks=Reason)
    def end(self, request: HttpRequest, rows: QuerySet[BrowserSession], reason: str) -> None:
        def act(row: BrowserSession) -> None:
            sessions.end(user=row.user, session_id=row.pk)

        self.each(request, rows, "Ended", act, note=reason)


@admin.register(AccountDeletion)
class AccountDeletionAdmin(JobRowAdmin):
    """What a customer asked for; `delete_customer` does the same for an operator."""

    list_display = ("customer", "asked_at", "done_at")
    list_select_related = ("customer__user",)
    ordering = ("-pk",)
