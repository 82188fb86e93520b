"""What the sandbox remembers."""

from dataclasses import dataclass, field
from typing import Any

from metronome_sandbox.kit.records import Delivery, Due, Record, Reply, Switch

__all__ = ["Delivery", "Due", "Reply", "Resource", "Switch"]


@dataclass(kw_only=True)
class Resource(Record):
    """One object of the API: its body as answers show it, and what only the sandbox knows."""

    body: dict[str, Any]
    hidden: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.body[name]

    @property
    def object(self) -> str:
        return str(self.body["object"])
