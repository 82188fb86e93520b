"""What each call can be sent: the types that Metronome publishes, and those it has none for.

`parameters.json` holds the published ones, made of the official SDK by
`python -m metronome_sandbox.tests.write_parameters`, so that no SDK need be there, and any may.
"""

import json
from pathlib import Path
from typing import Any

from metronome_sandbox.shapes import Shape

PUBLISHED: dict[str, Any] = json.loads(
    Path(__file__).with_name("parameters.json").read_text(encoding="utf-8")
)["types"]


class Types:
    """The published types of one module of the SDK, by the names they have there."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Shape:
        try:
            return Shape(PUBLISHED[f"{self._module}.{name}"])
        except KeyError:
            raise AttributeError(f"Metronome publishes no {self._module}.{name}") from None


v1 = Types("v1")
contract_types = Types("v1.contracts")
customer_types = Types("v1.customers")
rate_types = Types("v1.contracts.rate_cards")
v2 = Types("v2")
notification_types = Types("v2.notifications")

TEXT = {"type": "string"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    fields = {**required, **(optional or {})}
    return {"type": "object", "properties": fields, "required": list(required)}


CommitArchive = Shape(_object({"customer_id": TEXT, "commit_id": TEXT}))
CreditArchive = Shape(_object({"customer_id": TEXT, "credit_id": TEXT}))
# With an id an offset notification, without one a system notification.
NotificationEdit = Shape(
    _object(
        {"policy": _object({"type": TEXT}, {"offset": TEXT})},
        {
            "id": {"anyOf": [TEXT, {"type": "null"}]},
            "name": TEXT,
            "is_enabled": {"type": "boolean"},
        },
    )
)
Release = Shape(_object({"workflow_id": TEXT, "outcome": {"enum": ["paid", "failed"]}}))
# The SDK lets any object be its body.
RateCardList = Shape(_object({}, {"limit": {"type": "integer"}, "next_page": TEXT, "body": {}}))
Nothing = Shape(_object({}))
