from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.worker import Worker, all_jobs


class Command(BaseCommand):
    help = "Do all outside work: Metronome, payments, mail, expiry. Run as many as you like; SIGTERM stops it cleanly."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="drain what is due now, then exit")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        worker = Worker(all_jobs())
        if once:
            self.stdout.write(f"{worker.drain()} rows worked on")
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        worker.run()
