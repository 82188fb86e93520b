from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.worker import DEFAULT_QUEUE, UnknownQueue, Worker, jobs_on


class Command(BaseCommand):
    help = (
        "Run the jobs of a queue: calls to Metronome and the payment provider, mail, expiry."
        " Start as many workers as you like; SIGTERM stops one cleanly."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="run what is due now, then exit")
        parser.add_argument(
            "--queue",
            action="append",
            metavar="NAME",
            help=f"whose jobs to run, '{DEFAULT_QUEUE}' by default; may be given several times",
        )

    def handle(self, *args: Any, once: bool, queue: list[str] | None, **options: Any) -> None:
        try:
            worker = Worker(jobs_on(queue or [DEFAULT_QUEUE]))
        except UnknownQueue as error:
            raise CommandError(str(error)) from error
        if once:
            worker.prepare()
            self.stdout.write(f"{worker.drain()} rows worked on")
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        worker.run()
