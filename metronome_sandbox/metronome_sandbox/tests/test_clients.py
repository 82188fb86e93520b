"""The official SDKs for Python, from the first to the newest, and the one for TypeScript sell
prepaid credits here, under `--strict`. They come from the package index."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from .served import node, npm_installed, pip, run, serving  # noqa: F401

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

STORIES = Path(__file__).parent / "stories"
# 2,250 words at 2 credits of 5,000; a recharge to 6,000 in cents; after 40 days the commit of
# 5,000 is over and what was recharged is not.
SEEN = {
    "after_usage": 500,
    "invoice_total_cents": 5500,
    "after_recharge": 6000,
    "after_40_days": 5500,
    "commits": 2,
    "invoices": ["SCHEDULED FINALIZED", "USAGE DRAFT", "USAGE FINALIZED"],
}


@pytest.fixture
def address(tmp_path):
    with serving(tmp_path / "sandbox.log", "--strict", "--now", "2026-03-10T09:00:00Z") as client:
        yield str(client.base_url)


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0", "3.2.0", "4.0.0", "4.12.0"])
def test_python(version, address, tmp_path):
    """Each in a folder of its own, before what else is installed; what it needs is there."""
    pip("install", "--no-deps", "--target", str(tmp_path / "sdk"), f"metronome-sdk=={version}")

    told = run(
        [sys.executable, str(STORIES / "story.py"), address],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "sdk")},
    )

    assert json.loads(told) == {"version": version, **SEEN}


def test_typescript(address, npm_installed):  # noqa: F811
    shutil.copy(STORIES / "story.mts", npm_installed)

    assert json.loads(node(npm_installed / "story.mts", address)) == SEEN
