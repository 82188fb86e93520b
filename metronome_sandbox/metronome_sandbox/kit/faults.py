"""Failures on demand: of the API's answers and of the webhooks."""

import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

API_KINDS = ("status", "timeout_before", "timeout_after", "error_after", "delay")
WEBHOOK_KINDS = ("drop", "duplicate", "reorder", "delay", "bad_signature", "stale")


@dataclass
class Fault:
    """A rule for what goes wrong.

    `match` is a path prefix, "*" for every call, or "webhook". `times` is how often it still
    happens (None: for ever), `every` makes it happen at each n-th matching occasion only."""

    match: str
    kind: str
    id: int = 0
    status: int = 500
    times: int | None = 1
    every: int | None = None
    seconds: float = 30.0
    body: Any = None
    seen: int = 0
    happened: int = 0

    def matches(self, subject: str) -> bool:
        if subject == "webhook" or self.match == "webhook":
            return self.match == subject
        return self.match == "*" or subject.startswith(self.match)


class Faults:
    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()
        self._next_id = 1

    def add(self, match: str, kind: str, **options: Any) -> Fault:
        """Raises ValueError for a kind that does not exist for what is matched,
        or an unknown or wrong option."""
        kinds = WEBHOOK_KINDS if match == "webhook" else API_KINDS
        if kind not in kinds:
            raise ValueError(f"kind must be one of {', '.join(kinds)}")
        unknown = set(options) - {"status", "times", "every", "seconds", "body"}
        if unknown:
            raise ValueError(f"unknown option {', '.join(sorted(unknown))}")
        for name in ("status", "times", "every"):
            value = options.get(name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or value < 1
            ):
                raise ValueError(f"{name} must be a whole number of at least 1")
        if "seconds" in options:
            options["seconds"] = float(options["seconds"])
        with self._lock:
            fault = Fault(match=match, kind=kind, id=self._next_id, **options)
            self._next_id += 1
            self._rules.append(fault)
        return fault

    def take(self, subject: str, kinds: Iterable[str]) -> Fault | None:
        """The first rule that strikes now, counted as having happened."""
        with self._lock:
            for fault in self._rules:
                if fault.kind not in kinds or not fault.matches(subject):
                    continue
                fault.seen += 1
                if fault.every and fault.seen % fault.every:
                    continue
                fault.happened += 1
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._rules.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def show(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._rules]
