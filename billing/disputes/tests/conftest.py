from __future__ import annotations

from billing.tests import bank as banks

bank = banks.bank  # the fixture
