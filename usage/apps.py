from django.apps import AppConfig
from django.conf import settings


class UsageConfig(AppConfig):
    name = "usage"

    def ready(self) -> None:
        from . import engines
        from .engines import remote

        engines.configure(helpers=settings.SPEECH_HELPERS)
        remote.configure(settings.SPEECH_SERVERS)
