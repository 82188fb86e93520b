"""What a worker costs that has nothing to do: its share of a core, and its queries a pass.
On both databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

from bench import setup

SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
PASSES = 30


def cpu_percent() -> float:
    """Of one core, by a worker of its own once it has started up."""
    from django.db import connection

    from jobs.models import Heartbeat

    variables = os.environ | {
        "DJANGO_SETTINGS_MODULE": "bench.settings",
        "DATABASE_URL": setup.url(connection.settings_dict),
    }
    command = [sys.executable, "manage.py", "run_worker"]
    process = subprocess.Popen(command, env=variables | setup.ACCEPTED, stderr=subprocess.DEVNULL)
    try:
        while not Heartbeat.objects.exists():
            assert process.poll() is None, "the worker did not start"
            time.sleep(0.1)
        time.sleep(3)
        began = setup.cpu_seconds(process.pid)
        time.sleep(SECONDS)
        return (setup.cpu_seconds(process.pid) - began) / SECONDS * 100
    finally:
        process.terminate()
        process.wait(20)


def queries_a_pass() -> float:
    from django.db import connection

    from jobs.worker import Worker, all_jobs

    worker, queries = Worker(all_jobs()), 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal queries
        queries += 1
        return execute(*arguments)

    worker.run_pass()
    with connection.execute_wrapper(count):
        for _ in range(PASSES):
            assert worker.run_pass() == 0
    return queries / PASSES


def main(url: str) -> dict[str, float]:
    remove = setup.django(url)
    try:
        return {
            "cpu_percent": round(cpu_percent(), 2),
            "queries_a_pass": round(queries_a_pass(), 2),
        }
    finally:
        remove()


def both_databases() -> dict[str, Any]:
    """Django is set up once a process, so each database has its own."""
    urls = {
        "SQLite": "",
        "PostgreSQL": os.environ.get(
            "BENCH_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/vocalis_bench"
        ),
    }
    found = {}
    for name, url in urls.items():
        child = subprocess.run(
            [sys.executable, "-m", "bench.idle", url], stdout=subprocess.PIPE, text=True, check=True
        )
        found[name] = json.loads(child.stdout)
    return found


if __name__ == "__main__":
    figures = main(sys.argv[1]) if len(sys.argv) > 1 else {"idle": both_databases()}
    print(json.dumps(figures, indent=2))
