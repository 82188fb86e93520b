"""The bodies of our own dialect, as they are read, written and documented."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import AwareDatetime


class SpeechIn(Schema):
    text: str = Field(description="1 to 5,000 characters (Unicode code points after NFC).")
    voice: str = Field("standard", description="Id of a voice; see GET /v1/voices.")
    format: str = Field("mp3", description="mp3, opus, aac, flac, wav, pcm, ulaw or alaw.")
    sample_rate: int | None = Field(None, description="In Hz. Without it, the usual one.")
    bit_rate: int | None = Field(None, description="In kbit/s, of mp3, opus and aac.")
    speed: float | None = Field(None, description="0.25 to 4; 1 is usual. The pitch is kept.")
    pause_seconds: float | None = Field(None, description="Pause after a paragraph, 0 to 5.")


class QuoteIn(Schema):
    text: str
    voice: str = "standard"


class Quote(Schema):
    voice: str
    characters: int
    credits: int
    credits_per_character: int
    available: int
    key_remaining: int | None = Field(description="What this key's budget leaves; null: no limit.")
    sufficient: bool


class Expiry(Schema):
    credits: int
    at: datetime


class AutoRecharge(Schema):
    enabled: bool
    threshold: int | None


class Balance(Schema):
    available: int = Field(description="What can be spent now.")
    balance: int
    reserved: int
    currency: Literal["credits"] = "credits"
    frozen: bool
    expires: list[Expiry]
    auto_recharge: AutoRecharge
    version: int = Field(description="Rises with each change of the wallet.")


class Entry(Schema):
    id: int = Field(description="The wallet's version after it: rises without end.")
    kind: str
    credits: int = Field(description="Signed.")
    balance_after: int
    generation: UUID | None
    key: UUID | None
    note: str
    created_at: datetime


class Entries(Schema):
    object: Literal["list"] = "list"
    data: list[Entry]
    has_more: bool


class UsageRow(Schema):
    start: datetime | None = None
    key: UUID | None = None
    voice: str | None = None
    characters: int
    credits: int
    requests: int


class Usage(Schema):
    data: list[UsageRow]


class Generation(Schema):
    id: UUID
    text: str
    voice: str
    voice_name: str
    characters: int
    delivered_characters: int
    credits: int
    state: Literal["pending", "done", "failed", "cancelled"]
    failure: str
    seconds: float | None = Field(description="Of audio.")
    key: UUID | None
    created_at: datetime
    audio_until: datetime | None


class Generations(Schema):
    object: Literal["list"] = "list"
    data: list[Generation]
    has_more: bool


class PaidBy(Schema):
    grant: str
    free: bool
    credits: int


class Receipt(Schema):
    characters: int
    credits: int
    credits_per_character: int
    balance_before: int
    balance_after: int
    paid_by: list[PaidBy]
    event_id: str = Field(description="Of the usage event at Metronome.")
    reported: bool = Field(description="Whether Metronome has acknowledged it.")
    reported_at: datetime | None
    credited_back: int = Field(description="Credits that came back for something that went wrong.")
    audio: Literal["kept", "deleted", "lost", "unreachable"]
    audio_sha256: str = Field(description="Of the stored FLAC file; empty if it is gone.")


class GenerationWithReceipt(Generation):
    receipt: Receipt | None


Period = Literal["none", "day", "week", "month"]


# Of keys a field that we do not know is refused: a misspelt budget would be none at all.
class BudgetIn(Schema, extra="forbid"):
    limit: int | None = Field(None, description="Credits; null: no limit.")
    period: Period = "none"


class BudgetChange(BudgetIn):
    """What is left out stays as it is."""


class Budget(Schema):
    limit: int | None = Field(description="Credits; null: no limit.")
    period: Period
    spent: int
    held: int
    remaining: int | None
    resets: datetime | None


class KeyIn(Schema, extra="forbid"):
    name: str
    scopes: list[str] = ["speech", "read"]
    budget: BudgetIn = BudgetIn(limit=None)
    expires_at: AwareDatetime | None = None


class Key(Schema):
    id: UUID
    name: str
    prefix: str
    last_four: str
    scopes: list[str]
    budget: Budget
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class RateLimit(Schema):
    requests_a_minute: int
    requests_at_once: int


class ThisKey(Key):
    rate_limit: RateLimit = Field(description="Of this key; all keys of the account: twice that.")


class NewKey(Key):
    secret: str = Field(description="Shown this once.")


class Keys(Schema):
    object: Literal["list"] = "list"
    data: list[Key]


class Voice(Schema):
    """In ElevenLabs' shape, with its price."""

    voice_id: str
    name: str
    category: Literal["premade", "cloned", "generated"] = Field(
        description="Of the house; made of a recording; tuned by ear."
    )
    description: str
    labels: dict[str, str]
    credits_per_character: int
    preview_url: str | None
    is_owner: bool
    created_at_unix: int | None
    samples: None = None
    available_for_tiers: list[str] = []
    settings: dict[str, Any]
    sharing: None = None
    high_quality_base_model_ids: list[str] = []
    is_legacy: bool = False
    is_mixed: bool = False


class Voices(Schema):
    voices: list[Voice]


class DeletedVoice(Schema):
    voice_id: str
    status: Literal["ok"] = "ok"
    deleted: bool = True


class ConsentTerms(Schema):
    sentence: str = Field(description="What the speaker agrees to.")
    sha256: str = Field(description="Of the sentence, in hex.")
    recorded_alone: str | None = Field(
        description="What has to be in a recorded consent; null: the sentence itself will do."
    )
    to_read: str = Field(description="What is read aloud in a recorded consent.")
    makes: Literal["copy", "nearest"] = Field(
        description="copy: of the speaker's voice, by `maker`; nearest: one of our voices."
    )
    maker: str | None
    credits: int = Field(description="That a voice costs.")


class FieldError(Schema):
    pointer: str
    detail: str


class Problem(Schema):
    """RFC 9457. What else belongs to a problem stands beside these."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[FieldError] = []


PROBLEMS: dict[int, Any] = dict.fromkeys((400, 401, 403, 404, 409, 422, 429, 503), Problem)
