"""How tests run an operations command."""

from __future__ import annotations

from io import StringIO
from typing import NamedTuple

from django.core.management import CommandError, call_command


class Ran(NamedTuple):
    code: int
    text: str


def run(command: str, *args: object) -> Ran:
    """Run it as from a shell, in a pipe. Returns exit code and everything it printed."""
    out = StringIO()
    try:
        call_command(command, *map(str, args), stdout=out, stderr=out)
    except CommandError as error:
        return Ran(error.returncode, out.getvalue() + str(error))
    return Ran(0, out.getvalue())
