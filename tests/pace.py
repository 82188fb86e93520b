"""What shortens a run of all tests: in which order they come, and when Python looks for cycles."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

# Ten thousand tests and all modules are millions of objects, which stay to the end. Going through
# them again and again took a seventh of the time to collect the tests.
gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with those that ask for more time than others, else as pytest-randomly has shuffled.

    Begun last, one of them would be all that a worker has to do when the others have ended.
    """
    shares = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = long_ones_first(items, lambda item: bool(item.get_closest_marker("timeout")), shares)


def long_ones_first(items: list[T], is_long: Callable[[T], bool], shares: int) -> list[T]:
    """The items in an order of which every share, as pytest-xdist gives each worker one to begin
    with, has as many long ones as the others, and has them first."""
    long = [item for item in items if is_long(item)]
    short = [item for item in items if not is_long(item)]
    ordered: list[T] = []
    for left in range(shares, 0, -1):
        size, number = (len(long) + len(short)) // left, len(long) // left
        ordered += long[:number] + short[: size - number]
        del long[:number], short[: size - number]
    return ordered


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
