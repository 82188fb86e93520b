"""Users, and the customers that are billed for their usage."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from jobs.models import JobRow

from . import names, typed


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=typed.email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=typed.email(username or ""))


class User(AbstractUser):
    """A person, who logs in with the e-mail address. It is stored in lower case and is unique."""

    username = None  # type: ignore[assignment]
    first_name = models.CharField(  # required of customers only
        max_length=100, blank=True, validators=[names.check]
    )
    last_name = models.CharField(max_length=100, blank=True, validators=[names.check])
    email = models.EmailField(
        "e-mail address",
        unique=True,
        error_messages={"unique": "There is already an account for this e-mail address."},
    )
    email_confirmed_at = models.DateTimeField(
        "confirmed at",
        null=True,
        blank=True,
        help_text="When its owner confirmed it, by a link we had sent there.",
    )
    new_email = models.EmailField(
        "new e-mail address",
        blank=True,
        default="",
        help_text="Asked for; used once its owner has confirmed it.",
    )
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text="Name in the IANA database, for dates in mails. Empty: UTC.",
    )

    objects = UserManager()  # type: ignore[misc,assignment]

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["first_name", "last_name"]

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_lower_case"),
        ]

    def __str__(self) -> str:
        return self.email

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(raw_password if raw_password is None else typed.password(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        password = raw_password if raw_password is None else typed.password(raw_password)
        return super().check_password(password)  # type: ignore[arg-type]  # Django takes None


class Customer(JobRow):
    """The billing subject.

    The job on the row provisions it: it creates the Metronome customer and pushes its aliases.
    """

    due_within_seconds = 3_600  # a deleted customer is checked again an hour later

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(User, on_delete=models.PROTECT, related_name="customer")
    metronome_id = models.CharField(max_length=64, null=True, blank=True, unique=True)  # noqa: DJ001  NULL: not provisioned yet
    created_at = models.DateTimeField()

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return str(self.user)

    @property
    def stable_alias(self) -> str:
        """The ingest alias under which all our usage is reported.

        It is known before the customer exists at Metronome and never changes.
        """
        return stable_alias_of(self.id)


def stable_alias_of(customer_id: uuid.UUID) -> str:
    return f"vocalis_{customer_id}"


class IngestAlias(models.Model):
    """A name under which usage can be reported at Metronome.

    At Metronome too, a name belongs to one customer only.
    """

    class Kind(models.TextChoices):
        STABLE = "stable"
        EMAIL = "email"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="aliases")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=128, unique=True)
    pushed_at = models.DateTimeField(
        null=True, blank=True, help_text="When Metronome confirmed it."
    )
    conflict = models.TextField(
        blank=True, default="", help_text="Why Metronome refused it, if it did."
    )

    class Meta:
        verbose_name_plural = "ingest aliases"
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "kind"], name="ingestalias_one_of_each_kind"
            )
        ]

    def __str__(self) -> str:
        return self.name


class PasswordReset(JobRow):
    """A request to reset the password of an address, whether or not there is such an account.

    The job on the row writes the mail if there is one.
    """

    due_within_seconds = 0

    email = models.EmailField("e-mail address", unique=True)
    asked_at = models.DateTimeField()
    written_at = models.DateTimeField(
        null=True, blank=True, help_text="Its row among the mails says whether it went out."
    )

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"password reset of {self.email}"


class ApiKey(models.Model):
    """A program's way in to a customer's account; see `accounts.api_keys`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=60, blank=True)
    secret_sha256 = models.CharField("SHA-256 of the secret", max_length=64, unique=True)
    first_characters = models.CharField(max_length=8)
    last_characters = models.CharField(max_length=4)
    scopes = models.JSONField(default=list, help_text="What it may be used for.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    last_used_at = models.DateTimeField(
        null=True, blank=True, help_text="To the minute. Empty: never."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    # Of the program's request that made it; both empty without an Idempotency-Key.
    idempotency_sha256 = models.CharField(
        "SHA-256 of the idempotency key", max_length=64, blank=True, default=""
    )
    request_sha256 = models.CharField(
        "SHA-256 of the request", max_length=64, blank=True, default=""
    )

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "idempotency_sha256"],
                name="apikey_idempotency_unique",
                condition=~Q(idempotency_sha256=""),
            )
        ]

    def __str__(self) -> str:
        return f"{self.name or 'key'} ({self.shown})"

    @property
    def shown(self) -> str:
        """What may be seen of its secret."""
        return f"{self.first_characters}…{self.last_characters}"


class AuthenticatorApp(models.Model):
    """An app that shows codes, as a second step of the login; see `accounts.second_step`."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="authenticator_app")
    secret = models.TextField(help_text="Encrypted with SECRET_KEY.")
    last_step = models.BigIntegerField(
        help_text="The last step of 30 seconds whose code was used: no code is taken twice."
    )
    added_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"authenticator app of {self.user}"


class RecoveryCode(models.Model):
    """A code for the second step that is taken once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    code_sha256 = models.CharField("SHA-256 of the code", max_length=64)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "code_sha256"], name="recoverycode_unique_of_user"
            )
        ]

    def __str__(self) -> str:
        return f"recovery code of {self.user}"


class Passkey(models.Model):
    """A passkey: the public half of a key pair whose other half is on a device of the user."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="passkeys")
    name = models.CharField(max_length=60)
    credential_id = models.CharField(max_length=1_400, unique=True, help_text="In base64url.")
    public_key = models.BinaryField(help_text="AttestedCredentialData of WebAuthn.")
    sign_count = models.BigIntegerField(help_text="Of its last use; always 0 if it does not count.")
    added_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"passkey of {self.user}"


class BrowserSession(models.Model):
    """A browser that is logged in, beside the row of its session; see `accounts.sessions`."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="browser_sessions")
    session_key = models.CharField(max_length=40, unique=True)
    user_agent = models.CharField(max_length=300, blank=True, default="")
    address = models.CharField(max_length=45, help_text="As `accounts.throttle` counts it.")
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True, help_text="To some minutes.")

    def __str__(self) -> str:
        return f"session of {self.user}"


class AccountDeletion(JobRow):
    """A customer's own request to delete the account, which is closed already.

    The job on the row deletes the personal data (`vocalis.operations.deletion`).
    """

    due_within_seconds = 60

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, related_name="deletion")
    asked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta(JobRow.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"deletion of {self.customer_id}"
