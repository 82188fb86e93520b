"""The models of usage: fields, constraints, and facts about one row."""

from .metering import ReconciliationRun, UsageDiscrepancy, UsageDiscrepancyQuerySet, UsageEvent
from .speech import Generation, LongSpeech, Pronunciation, VoiceType
from .voices import Voice, VoiceConsent, VoiceCopy, VoiceMatch

__all__ = [
    "Generation",
    "LongSpeech",
    "Pronunciation",
    "ReconciliationRun",
    "UsageDiscrepancy",
    "UsageDiscrepancyQuerySet",
    "UsageEvent",
    "Voice",
    "VoiceConsent",
    "VoiceCopy",
    "VoiceMatch",
    "VoiceType",
]
