"""The row of a text that a worker speaks. `usage.models` is where it is imported from."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from jobs.models import JobRow


class LongSpeech(JobRow):
    """The making of a text that takes longer than a request should wait for.

    The job on the row speaks the text piece by piece and stores each piece as a part, so that
    another worker goes on after the last part. The parts are deleted once the generation is done or
    has failed.
    """

    generation = models.OneToOneField(
        "usage.Generation", on_delete=models.PROTECT, primary_key=True, related_name="long"
    )
    pieces = models.PositiveIntegerField(default=0, help_text="Of the text. 0: not begun.")
    pieces_spoken = models.PositiveIntegerField(default=0)
    characters_spoken = models.PositiveIntegerField(
        default=0, help_text="Of the text, those that the pieces spoken make up."
    )
    parts = models.JSONField(
        default=list, blank=True, help_text="The pieces spoken, as `usage.speech.parts` has them."
    )
    storing = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="The file that is being written. What a killed worker has left is found by it.",
    )
    stop_asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When its customer asked to have only what is spoken."
    )
    renew_at = models.DateTimeField(
        null=True, blank=True, help_text="When its credits are reserved anew. Empty: it is over."
    )

    due_within_seconds = 0

    class Meta(JobRow.Meta):
        abstract = False
        verbose_name_plural = "long speeches"
        indexes = [
            *JobRow.Meta.indexes,
            models.Index(
                fields=["renew_at"], name="longspeech_renew", condition=Q(renew_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pieces_spoken} of {self.pieces} pieces"
