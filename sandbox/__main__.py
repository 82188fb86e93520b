"""`python -m sandbox`: serve the sandbox over HTTP."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from types import FrameType

import waitress

from sandbox import DEFAULT_CREDIT_TYPE_ID, Sandbox

logger = logging.getLogger("sandbox")

TICK_SECONDS = 0.1
REALISTIC_SECONDS = 180.0
THREADS = 16


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="Metronome's API, emulated."
    )
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--api-key", default="sandbox", help="the bearer token clients must send")
    parser.add_argument(
        "--webhook-url", action="append", default=[], help="where notifications go; repeatable"
    )
    parser.add_argument(
        "--webhook-secret",
        action="append",
        default=[],
        help="the secret of each --webhook-url in the same order, or one for all",
    )
    parser.add_argument("--evaluate-every", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument(
        "--realistic", action="store_true", help="evaluate every 180 seconds, as Metronome does"
    )
    parser.add_argument(
        "--latency",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="until usage shows in balances",
    )
    parser.add_argument("--state", metavar="FILE", help="keep everything in this SQLite file")
    parser.add_argument(
        "--strict", action="store_true", help="refuse unknown fields instead of ignoring them"
    )
    parser.add_argument(
        "--credit-type-id", default=DEFAULT_CREDIT_TYPE_ID, help="id of the first pricing unit"
    )
    options = parser.parse_args(argv)
    if len(options.webhook_secret) == 1:
        options.webhook_secret *= len(options.webhook_url)
    if options.webhook_url and len(options.webhook_secret) != len(options.webhook_url):
        parser.error("give one --webhook-secret for all, or one for each --webhook-url")
    return options


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("waitress").setLevel(logging.ERROR)
    sandbox = Sandbox(
        api_key=options.api_key,
        credit_type_id=options.credit_type_id,
        webhooks=list(zip(options.webhook_url, options.webhook_secret, strict=True)),
        evaluate_every_seconds=REALISTIC_SECONDS if options.realistic else options.evaluate_every,
        latency_seconds=options.latency,
        state_path=options.state,
        strict=options.strict,
    )
    try:
        sockets = _listen(options.host, options.port)
    except OSError as error:
        reason = error.strerror or str(error)
        sys.stderr.write(f"The sandbox cannot listen on {options.host}:{options.port}: {reason}.\n")
        return 2
    server = waitress.create_server(
        sandbox.wsgi, sockets=sockets, threads=THREADS, ident="Metronome sandbox"
    )
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    threading.Thread(target=_tick_forever, args=(sandbox,), name="tick", daemon=True).start()
    logger.info("Metronome sandbox on http://%s:%s", options.host, options.port)
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


def _tick_forever(sandbox: Sandbox) -> None:
    pause = threading.Event()
    while not pause.wait(TICK_SECONDS):
        try:
            sandbox.tick()
        except Exception:  # a process loop must outlive one bad turn
            logger.exception("a tick failed")


if __name__ == "__main__":
    sys.exit(main())
