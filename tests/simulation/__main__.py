"""`make simulate SEED=7` replays one run and tells its story; `SEEDS=20000` runs many, on all
cores; `FRESH=500` runs that many nobody has tried: the clock chooses where they begin."""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
import traceback

from bench import setup

PROGRESS_SEEDS = 100  # after how many a process says how far it is


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many to run, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument(
        "--fresh", type=int, help="how many to run, from a seed that the clock chooses"
    )
    parser.add_argument("--step", type=int, default=1, help="run each n-th only")
    parser.add_argument("--world", choices=["plain", "taxed", "gated"], default="plain")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.seed is not None:
        options.first, options.seeds, options.processes = options.seed, 1, 1
    elif options.fresh is not None:
        options.first, options.seeds = int(time.time()), options.fresh
        sys.stdout.write(f"seeds {options.first} to {options.first + options.seeds - 1}\n")
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
        return run(
            range(options.first, options.first + options.seeds, options.step),
            world=options.world,
            tell=options.seed is not None,
        )
    finally:
        remove()


def in_parallel(options: argparse.Namespace) -> int:
    """One process a core, each with every n-th of the seeds and a database of its own."""
    children = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.simulation",
                "--processes",
                "1",
                "--step",
                str(options.processes),
            ]
            + ["--first", str(options.first + number), "--seeds", str(options.seeds - number)]
            + ["--world", options.world],
            env=os.environ | _database(number),
        )
        for number in range(min(options.processes, options.seeds))
    ]
    return max(abs(child.wait()) for child in children)  # negative if it was killed


def _database(number: int) -> dict[str, str]:
    url = os.environ.get("TEST_DATABASE_URL")
    return {"TEST_DATABASE_URL": f"{url}_{number}"} if url else {}


def run(seeds: range, *, world: str, tell: bool) -> int:
    """Run them all, also after one has failed: it tells its story and is named at the end."""
    from .gated import GatedWorld
    from .taxed import TaxedWorld
    from .world import World, simulate

    kind = {"plain": World, "taxed": TaxedWorld, "gated": GatedWorld}[world]

    started, deaths, failed = time.perf_counter(), 0, []
    for number, seed in enumerate(seeds, start=1):
        try:
            ran = simulate(seed, kind)
        except KeyboardInterrupt:
            raise
        except BaseException:
            traceback.print_exc()
            failed.append(seed)
        else:
            deaths += ran.chaos.deaths
            if tell:
                sys.stdout.write("\n".join(ran.log) + "\n")
        if number % PROGRESS_SEEDS == 0 or number == len(seeds):
            minutes = (time.perf_counter() - started) / 60
            held = f"failed: {failed}" if failed else "all invariants held"
            sys.stdout.write(
                f"{number} of {len(seeds)} seeds, to {seed}: {held}, {deaths} deaths, "
                f"{number / minutes:.0f} seeds a minute\n"
            )
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
