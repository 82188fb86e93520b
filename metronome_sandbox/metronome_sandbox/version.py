"""Of this package: in every answer, on the command line, and in pyproject.toml."""

VERSION = "0.1.0"
