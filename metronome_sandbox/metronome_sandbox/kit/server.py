"""Serves a sandbox over HTTP until it is told to stop."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any, Protocol

import waitress

logger = logging.getLogger("sandbox")

TICK_SECONDS = 0.1
THREADS = 16


class Served(Protocol):
    @property
    def wsgi(self) -> Any: ...

    def tick(self) -> None: ...

    def close(self) -> None: ...


def add_destinations(parser: argparse.ArgumentParser, what: str, secrets: str = "") -> None:
    """The arguments `--webhook-url` and `--webhook-secret`."""
    parser.add_argument(
        "--webhook-url", action="append", default=[], help=f"where {what} go; repeatable"
    )
    parser.add_argument(
        "--webhook-secret",
        action="append",
        default=[],
        help=f"the secret of each --webhook-url in the same order, or one for all{secrets}",
    )


def destinations(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> list[tuple[str, str]]:
    """Ends the process with an error if the secrets do not fit the addresses."""
    urls, secrets = options.webhook_url, options.webhook_secret
    if len(secrets) == 1:
        secrets = secrets * len(urls)
    if urls and len(secrets) != len(urls):
        parser.error("give one --webhook-secret for all, or one for each --webhook-url")
    return list(zip(urls, secrets, strict=True)) if urls else []


def serve(sandbox: Served, name: str, host: str, port: int) -> int:
    """Returns 2 if the port is taken; otherwise serves and ends the process."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("waitress").setLevel(logging.ERROR)
    try:
        sockets = _listen(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        sys.stderr.write(f"The sandbox cannot listen on {host}:{port}: {reason}.\n")
        return 2
    server = waitress.create_server(sandbox.wsgi, sockets=sockets, threads=THREADS, ident=name)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    threading.Thread(target=_tick_forever, args=(sandbox,), name="tick", daemon=True).start()
    logger.info("%s on http://%s:%s", name, host, port)
    try:
        server.run()
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        sandbox.close()
    # Threads may still wait for a slow receiver or hold back an answer; nothing they know is lost.
    sys.stdout.flush()
    os._exit(0)


def _listen(host: str, port: int) -> list[socket.socket]:
    """One socket for each address of the host, so that `localhost` answers on IPv4 and IPv6."""
    sockets = []
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        if family not in (socket.AF_INET, socket.AF_INET6):
            continue
        try:
            one = socket.socket(family, kind, protocol)
        except OSError:
            continue  # a machine without IPv6
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            one.bind(address)
        except OSError as error:
            one.close()
            if family == socket.AF_INET6 and "assign" in str(error):
                continue
            raise
        sockets.append(one)
    return sockets


def _stop(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _tick_forever(sandbox: Served) -> None:
    pause = threading.Event()
    while not pause.wait(TICK_SECONDS):
        try:
            sandbox.tick()
        except Exception:  # a process loop must outlive one bad turn
            logger.exception("a tick failed")
