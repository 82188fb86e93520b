"""`python -m stripe_sandbox`: serve the sandbox over HTTP."""

import argparse
import sys

from metronome_sandbox.kit.server import add_destinations, destinations, serve
from stripe_sandbox import DEFAULT_KEY, Sandbox
from stripe_sandbox.keys import Keyring


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stripe_sandbox", description="Stripe's API, emulated."
    )
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8110)
    parser.add_argument(
        "--api-key",
        action="append",
        default=[],
        metavar="KEY[=RIGHT:LEVEL,…]",
        help=f"a key clients may send, repeatable ({DEFAULT_KEY}); a restricted one lists its "
        "rights, as in rk_test_shop=customer:write,charge:read",
    )
    rotated = "; two, comma-separated, sign both while one is rotated"
    add_destinations(parser, "events", rotated)
    parser.add_argument(
        "--origin",
        default="",
        metavar="URL",
        help="the address of its pages for customers' browsers, if not the one clients call",
    )
    parser.add_argument("--state", metavar="FILE", help="keep everything in this SQLite file")
    options = parser.parse_args(argv)
    options.webhooks = destinations(parser, options)
    try:
        options.api_keys = dict(map(_key, options.api_key or [DEFAULT_KEY]))
    except ValueError as error:
        parser.error(f"--api-key: {error}")
    return options


def _key(text: str) -> tuple[str, dict[str, str] | None]:
    secret, is_restricted, listed = text.partition("=")
    pairs = [one.partition(":") for one in listed.split(",") if one]
    rights = {name: level or "write" for name, _, level in pairs} if is_restricted else None
    Keyring().add(secret, rights)
    return secret, rights


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    sandbox = Sandbox(
        api_keys=options.api_keys,
        webhooks=options.webhooks,
        origin=options.origin,
        state_path=options.state,
    )
    return serve(sandbox, "Stripe sandbox", options.host, options.port)


if __name__ == "__main__":
    sys.exit(main())
