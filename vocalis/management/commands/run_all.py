"""Runs the Procfile's processes on this machine, for `make run`."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from honcho.environ import parse_procfile
from honcho.manager import SIGNALS

from billing.metronome.network import is_local
from jobs import overview, worker
from vocalis.supervisor import Supervisor

READY_SECONDS = 60
PROBE_SECONDS = 5
SANDBOXES = {"sandbox": "SANDBOX_PORT", "stripe-sandbox": "STRIPE_SANDBOX_PORT"}
STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Command(BaseCommand):
    help = (
        "Set up this machine's database and run the sandboxes, "
        "worker and web until Ctrl-C (make run)."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        processes = with_workers(
            parse_procfile((settings.BASE_DIR / "Procfile").read_text()).processes
        )
        for name in SANDBOXES.keys() - own_sandboxes():
            del processes[name]
        for name, variable in ({"web": "PORT"} | SANDBOXES).items():
            port = getattr(settings, variable)
            if name in processes and port_is_taken(port):
                raise CommandError(
                    f"Port {port} is in use, and {name} needs it. "
                    f"Stop what runs there, or choose another {variable}."
                )
        call_command("migrate", verbosity=0)

        manager = Supervisor()
        for name, command in processes.items():
            manager.add_process(name, command, env=environment())
        # Closing the terminal must stop the processes as Ctrl-C does. honcho handles only SIGINT
        # and SIGTERM.
        SIGNALS.setdefault(signal.SIGHUP, {"name": "SIGHUP", "rc": 129})
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
        threading.Thread(target=self.announce, args=[manager], daemon=True).start()
        manager.loop()
        if name := manager.given_up:
            raise CommandError(
                f"The {name} process kept ending right after its start, so the others were "
                "stopped; its last lines above say why."
            )
        if manager.returncode not in {SIGNALS[number]["rc"] for number in STOP_SIGNALS}:
            raise CommandError("Not everything could be set up; the lines above say why.")

    def announce(self, manager: Supervisor) -> None:
        """Fill the sandbox's catalogue, wait until the site answers, and print its address."""
        if "sandbox" in own_sandboxes():
            try:
                call_command("bootstrap_metronome", wait=READY_SECONDS, verbosity=0)
            except (CommandError, SystemExit) as error:
                self.stderr.write(f"The sandbox could not be set up: {error}")
                manager.terminate()
                return
        if not wait_for(site_answers) or not wait_for(
            lambda: not overview.unserved_queues(timezone.now())
        ):
            self.stderr.write(
                f"Not everything came up within {READY_SECONDS} seconds; "
                "the lines above may say why."
            )
            return
        ours = own_sandboxes()
        lines = [
            f"Vocalis is ready:  http://localhost:{settings.PORT}",
            f"{'Metronome sandbox:' if 'sandbox' in ours else 'Metronome:        '} "
            f"{settings.METRONOME_API_URL}",
            f"{'Stripe sandbox:   ' if 'stripe-sandbox' in ours else 'Stripe:           '} "
            f"{settings.STRIPE_API_URL}",
        ]
        self.stdout.write("\n" + "\n".join([*lines, "Ctrl-C stops everything."]) + "\n\n")
        self.stdout.flush()


def with_workers(processes: Mapping[str, str]) -> dict[str, str]:
    """The Procfile's processes, plus a worker for each queue other than the default one."""
    others = [queue for queue in worker.queues() if queue != worker.DEFAULT_QUEUE]
    return dict(processes) | {
        f"worker-{queue}": f"{processes['worker']} --queue {queue}" for queue in others
    }


def environment() -> dict[str, str]:
    """The environment of the processes: the Procfile's variables as the settings parsed them."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "WEB_BIND": settings.WEB_BIND,
        "PORT": str(settings.PORT),
        "SANDBOX_PORT": str(settings.SANDBOX_PORT),
        "METRONOME_WEBHOOK_SECRET": ",".join(settings.METRONOME_WEBHOOK_SECRETS),
        "STRIPE_SANDBOX_PORT": str(settings.STRIPE_SANDBOX_PORT),
        "STRIPE_SECRET_KEY": settings.STRIPE_SECRET_KEY,
        "STRIPE_WEBHOOK_SECRET": ",".join(settings.STRIPE_WEBHOOK_SECRETS),
    }


def own_sandboxes() -> set[str]:
    """The processes of the sandboxes that the settings point at: this command starts them."""
    urls = {"sandbox": settings.METRONOME_API_URL, "stripe-sandbox": settings.STRIPE_API_URL}
    return {
        name
        for name, url in urls.items()
        if is_local(url) and urlsplit(url).port == getattr(settings, SANDBOXES[name])
    }


def port_is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def wait_for(is_there: Callable[[], bool]) -> bool:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if is_there():
            return True
        time.sleep(0.2)
    return False


def site_answers() -> bool:
    """Whether the site responds at all, with any status. Ignores proxies of the environment."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.PORT, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/health")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
