"""`make bench`: every benchmark in a process of its own, one JSON object.
`make bench ARGS="gate studio"` runs some."""

from __future__ import annotations

import json
import subprocess
import sys

BENCHMARKS = (
    "gate",
    "studio",
    "reporter",
    "streams",
    "overshoot",
    "million",
    "webhooks",
    "idle",
    "voices",
    "api",
)


def main() -> int:
    figures: dict[str, object] = {}
    for name in sys.argv[1:] or BENCHMARKS:
        run = subprocess.run(
            [sys.executable, "-m", f"bench.{name}"], stdout=subprocess.PIPE, text=True
        )
        if run.returncode:
            return run.returncode
        figures |= json.loads(run.stdout)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
