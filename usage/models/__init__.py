"""The models of usage: fields, constraints, and facts about one row."""

from .library import Draft, Favourite, Folder
from .metering import ReconciliationRun, UsageDiscrepancy, UsageDiscrepancyQuerySet, UsageEvent
from .speech import Generation, LongSpeech, Pronunciation, VoiceType
from .statistics import SITE, UsageDay
from .voices import Voice, VoiceConsent, VoiceCopy, VoiceMatch

__all__ = [
    "Draft",
    "Favourite",
    "Folder",
    "SITE",
    "Generation",
    "LongSpeech",
    "Pronunciation",
    "ReconciliationRun",
    "UsageDay",
    "UsageDiscrepancy",
    "UsageDiscrepancyQuerySet",
    "UsageEvent",
    "Voice",
    "VoiceConsent",
    "VoiceCopy",
    "VoiceMatch",
    "VoiceType",
]
