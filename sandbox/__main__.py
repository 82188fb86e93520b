"""`python -m sandbox`: serve the sandbox over HTTP."""

import argparse
import sys

from sandbox import DEFAULT_CREDIT_TYPE_ID, Sandbox
from sandbox_kit.server import serve

REALISTIC_SECONDS = 180.0


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
    sandbox = Sandbox(
        api_key=options.api_key,
        credit_type_id=options.credit_type_id,
        webhooks=list(zip(options.webhook_url, options.webhook_secret, strict=True)),
        evaluate_every_seconds=REALISTIC_SECONDS if options.realistic else options.evaluate_every,
        latency_seconds=options.latency,
        state_path=options.state,
        strict=options.strict,
    )
    return serve(sandbox, "Metronome sandbox", options.host, options.port)


if __name__ == "__main__":
    sys.exit(main())
