"""Three hundred seeded runs of the whole money path, in batches that pytest-xdist can spread."""

import pytest

from .world import simulate

BATCH = 10


@pytest.mark.timeout(900)  # ten runs, on a busy machine; cut off in the middle of a query they would drag others down
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", range(0, 300, BATCH))
def test_money_never_lies(first):
    for seed in range(first, first + BATCH):
        simulate(seed)
