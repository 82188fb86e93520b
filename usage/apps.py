from django.apps import AppConfig
from django.conf import settings


class UsageConfig(AppConfig):
    name = "usage"

    def ready(self) -> None:
        from . import engines

        engines.configure(helpers=settings.SPEECH_HELPERS)
