"""`make simulate SEED=7` replays one run and tells its story; `make simulate SEEDS=20000` runs many, on all cores."""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
import traceback

from bench import setup


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many to run, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.seed is not None:
        options.first, options.seeds, options.processes = options.seed, 1, 1
    if options.processes > 1:
        return in_parallel(options)
    remove = setup.django(
        os.environ.get("TEST_DATABASE_URL", ""),
        LOG_LEVEL="WARNING",
        EMAIL_URL="dummymail://",
        ALLOWED_HOSTS="testserver",
        SECURE_SSL_REDIRECT="off",
    )
    logging.disable(logging.CRITICAL if options.seed is None else logging.NOTSET)
    try:
        return run(options.first, options.seeds, tell=options.seed is not None)
    finally:
        remove()


def in_parallel(options: argparse.Namespace) -> int:
    """One process a core, each with its share of the seeds and a database of its own."""
    share = -(-options.seeds // options.processes)
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.simulation", "--first", str(first), "--processes", "1"]
            + ["--seeds", str(min(share, options.first + options.seeds - first))],
            env=os.environ | _database(first),
        )
        for first in range(options.first, options.first + options.seeds, share)
    ]
    return max(abs(child.wait()) for child in children)  # negative if it was killed


def _database(number: int) -> dict[str, str]:
    url = os.environ.get("TEST_DATABASE_URL")
    return {"TEST_DATABASE_URL": f"{url}_{number}"} if url else {}


def run(first: int, seeds: int, *, tell: bool) -> int:
    from .world import simulate

    started, deaths = time.perf_counter(), 0
    for seed in range(first, first + seeds):
        try:
            world = simulate(seed)
        except BaseException:
            traceback.print_exc()
            sys.stderr.write(f"seed {seed} failed: make simulate SEED={seed}\n")
            return 1
        deaths += world.chaos.deaths
        if tell:
            sys.stdout.write("\n".join(world.log) + "\n")
    seconds = time.perf_counter() - started
    sys.stdout.write(f"seeds {first} to {first + seeds - 1}: all invariants held, {deaths} deaths, {seconds:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
