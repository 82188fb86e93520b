"""How variables of the environment are read."""

from __future__ import annotations

from typing import Any

import environ


class Env(environ.Env):
    def list(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET) -> Any:
        """Comma-separated. Blanks around an item are none of it, and nothing between two commas is no item."""
        return [item for each in super().list(var, cast, default) if (item := each.strip())]
