"""`metronome-sandbox`: serve the sandbox over HTTP."""

import argparse
import sys
from datetime import UTC, datetime

from metronome_sandbox import DEFAULT_CREDIT_TYPE_ID, Sandbox, __version__
from metronome_sandbox.kit.server import add_destinations, destinations, serve

REALISTIC_SECONDS = 180.0


def moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no moment; write it like 2026-03-10T09:00:00Z"
        raise argparse.ArgumentTypeError(message) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="metronome-sandbox", description="Metronome's API, emulated."
    )
    add = parser.add_argument
    add("--version", action="version", version=f"metronome-sandbox {__version__}")
    add("--host", default="localhost")
    add("--port", type=int, default=8100)
    add("--api-key", default="sandbox", help="the bearer token clients must send")
    add_destinations(parser, "notifications")
    add(
        "--now",
        type=moment,
        metavar="TIME",
        help="begin at this time; the clock stands until it is moved",
    )
    add(
        "--evaluate-every",
        type=float,
        metavar="SECONDS",
        help="evaluate thresholds and alerts this long after usage: 1, with --now at once",
    )
    add("--realistic", action="store_true", help="evaluate every 180 seconds, as Metronome does")
    add(
        "--latency",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="until usage shows in balances",
    )
    add("--state", metavar="FILE", help="keep everything in this SQLite file")
    add(
        "--strict",
        action="store_true",
        help="refuse unknown fields, and those that are not implemented",
    )
    add("--unit", default="Credits", metavar="NAME", help="name of the first pricing unit")
    add("--credit-type-id", default=DEFAULT_CREDIT_TYPE_ID, help="its id")
    add("--page-text", default="", metavar="TEXT", help="a sentence for its start page")
    options = parser.parse_args(argv)
    if options.evaluate_every is None:
        options.evaluate_every = 1.0 if options.now is None else 0.0
    options.webhooks = destinations(parser, options)
    return options


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    sandbox = Sandbox(
        api_key=options.api_key,
        credit_type_id=options.credit_type_id,
        unit=options.unit,
        page_text=options.page_text,
        now=options.now,
        webhooks=options.webhooks,
        evaluate_every_seconds=REALISTIC_SECONDS if options.realistic else options.evaluate_every,
        latency_seconds=options.latency,
        state_path=options.state,
        strict=options.strict,
    )
    return serve(sandbox, "Metronome sandbox", options.host, options.port)


if __name__ == "__main__":
    sys.exit(main())
