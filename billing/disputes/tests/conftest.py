from __future__ import annotations

from billing.tests import bank as banks

bank, ungranted = banks.bank, banks.ungranted  # the fixtures
