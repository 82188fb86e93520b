"""The bodies of webhook endpoints and of what was sent to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Field, Schema

from notifications.addresses import URL_CHARACTERS_MAX
from notifications.kinds import KINDS

KIND: Any = {"items": {"type": "string", "enum": [*KINDS]}}
ROTATIONS_MAX = 2**31 - 2
URL = f"https, on the public internet, at most {URL_CHARACTERS_MAX} characters."


class WebhookIn(Schema):
    url: str = Field(description=URL)
    events: list[str] = Field(json_schema_extra=KIND)


class WebhookChange(Schema):
    """What is left out, or null, stays as it is."""

    url: str | None = Field(None, description=URL)
    events: list[str] | None = None
    enabled: bool | None = None


class Webhook(Schema):
    id: UUID
    url: str
    events: list[str] = Field(json_schema_extra=KIND)
    enabled: bool
    disabled_at: datetime | None
    disabled_because: str = Field(description="In words; empty while it is enabled.")
    rotations: int = Field(description="How often the secret was replaced.")
    former_secret_until: datetime | None = Field(
        description="Until when deliveries are signed with the former secret too."
    )
    created_at: datetime


class NewWebhook(Webhook):
    secret: str = Field(description="Shown this once.")


class Webhooks(Schema):
    object: Literal["list"] = "list"
    data: list[Webhook]
    has_more: bool


class DeletedWebhook(Schema):
    id: UUID
    deleted: Literal[True] = True


class Rotation(Schema):
    rotations: int | None = Field(
        None,
        ge=0,
        le=ROTATIONS_MAX,
        description="Of the endpoint as you know it: then sent twice it replaces one secret.",
    )


class Delivery(Schema):
    id: UUID
    message_id: str = Field(description="The `webhook-id` of every attempt.")
    type: str
    state: Literal["pending", "delivered", "failed", "cancelled"]
    body: dict[str, Any] = Field(description="What is sent, as JSON.")
    tries: int = Field(description="Since it was first sent, or sent again.")
    tried_at: datetime | None
    next_try_at: datetime | None
    status: int | None = Field(description="Of the latest answer.")
    answer: str = Field(description="How the latest answer begins.")
    failure: str = Field(description="Why it is not delivered, in words.")
    milliseconds: int | None = Field(description="How long the latest attempt took.")
    created_at: datetime


class Deliveries(Schema):
    object: Literal["list"] = "list"
    data: list[Delivery]
    has_more: bool
