"""What every record has, and the ids that all of them know."""

from metronome_sandbox.kit.records import Record

USD_ID = "2714e483-4ff1-48e4-9e25-ac732e8f24f2"
DEFAULT_CREDIT_TYPE_ID = "8b1f0a52-6f0f-4f7e-9d5e-3f0c1c8a7b11"
CREATED_BY = "sandbox"

__all__ = ["CREATED_BY", "DEFAULT_CREDIT_TYPE_ID", "Record", "USD_ID"]
