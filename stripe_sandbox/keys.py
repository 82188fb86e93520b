"""API keys: secret ones that may do everything, restricted ones that may do what they list."""

import re
from dataclasses import dataclass, field

from stripe_sandbox.wire import ApiError

RESOURCES = (
    "charge",
    "checkout_session",
    "customer",
    "customer_portal",
    "dispute",
    "event",
    "payment_intent",
    "payment_method",
    "radar",
    "refund",
    "setup_intent",
    "tax_calculation",
)
LEVELS = ("none", "read", "write")
_SHAPE = re.compile(r"(sk|rk)_(test|live)_\w+")


@dataclass
class Key:
    """`rights` is None for a key that may do everything."""

    secret: str
    rights: dict[str, str] | None = None

    @property
    def livemode(self) -> bool:
        return self.secret.split("_")[1] == "live"

    @property
    def hidden(self) -> str:
        """As error messages show it."""
        prefix, mode, rest = self.secret.split("_", 2)
        return f"{prefix}_{mode}_{'*' * max(len(rest) - 4, 4)}{rest[-4:]}"

    def may(self, resource: str, level: str) -> bool:
        if self.rights is None:
            return True
        return LEVELS.index(self.rights.get(resource, "none")) >= LEVELS.index(level)


@dataclass
class Keyring:
    keys: dict[str, Key] = field(default_factory=dict)

    def add(self, secret: str, rights: dict[str, str] | None = None) -> Key:
        """Raises ValueError for a secret or a right that is none.

        A right may be for `*`, all resources not named."""
        if not _SHAPE.fullmatch(secret):
            raise ValueError(
                f"a key is sk_test_…, rk_test_…, sk_live_… or rk_live_…, not {secret!r}"
            )
        if rights is not None:
            rights = dict(rights)
            rest = rights.pop("*", None)
            if rest is not None:
                rights = dict.fromkeys(RESOURCES, rest) | rights
            for resource, level in rights.items():
                if resource not in RESOURCES:
                    raise ValueError(f"a right is for one of {', '.join(RESOURCES)}")
                if level not in LEVELS:
                    raise ValueError(f"a right is one of {', '.join(LEVELS)}")
        self.keys[secret] = Key(secret, rights)
        return self.keys[secret]

    def find(self, authorization: str) -> Key:
        """Raises ApiError 401."""
        scheme, _, secret = authorization.partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise ApiError(
                401,
                "You did not provide an API key. You need to provide your API key in the "
                "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                "YOUR_SECRET_KEY').",
            )
        key = self.keys.get(secret)
        if key is None:
            shown = Key(secret).hidden if _SHAPE.fullmatch(secret) else f"{secret[:3]}****"
            raise ApiError(401, f"Invalid API Key provided: {shown}")
        return key


def check_right(key: Key, resource: str, level: str) -> None:
    """Raises ApiError 403."""
    if not key.may(resource, level):
        right = f"rak_{resource}_{level}"
        raise ApiError(
            403,
            f"The provided key '{key.hidden}' does not have the required permissions for this "
            f"endpoint. Having the '{right}' permission would allow this request to continue.",
        )
