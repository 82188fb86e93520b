"""Which addresses lead to the same mailbox, and which lead to none.

What is stored and logged in with is `typed.email`; this is for what one mailbox gets once.
"""

from __future__ import annotations

import idna
from django.conf import settings
from django.core.exceptions import ValidationError

from . import typed

LOCAL_PART_CHARACTERS_MAX = 64  # RFC 5321, 4.5.3.1.1

# Names under which one provider delivers to the same mailboxes.
SAME_DOMAIN = {
    "googlemail.com": "gmail.com",
    "mac.com": "icloud.com",
    "me.com": "icloud.com",
    "pm.me": "proton.me",
    "protonmail.com": "proton.me",
    "protonmail.ch": "proton.me",
    "ya.ru": "yandex.ru",
    "yandex.by": "yandex.ru",
    "yandex.com": "yandex.ru",
    "yandex.kz": "yandex.ru",
}
# What these providers ignore in the part before the @.
IGNORED = {"gmail.com": ".", "proton.me": ".-_"}

UNREACHABLE = "Mail cannot reach this address. Enter another one."


def of(email: str) -> str:
    """One text for all addresses of a mailbox: without sub-address, ignored dots and aliases.

    Some servers do not know sub-addresses after a plus. There, two mailboxes look like one here.
    """
    local, _, domain = typed.email(email).rpartition("@")
    domain = _ascii(domain)
    domain = SAME_DOMAIN.get(domain, domain)
    base = local.partition("+")[0] or local
    kept = "".join(one for one in base if one not in IGNORED.get(domain, ""))
    return f"{kept or base}@{domain}"


def check_reachable(email: str) -> None:
    """A validator of fields, for addresses in the form of `typed.email`. Raises ValidationError."""
    local, _, domain = email.rpartition("@")
    is_far = "." in domain or (settings.DEBUG and domain == "localhost")
    if (
        not is_far
        or domain.startswith("[")
        or local.startswith('"')
        or len(local) > LOCAL_PART_CHARACTERS_MAX
        or not _is_domain(domain)
    ):
        raise ValidationError(UNREACHABLE, code="unreachable")


def _is_domain(domain: str) -> bool:
    try:
        idna.encode(domain, uts46=True)
    except (idna.IDNAError, UnicodeError):
        return False
    return True


def _ascii(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return domain
